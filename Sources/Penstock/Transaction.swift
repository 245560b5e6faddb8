// Events that are stored together or not at all, and the conditions under which.
//
//     outermost ─ put, put, ifNone … ─ inner ─ put ─┬─ returns: its events and conditions stay
//                                                   └─ throws: they go, the outer ones stay
//     outermost returns ─▶ one COMMIT (journals) or one PUT (plain streams)
//
// Nothing is sent before the outermost returns.

internal import PenstockCore

/// A transaction being put together. Used by one thread or task, inside the closure it was given
/// to.
public final class Transaction {
  /// Event lines, each with its LF.
  private var lines: [UInt8] = []
  private(set) var eventCount = 0
  /// Options of the COMMIT, each with a space in front.
  private var conditions: [UInt8] = []
  /// Whether events are of journals; nil before the first one.
  private var isOfJournals: Bool?
  private(set) var firstJournal: String?
  var since: UInt64?
  private var hasEnded = false
  private let isForked: Bool
  /// Where lines are written before their size is known.
  private let scratch = Scratch()

  private final class Scratch {
    // Most events fit; a larger one makes room for the largest.
    var memory = AlignedBuffer(byteCount: 16 << 10)
  }

  init(_ isForked: Bool) { self.isForked = isForked }

  private func check() throws(StoreError) {
    if isForked { throw .forked }
    if hasEnded { throw .closed }
  }

  /// Adds an event. The parameters are those of `Writer.put`.
  /// - Throws: `invalid`, also when events of journals and of plain streams are mixed; `tooLarge`.
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: RawSpan
  ) throws(StoreError) {
    try put(.given(stream: stream, type: type, attributes: attributes, id: id), payload)
  }

  /// Adds an event whose payload is an array of bytes.
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: [UInt8]
  ) throws(StoreError) {
    try put(.given(stream: stream, type: type, attributes: attributes, id: id), payload.rawSpan)
  }

  /// Adds an event whose payload is text.
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: String
  ) throws(StoreError) {
    try put(
      .given(stream: stream, type: type, attributes: attributes, id: id), payload.utf8.rawSpan)
  }

  /// Adds an event.
  public func put(_ event: NewEvent) throws(StoreError) {
    try put(
      .given(
        stream: event.stream, type: event.type,
        attributes: event.attributes.map { (key: $0.key, value: $0.value) }, id: event.id),
      event.payload.rawSpan)
  }

  func put(_ fields: EventFields, _ payload: RawSpan) throws(StoreError) {
    try check()
    guard isOfJournals == nil || isOfJournals == fields.isJournal else {
      throw .invalid(
        "events of journals and of plain streams cannot be stored together: store them apart")
    }
    if fields.isJournal, case .given(let stream, _, _, _) = fields {
      _ = try Transaction.encoded(journal: stream)
      try append(fields, payload)
      if firstJournal == nil { firstJournal = stream }
    } else {
      try append(fields, payload)
    }
    isOfJournals = fields.isJournal
    eventCount += 1
  }

  private func append(_ fields: EventFields, _ payload: RawSpan) throws(StoreError) {
    while true {
      var writer = EventWriter(offset: 0, limit: scratch.memory.byteCount)
      try EventText.write(fields, payload, &writer, &scratch.memory)
      if !writer.isFull {
        guard lines.count + writer.offset <= Outbox.requestByteCountMax else {
          throw .tooLarge(byteCountMax: Outbox.requestByteCountMax)
        }
        scratch.memory.append(0..<writer.offset, to: &lines)
        return
      }
      guard scratch.memory.byteCount < Outbox.byteCountMax else {
        throw .tooLarge(byteCountMax: Outbox.requestByteCountMax)
      }
      scratch.memory = AlignedBuffer(byteCount: Outbox.byteCountMax)
    }
  }

  // MARK: - Conditions

  /// Nothing is stored when `journal` has an event of one of `types` after `position`.
  public func ifNone(_ types: [String], in journal: String, after position: UInt64)
    throws(StoreError)
  {
    try require(.ifNone(types, in: journal, after: position))
  }

  /// Nothing is stored when `journal` has any event after `position`.
  public func ifUnchanged(_ journal: String, after position: UInt64) throws(StoreError) {
    try require(.ifUnchanged(journal, after: position))
  }

  /// Nothing is stored when the condition does not hold.
  public func require(_ condition: Condition) throws(StoreError) {
    try check()
    conditions += try condition.words()
  }

  // MARK: - Nesting

  /// Puts events together that are taken back, alone, when `body` throws; what it throws is thrown
  /// on. When it returns they are part of this transaction.
  @_disfavoredOverload
  public func transaction<Value>(_ body: (Transaction) throws -> Value) throws -> Value {
    try check()
    let before = mark
    do {
      return try body(self)
    } catch {
      rollBack(to: before)
      throw error
    }
  }

  /// The same for tasks: `body` may await. It alone uses the transaction until it is done.
  nonisolated(nonsending) public func transaction<Value>(
    _ body: nonisolated(nonsending) (Transaction) async throws -> Value
  ) async throws -> Value {
    try check()
    let before = mark
    do {
      return try await body(self)
    } catch {
      rollBack(to: before)
      throw error
    }
  }

  /// How far it has been put together.
  private struct Mark {
    var byteCount: Int
    var eventCount: Int
    var conditionByteCount: Int
    var isOfJournals: Bool?
    var firstJournal: String?
  }

  private var mark: Mark {
    Mark(
      byteCount: lines.count, eventCount: eventCount, conditionByteCount: conditions.count,
      isOfJournals: isOfJournals, firstJournal: firstJournal)
  }

  private func rollBack(to mark: Mark) {
    lines.removeLast(lines.count - mark.byteCount)
    eventCount = mark.eventCount
    conditions.removeLast(conditions.count - mark.conditionByteCount)
    (isOfJournals, firstJournal) = (mark.isOfJournals, mark.firstJournal)
  }

  // MARK: - The request

  func end() { hasEnded = true }

  /// What a request for it consists of.
  struct Parts: Sendable {
    /// Whether it is a COMMIT; else a PUT.
    var isOfJournals: Bool
    /// Its options, each with a space in front.
    var options: [UInt8]
    var lines: [UInt8]
    var eventCount: Int
    /// The journal of its first event.
    var journal: String?
  }

  func parts() throws(StoreError) -> Parts {
    guard isOfJournals == true || conditions.isEmpty && since == nil else {
      throw .invalid("only journals have conditions; the events are of plain streams")
    }
    return Parts(
      isOfJournals: isOfJournals == true,
      options: (since.map { Array(" since=\($0)".utf8) } ?? []) + conditions, lines: lines,
      eventCount: eventCount, journal: firstJournal)
  }

  /// The whole request.
  func request() throws(StoreError) -> [UInt8] {
    let parts = try parts()
    let verb = parts.isOfJournals ? "COMMIT" : "PUT"
    var request = Array("\(verb) \(lines.count)".utf8) + parts.options
    guard request.count < Request.lineByteCountMax else {
      throw .invalid("the conditions of one transaction have \(Request.lineByteCountMax) bytes")
    }
    request.append(Byte.lineFeed)
    return request + lines
  }

  /// A journal's name as it stands in requests.
  static func encoded(journal: String) throws(StoreError) -> [UInt8] {
    let name = Escape.encode(Array(journal.utf8).rawSpan, .word)
    guard JournalName.isValid(name.rawSpan, 0..<name.count) else {
      throw .invalid(
        "'\(journal)' is no journal: expected '/' and 1 to 1023 bytes more, without '//' or '..'")
    }
    return name
  }
}
