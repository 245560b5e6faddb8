// Answers that wait: one record for each request, in the order of the requests of its connection.
//
// A receipt may leave once the batch it names is durable; an error may leave once everything
// before it has left. Records come from one fixed pool and hang on their connection as a list, so
// that a connection with ten thousand small requests in flight costs no more than its records.

/// What is said to a sender.
package struct Answer: BitwiseCopyable {
  package enum Kind: UInt8, BitwiseCopyable {
    case hello, stored, refused, conflict, head, exists, moved, producer
    /// The journal's shard has been asked; what it says, as it says it.
    case relayed, text
    /// The reader is to answer a request, whose line is kept, on the connection itself.
    case read
    /// Those of a RELP session; `at` is the transaction they answer.
    case relpOpen, relpStored, relpUnknown, relpClosed, relpEnded
  }

  package var kind: Kind
  /// Why it was refused; meaningless otherwise.
  package var refusal: Refusal
  /// The shard that stored the events.
  package var shard: UInt8 = 0
  /// The line of the request that was wrong, counted from 1; 0 when it is not about a line.
  package var line: UInt32
  /// Events stored; the owner's number in `moved`.
  package var count: UInt32
  /// Sequence number of the first; of the last in `head`, `exists` and `conflict`, or
  /// `Answer.unknown`.
  package var first: UInt64
  /// The batch that has to be durable before the answer may leave; 0 for none.
  package var batchOrdinal: UInt64
  /// The position `head` and `exists` are told for; in `moved` the listener it was asked by.
  package var at: UInt64 = 0
  /// What the request was told apart by.
  package var tag = RequestTag.none
  /// The names in a conflict, or -1.
  fileprivate(set) package var names: Int32 = -1
  fileprivate var next: Int32 = -1

  /// A last event that is not remembered.
  package static let unknown = UInt64.max

  package init(
    kind: Kind, refusal: Refusal = .unknownCommand, line: UInt32 = 0, count: UInt32 = 0,
    first: UInt64 = 0, batchOrdinal: UInt64 = 0, at: UInt64 = 0
  ) {
    self.kind = kind
    self.refusal = refusal
    self.line = line
    self.count = count
    self.first = first
    self.batchOrdinal = batchOrdinal
    self.at = at
  }
}

/// The answers one connection has waiting.
package struct AnswerList: BitwiseCopyable {
  fileprivate var head: Int32 = -1
  fileprivate var tail: Int32 = -1
  package fileprivate(set) var count = 0
  /// Those of them that keep a name or a text.
  fileprivate var namedCount = 0
  package init() {}

  /// Answers with names or texts that one connection may have waiting: one that reads none of its
  /// answers must not take those of others.
  fileprivate static let namedCountMax = 128
  fileprivate var hasNamePlace: Bool { namedCount < AnswerList.namedCountMax }
}

/// The pool all answers come from.
package struct AnswerPool: ~Copyable {
  private var records: Table<Answer>
  private var freeHead: Int32 = -1
  private var untouched: Int32 = 0
  private var names = AnswerNames()

  package init(capacity: Int) {
    records = Table(zeroedCount: capacity)
  }

  /// Appends an answer that names a journal and a type. When too many such answers wait, they are
  /// left out of it.
  package mutating func append(
    _ answer: Answer, naming journal: RawSpan, _ type: RawSpan, to list: inout AnswerList
  ) -> Bool {
    var answer = answer
    answer.names = list.hasNamePlace ? names.keep(journal, type) : -1
    guard append(answer, to: &list) else {
      names.free(answer.names)
      return false
    }
    if answer.names >= 0 { list.namedCount += 1 }
    return true
  }

  /// Appends an answer with a text that it cannot do without.
  package mutating func append(_ answer: Answer, text: RawSpan, to list: inout AnswerList)
    -> TextOutcome
  {
    var answer = answer
    answer.names = list.hasNamePlace ? names.keep(text) : -1
    guard answer.names >= 0 else { return .noPlace }
    guard append(answer, to: &list) else {
      names.free(answer.names)
      return .usedUp
    }
    list.namedCount += 1
    return .kept
  }

  /// Longest text of an answer, in bytes.
  package static var textByteCountMax: Int { AnswerNames.slotByteCount }

  /// What became of an answer with a text.
  package enum TextOutcome { case kept, noPlace, usedUp }

  /// The journal and the type an answer names.
  @_lifetime(borrow self)
  package func journal(_ answer: Answer) -> RawSpan { names.journal(answer.names) }

  @_lifetime(borrow self)
  package func type(_ answer: Answer) -> RawSpan { names.type(answer.names) }

  /// Appends an answer; false when the pool is used up.
  package mutating func append(_ answer: Answer, to list: inout AnswerList) -> Bool {
    appendRecord(answer, to: &list) != nil
  }

  /// Puts what is known by now into the record of an answer that waited for it.
  package mutating func settle(_ record: Int32, _ body: (inout Answer) -> Void) {
    body(&records[Int(record)])
    records[Int(record)].batchOrdinal = 0
  }

  /// The same with the text of the answer, which is one of `list`; false when there is no room for
  /// it.
  package mutating func settle(_ record: Int32, text: RawSpan, of list: inout AnswerList) -> Bool {
    let slot = list.hasNamePlace ? names.keep(text) : -1
    guard slot >= 0 else { return false }
    list.namedCount += 1
    settle(record) { answer in
      answer.kind = .text
      answer.names = slot
    }
    return true
  }

  /// Appends an answer; its record, or nil when the pool is used up.
  package mutating func appendRecord(_ answer: Answer, to list: inout AnswerList) -> Int32? {
    let index: Int32
    if freeHead >= 0 {
      index = freeHead
      freeHead = records[Int(index)].next
    } else if Int(untouched) < records.count {
      index = untouched
      untouched += 1
    } else {
      return nil
    }
    records[Int(index)] = answer
    records[Int(index)].next = -1
    if list.tail >= 0 {
      records[Int(list.tail)].next = index
    } else {
      list.head = index
    }
    list.tail = index
    list.count += 1
    return index
  }

  /// The answer that leaves next, if any waits.
  package func first(of list: AnswerList) -> Answer? {
    list.head >= 0 ? records[Int(list.head)] : nil
  }

  package mutating func removeFirst(of list: inout AnswerList) {
    precondition(list.head >= 0)
    let index = list.head
    list.head = records[Int(index)].next
    if list.head < 0 { list.tail = -1 }
    list.count -= 1
    if records[Int(index)].names >= 0 { list.namedCount -= 1 }
    names.free(records[Int(index)].names)
    records[Int(index)].next = freeHead
    freeHead = index
  }

  /// Forgets what a connection that is gone had waiting.
  package mutating func removeAll(of list: inout AnswerList) {
    while list.count > 0 { removeFirst(of: &list) }
  }
}

/// The names in answers that wait: slots of one size, of which only those in use are ever touched.
struct AnswerNames: ~Copyable {
  private var memory = AlignedBuffer(byteCount: slotCount * slotByteCount)
  private var counts = Table<Counts>(zeroedCount: slotCount)
  /// Free slots that were used before; the last comes first.
  private var free = Table<Int32>(zeroedCount: slotCount)
  private var freeCount = 0
  private var untouched: Int32 = 0

  struct Counts: BitwiseCopyable {
    var journal: Int32
    var type: Int32
  }

  /// Answers with names that wait at once.
  private static let slotCount = 2048
  /// The longest journal and the longest type, and the words of an answer that names them.
  static let slotByteCount =
    EventLine.streamByteCountMax + CommitLines.typeByteCountMax + 256

  /// The slot that keeps a text; -1 when none is free, or it is too long.
  mutating func keep(_ text: RawSpan) -> Int32 {
    guard text.byteCount <= AnswerNames.slotByteCount else { return -1 }
    return keep(text, text.extracting(0..<0))
  }

  /// The slot that keeps them; -1 when none is free.
  mutating func keep(_ journal: RawSpan, _ type: RawSpan) -> Int32 {
    let slot: Int32
    if freeCount > 0 {
      freeCount -= 1
      slot = free[freeCount]
    } else if Int(untouched) < AnswerNames.slotCount {
      slot = untouched
      untouched += 1
    } else {
      return -1
    }
    let start = Int(slot) * AnswerNames.slotByteCount
    memory.copy(journal, to: start)
    memory.copy(type, to: start + journal.byteCount)
    counts[Int(slot)] = Counts(journal: Int32(journal.byteCount), type: Int32(type.byteCount))
    return slot
  }

  mutating func free(_ slot: Int32) {
    guard slot >= 0 else { return }
    free[freeCount] = slot
    freeCount += 1
  }

  @_lifetime(borrow self)
  func journal(_ slot: Int32) -> RawSpan {
    guard slot >= 0 else { return memory.bytes(0..<0) }
    let start = Int(slot) * AnswerNames.slotByteCount
    return memory.bytes(start..<(start + Int(counts[Int(slot)].journal)))
  }

  @_lifetime(borrow self)
  func type(_ slot: Int32) -> RawSpan {
    guard slot >= 0 else { return memory.bytes(0..<0) }
    let start = Int(slot) * AnswerNames.slotByteCount + Int(counts[Int(slot)].journal)
    return memory.bytes(start..<(start + Int(counts[Int(slot)].type)))
  }
}
