// Writers, as penstock.h has them: the compiler holds every function here to the header.

public import CPenstock
internal import Penstock

@c @implementation
public func penstock_writer_open(
  _ store: OpaquePointer?, _ log: Int32, _ wait_milliseconds: Int64,
  _ writer: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let store = try unsafe stores.find(store)
    let place = try unsafe Arguments.place(writer, "the writer")
    guard (PENSTOCK_ANY_LOG...255).contains(log) else {
      throw .invalid("a log is 0 to 255, or PENSTOCK_ANY_LOG; not \(log)")
    }
    let choice = log == PENSTOCK_ANY_LOG ? Store.LogChoice.any : .number(Int(log))
    let wait = wait_milliseconds < 0 ? nil : Int(wait_milliseconds)
    unsafe place.pointee = writers.add(try store.writer(choice, waiting: wait))
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_writer_close(
  _ writer: OpaquePointer?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    try unsafe writers.remove(writer).close()
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_writer_flush(
  _ writer: OpaquePointer?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    try unsafe writers.find(writer).flush()
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_writer_put(
  _ writer: OpaquePointer?, _ events: UnsafePointer<penstock_new_event>?, _ count: Int,
  _ durability: penstock_durability, _ receipt: UnsafeMutablePointer<penstock_receipt>?,
  _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let writer = try unsafe writers.find(writer)
    let events = try unsafe Arguments.list(events, count, "events")
    let place = try unsafe Arguments.optionalPlace(receipt, "the receipt")
    guard durability == PENSTOCK_SYNCED || durability == PENSTOCK_WRITTEN else {
      throw .invalid("events are PENSTOCK_SYNCED or PENSTOCK_WRITTEN, not \(durability.rawValue)")
    }
    var stored: Receipt?
    if durability == PENSTOCK_SYNCED, events.count > 1 {
      stored = try Commit.run(writer, nil) { tx throws(StoreError) in
        try unsafe Commit.put(events, into: tx)
      }
    } else {
      for index in 0..<events.count {
        let event = try unsafe GivenEvent(events[index])
        stored = try writer.put(
          stream: event.stream, type: event.type, attributes: event.attributes, id: event.id,
          payload: event.payload, durability == PENSTOCK_SYNCED ? .synced : .written)
      }
      stored?.count = events.count
      if events.count > 1 { stored?.sequence = nil }
    }
    unsafe place?.pointee = Commit.receipt(stored, writer)
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_writer_head(
  _ writer: OpaquePointer?, _ journal: penstock_bytes,
  _ head: UnsafeMutablePointer<penstock_head>?, _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let writer = try unsafe writers.find(writer)
    let place = try unsafe Arguments.place(head, "the head")
    let found = try writer.head(of: try unsafe Arguments.text(journal, "the journal's name"))
    unsafe place.pointee = penstock_head(
      last: found.last ?? 0, at: found.at, is_known: found.last != nil)
    return PENSTOCK_OK
  }
}

@c @implementation
public func penstock_writer_commit(
  _ writer: OpaquePointer?, _ events: UnsafePointer<penstock_new_event>?, _ count: Int,
  _ conditions: UnsafePointer<penstock_condition>?, _ condition_count: Int,
  _ receipt: UnsafeMutablePointer<penstock_receipt>?,
  _ conflict: UnsafeMutablePointer<penstock_conflict>?,
  _ error: UnsafeMutablePointer<penstock_error>?
) -> penstock_code {
  unsafe Answers.answer(error) { () throws(StoreError) in
    let writer = try unsafe writers.find(writer)
    let events = try unsafe Arguments.list(events, count, "events")
    let conditions = try unsafe Arguments.list(conditions, condition_count, "conditions")
    let receiptPlace = try unsafe Arguments.optionalPlace(receipt, "the receipt")
    let conflictPlace = try unsafe Arguments.optionalPlace(conflict, "the conflict")
    do throws(StoreError) {
      let since = try unsafe Commit.since(conditions)
      let stored = try Commit.run(writer, since) { tx throws(StoreError) in
        try unsafe Commit.put(events, into: tx)
        try unsafe Commit.require(conditions, of: tx)
      }
      unsafe receiptPlace?.pointee = Commit.receipt(stored, writer)
      return PENSTOCK_OK
    } catch {
      if case .conflict(let conflict) = error, let place = unsafe conflictPlace {
        unsafe Answers.fill(place, conflict)
      }
      throw error
    }
  }
}
