// Events and conditions of C's that become a transaction.

internal import CPenstock
internal import Penstock

enum Commit {
  /// Stores what `body` puts together, or nothing.
  static func run(
    _ writer: Writer, _ since: UInt64?, _ body: (Transaction) throws(StoreError) -> Void
  ) throws(StoreError) -> Receipt? {
    do {
      return try writer.transaction(since: since, body).receipt
    } catch let error as StoreError {
      throw error
    } catch {
      throw .failed("\(error)")
    }
  }

  static func put(_ events: UnsafeBufferPointer<penstock_new_event>, into tx: Transaction)
    throws(StoreError)
  {
    for index in 0..<events.count {
      let event = try unsafe GivenEvent(events[index])
      try tx.put(
        stream: event.stream, type: event.type, attributes: event.attributes, id: event.id,
        payload: event.payload)
    }
  }

  /// The position of the one condition that is of the whole commit.
  static func since(_ conditions: UnsafeBufferPointer<penstock_condition>) throws(StoreError)
    -> UInt64?
  {
    var position: UInt64?
    for index in 0..<conditions.count {
      guard unsafe conditions[index].kind == PENSTOCK_SINCE else { continue }
      guard position == nil else { throw .invalid("a commit has one PENSTOCK_SINCE at most") }
      position = unsafe conditions[index].position
    }
    return position
  }

  /// Adds the conditions that are of one journal.
  static func require(
    _ conditions: UnsafeBufferPointer<penstock_condition>, of tx: Transaction
  ) throws(StoreError) {
    for index in 0..<conditions.count {
      let condition = unsafe conditions[index]
      guard unsafe condition.kind != PENSTOCK_SINCE else { continue }
      let journal = try unsafe Arguments.text(condition.journal, "a condition's journal")
      switch unsafe condition.kind {
      case PENSTOCK_IF_NONE:
        var types: [String] = []
        let names = try unsafe Arguments.list(
          condition.types, condition.type_count, "a condition's types")
        for index in 0..<names.count {
          types.append(try unsafe Arguments.text(names[index], "a condition's type"))
        }
        guard !types.isEmpty else { throw .invalid("PENSTOCK_IF_NONE names a type at least") }
        try unsafe tx.ifNone(types, in: journal, after: condition.position)
      case PENSTOCK_IF_UNCHANGED:
        try unsafe tx.ifUnchanged(journal, after: condition.position)
      default:
        throw .invalid("there is no condition of kind \(unsafe condition.kind.rawValue)")
      }
    }
  }

  /// What C is told; of nothing that was stored, that it was nothing.
  static func receipt(_ stored: Receipt?, _ writer: Writer) -> penstock_receipt {
    penstock_receipt(
      first: stored?.sequence ?? 0, count: UInt64(stored?.count ?? 0),
      log: UInt32(truncatingIfNeeded: stored?.log ?? writer.log))
  }
}
