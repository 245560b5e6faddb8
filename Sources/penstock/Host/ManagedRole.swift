// A role as the host keeps it: what it is, its process, and what became of earlier ones.

internal import PenstockCore

/// A role and what became of it.
struct ManagedRole {
  enum Kind: Equatable {
    case shard(Int)
    /// Recovers and seals a log that no shard serves, then ends for good.
    case retired(LogNumber)
    case preparer, archiver, reader, everstore
  }

  let kind: Kind
  var process: RoleProcess?
  /// Whether the host itself had to end it.
  var isKilled = false
  /// When the process, or the last one, was started, in monotonic nanoseconds.
  var startedAt: Int64 = 0
  /// When it is to be started again, in monotonic nanoseconds.
  var startAt: Int64?
  var policy = RestartPolicy()
  var restartCount = 0
  /// It has ended and is not started again.
  var isLeftDown = false

  init(_ kind: Kind) { self.kind = kind }

  var name: String {
    switch kind {
    case .shard(let index): "shard \(index)"
    case .retired(let log): "shard of retired log \(log.value)"
    case .preparer: "preparer"
    case .archiver: "archiver"
    case .reader: "reader"
    case .everstore: "everstore"
    }
  }

  /// Whether it writes a log: these stop before the others.
  var isShard: Bool {
    switch kind {
    case .shard, .retired: true
    case .preparer, .archiver, .reader, .everstore: false
    }
  }

  /// Whether an end says that its log, which no shard serves, is another process's by now.
  func isLeft(toOthers ended: Int32) -> Bool {
    guard case .retired = kind else { return false }
    return ended == ShardProcess.Status.leaseHeld.rawValue
  }

  /// One line of the answer to `status`.
  var line: String {
    let state =
      process.map { "pid=\($0.processIdentifier)" } ?? (isLeftDown ? "down" : "starting")
    return "\(name) \(state) restarts=\(restartCount)"
  }

  /// The shards that are left down, by what a host answers to `status`.
  static func shardsLeftDown(_ answer: String) -> Set<LogNumber> {
    var found: Set<LogNumber> = []
    for line in answer.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count > 2, words[0] == "shard", words[2] == "down", let number = UInt8(words[1])
      else { continue }
      found.insert(LogNumber(number))
    }
    return found
  }

  /// The logs without a shard that are being recovered and sealed, by the same answer.
  static func logsBeingRecovered(_ answer: String) -> Set<LogNumber> {
    var found: Set<LogNumber> = []
    for line in answer.split(separator: "\n") where line.hasPrefix("shard of retired log ") {
      let words = line.split(separator: " ")
      guard words.count > 5, words[5] != "down", let number = UInt8(words[4]) else { continue }
      found.insert(LogNumber(number))
    }
    return found
  }

  /// How a process ended, in words.
  static func how(_ ended: Int32) -> String {
    ended >= 128 ? "was killed by signal \(ended - 128)" : "ended with status \(ended)"
  }
}
