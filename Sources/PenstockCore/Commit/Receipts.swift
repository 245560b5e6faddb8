// Answers that wait: one record for each request, in the order of the requests of its connection.
//
// A receipt may leave once the batch it names is durable; an error may leave once everything
// before it has left. Records come from one fixed pool and hang on their connection as a list, so
// that a connection with ten thousand small requests in flight costs no more than its records.

/// What is said to a sender.
package struct Answer: BitwiseCopyable {
  package enum Kind: UInt8, BitwiseCopyable { case hello, stored, refused }

  package var kind: Kind
  /// Why it was refused; meaningless otherwise.
  package var refusal: Refusal
  /// The line of the request that was wrong, counted from 1; 0 when it is not about a line.
  package var line: UInt32
  /// Events stored.
  package var count: UInt32
  /// Sequence number of the first.
  package var first: UInt64
  /// The batch that has to be durable before the answer may leave; 0 for none.
  package var batchOrdinal: UInt64
  fileprivate var next: Int32 = -1

  package init(
    kind: Kind, refusal: Refusal = .unknownCommand, line: UInt32 = 0, count: UInt32 = 0,
    first: UInt64 = 0, batchOrdinal: UInt64 = 0
  ) {
    self.kind = kind
    self.refusal = refusal
    self.line = line
    self.count = count
    self.first = first
    self.batchOrdinal = batchOrdinal
  }
}

/// The answers one connection has waiting.
package struct AnswerList: BitwiseCopyable {
  fileprivate var head: Int32 = -1
  fileprivate var tail: Int32 = -1
  package fileprivate(set) var count = 0
  package init() {}
}

/// The pool all answers come from.
package struct AnswerPool: ~Copyable {
  private var records: Table<Answer>
  private var freeHead: Int32 = -1
  private var untouched: Int32 = 0

  package init(capacity: Int) {
    records = Table(count: capacity, repeating: Answer(kind: .hello))
  }

  /// Appends an answer; false when the pool is used up.
  package mutating func append(_ answer: Answer, to list: inout AnswerList) -> Bool {
    let index: Int32
    if freeHead >= 0 {
      index = freeHead
      freeHead = records[Int(index)].next
    } else if Int(untouched) < records.count {
      index = untouched
      untouched += 1
    } else {
      return false
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
    return true
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
    records[Int(index)].next = freeHead
    freeHead = index
  }

  /// Forgets what a connection that is gone had waiting.
  package mutating func removeAll(of list: inout AnswerList) {
    while list.count > 0 { removeFirst(of: &list) }
  }
}
