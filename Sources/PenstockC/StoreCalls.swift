// Stores and reading, as penstock.h has them: the compiler holds every function here to the header.

public import CPenstock
internal import Penstock

@c @implementation
public func penstock_store_open(
  _ path: penstock_bytes, _ store: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe penstock_store_open_with(path, nil, store, error)
}

@c @implementation
public func penstock_store_open_with(
  _ path: penstock_bytes, _ options: UnsafePointer<penstock_store_options>?,
  _ store: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let place = try unsafe Arguments.place(store, "the store")
    let folder = try unsafe Arguments.text(path, "the path")
    guard !folder.isEmpty, !folder.utf8.contains(0) else {
      throw .invalid("a path has a byte at least, and no NUL")
    }
    let options = try unsafe GivenOptions.read(options)
    unsafe place.pointee = stores.add(try Store.open(folder, options))
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_store_archive(
  _ store: OpaquePointer?, _ wait_milliseconds: Int64,
  _ is_complete: UnsafeMutablePointer<Bool>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let store = try unsafe stores.find(store)
    let place = try unsafe Arguments.optionalPlace(is_complete, "the answer")
    let isComplete = try store.archive(
      within: wait_milliseconds < 0 ? .max : Int(wait_milliseconds))
    unsafe place?.pointee = isComplete
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_store_close(
  _ store: OpaquePointer?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    try unsafe stores.remove(store).close()
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_cursor_open(
  _ store: OpaquePointer?, _ options: UnsafePointer<penstock_read_options>?,
  _ cursor: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let store = try unsafe stores.find(store)
    let place = try unsafe Arguments.place(cursor, "the cursor")
    var given = unsafe penstock_read_options()
    if unsafe options != nil {
      unsafe given = try Arguments.place(options, "the options").pointee
    }
    let pattern = try unsafe Arguments.text(given.stream, "the pattern")
    let events = try unsafe store.iterate(
      stream: pattern.isEmpty ? nil : pattern, from: given.since == 0 ? nil : given.since,
      to: given.until == 0 ? nil : given.until,
      limit: given.limit == 0 ? nil : Int(clamping: given.limit), reverse: given.is_reverse)
    unsafe place.pointee = cursors.add(Cursor(events))
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_cursor_next(
  _ cursor: OpaquePointer?, _ event: UnsafeMutablePointer<penstock_event>?,
  _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let place = try unsafe Arguments.place(event, "the event")
    return try unsafe cursors.find(cursor).next(place) ? PENSTOCK_OK : PENSTOCK_END
  }
}

@c @implementation
public func penstock_cursor_damage(
  _ cursor: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?,
  _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let place = try unsafe Arguments.place(count, "the count")
    unsafe place.pointee = try cursors.find(cursor).damageCount()
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_cursor_close(
  _ cursor: OpaquePointer?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    _ = try unsafe cursors.remove(cursor)
    return PENSTOCK_OK
  }
}
