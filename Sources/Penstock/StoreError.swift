// Why a store refuses something: what the caller can act upon is told apart.

internal import PenstockCore

/// The event that broke a condition of a commit. Nothing of the commit was stored.
public struct Conflict: Error, Equatable, Sendable, CustomStringConvertible {
  /// The journal it stands in.
  public var journal: String
  /// Its type; nil when any event at all broke the condition.
  public var type: String?
  /// Its sequence number.
  public var position: UInt64

  public init(journal: String, type: String?, position: UInt64) {
    self.journal = journal
    self.type = type
    self.position = position
  }

  public var description: String {
    "\(journal) has \(type.map { "an event of type '\($0)'" } ?? "an event") at position "
      + "\(position), which the condition excludes"
  }
}

/// Why a store did not do what it was asked.
public enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file, a folder or the kernel refused; the text says what and why.
  case failed(String)
  /// Another process holds the log, or every log there may be.
  case leaseHeld(String)
  /// The writer or the store was closed.
  case closed
  /// This process was forked off the one that opened the writer, and must not write.
  case forked
  /// The writer's log cannot be written any more: what was not acknowledged may be stored or not.
  /// Lease a log again: its recovery decides.
  case writerLost(String)
  /// There can be no such event, or no such request; the text says what is wrong.
  case invalid(String)
  /// An event, or all that is stored together, is larger than a store takes, in bytes.
  case tooLarge(byteCountMax: Int)
  /// A condition does not hold.
  case conflict(Conflict)
  /// The conditions reach further back than the log remembers: read again, and use a position from
  /// `from` on.
  case tooOld(from: UInt64)
  /// The journal belongs to a log that this writer does not hold.
  case ownedElsewhere(journal: String, log: Int)
  /// Another process archives the store.
  case archiveHeld(process: Int?)
  /// No server could be reached in time; what was asked was not done.
  case unreachable(String)
  /// A request was sent and its answer is not known: it was done or not. Read, and decide.
  case unknownOutcome(String)
  /// Refused for a reason that is not one of the above.
  case refused(code: String, text: String)

  public var description: String {
    switch self {
    case .failed(let text), .leaseHeld(let text), .invalid(let text), .unreachable(let text): text
    case .unknownOutcome(let text): "it was stored or not, nobody knows: \(text)"
    case .closed: "it was closed"
    case .forked:
      "this process was forked after the writer had been opened: only the one that opened it may "
        + "write; open the store again here"
    case .writerLost(let text): text
    case .tooLarge(let byteCountMax):
      "what is stored together may have \(Readable.bytes(byteCountMax))"
    case .conflict(let conflict): conflict.description
    case .tooOld(let from):
      "the log does not remember so far back: read again, and commit with a position from \(from) on"
    case .ownedElsewhere(let journal, let log):
      "the journal \(journal) belongs to log \(log), which this writer does not hold: commit through "
        + "a writer of that log"
    case .archiveHeld(let process):
      "\(process.map { "process \($0)" } ?? "another process") archives this store already"
    case .refused(let code, let text): "\(code): \(text)"
    }
  }
}

extension StoreError {
  /// Whether somebody else was quicker: read again, and the same may succeed.
  var isOutrun: Bool {
    switch self {
    case .conflict, .tooOld: true
    default: false
    }
  }

  /// What an answer that is not the wanted one means.
  init(_ answer: LineAnswer, journal: String?) {
    switch answer {
    case .conflict(let conflict): self = .conflict(conflict)
    case .moved(let shard, _): self = .ownedElsewhere(journal: journal ?? "", log: shard)
    case .refused("too-old", let text):
      let from = text.split(separator: "=").last.flatMap { UInt64($0) }
      self = .tooOld(from: from ?? 0)
    case .refused("too-large", _), .refused("event-too-large", _):
      self = .tooLarge(byteCountMax: Outbox.requestByteCountMax)
    case .refused(let code, let text): self = .refused(code: code, text: text)
    case .hello, .stored, .head, .exists, .unknown:
      self = .writerLost("the shard gave an answer that does not fit the request")
    }
  }
}

/// What a writer gives back for what it took.
public struct Receipt: Equatable, Sendable {
  /// The log it is stored in.
  public var log: Int
  /// The sequence number of its first event in that log; nil when it was not waited for.
  public var sequence: UInt64?
  /// Events, numbered from `sequence` on without a gap.
  public var count: Int

  public init(log: Int, sequence: UInt64?, count: Int) {
    self.log = log
    self.sequence = sequence
    self.count = count
  }
}

/// What a receipt stands for.
public enum Durability: Sendable {
  /// On stable storage: the barrier that covers it has completed.
  case synced
  /// In the hands of the writer, which stores everything in order and as soon as it can. A crash of
  /// the process loses what `flush` was not called for.
  case written
}
