// Followers, as penstock.h has them: the compiler holds every function here to the header.

public import CPenstock
internal import Penstock

@c @implementation
public func penstock_follower_open(
  _ store: OpaquePointer?, _ stream: penstock_bytes,
  _ follower: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let store = try unsafe stores.find(store)
    let place = try unsafe Arguments.place(follower, "the follower")
    let pattern = try unsafe Arguments.text(stream, "the pattern")
    let events = try store.follow(stream: pattern.isEmpty ? nil : pattern)
    unsafe place.pointee = followers.add(Follower(events))
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_follower_next(
  _ follower: OpaquePointer?, _ wait_milliseconds: Int64,
  _ event: UnsafeMutablePointer<penstock_event>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let place = try unsafe Arguments.place(event, "the event")
    let follower = try unsafe followers.find(follower)
    let wait = wait_milliseconds < 0 ? nil : Int(wait_milliseconds)
    return try unsafe follower.next(waiting: wait, place) ? PENSTOCK_OK : PENSTOCK_NO_EVENT
  }
}

@c @implementation
public func penstock_follower_close(
  _ follower: OpaquePointer?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    try unsafe followers.remove(follower).close()
    return PENSTOCK_OK
  }
}
