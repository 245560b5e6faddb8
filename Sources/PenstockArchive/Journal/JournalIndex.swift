// Every journal's events, found at once: what a server of journals reads and answers from.
//
//     refresh ─▶ each log: frontier ahead? ─▶ its tail's batches ─▶ runs (JournalRuns)
//                     └─ lease changed, segment gone ─▶ live segments, behind what is known
//     text of a journal = what lies at or before the floor, read from the files the long way
//                       + its runs, read where they stand
//
// What is durable is in the index as soon as it was refreshed: a shard publishes its frontier before
// it acknowledges. The index is memory of one process, bounded by JournalRuns, and nothing depends on
// it that is not in the files.

package import PenstockCore

/// An index of the journals of a store.
package final class JournalIndex<Files: FileSystem> {
  let reader: StoreReader<Files>
  private let width: Int
  private var logs: [JournalLog<Files>] = []
  /// Names become numbers nobody can choose (JournalKey).
  private let key: UInt64
  private var lookedAt: Int64 = 0
  private let damage = DamageLog()
  private var toldDamageCount = 0

  /// How often leases and the manifest are looked at, in nanoseconds.
  private static var lookNanoseconds: Int64 { 200_000_000 }

  /// - Parameter width: logs journals are spread over, as the store's description says.
  package init(_ reader: StoreReader<Files>, width: Int) {
    self.reader = reader
    self.width = width
    key = UInt64.random(in: .min ... .max) | 1
  }

  /// Takes in what has become durable.
  package func refresh() throws {
    if logs.isEmpty {
      logs = (0..<width).map {
        JournalLog(reader, LogNumber(UInt8($0)), width: width, key: key, damage)
      }
    }
    let now = System.monotonicNanoseconds()
    let looks = now - lookedAt >= JournalIndex.lookNanoseconds
    if looks { lookedAt = now }
    for log in logs { try log.refresh(looks: looks, now) }
  }

  /// Damage met since the last call.
  package func takeDamage() -> [String] {
    let new = damage.notes.dropFirst(toldDamageCount)
    toldDamageCount = damage.notes.count
    return Array(new)
  }

  /// How long the owner of a journal may have acknowledged events the index does not hold, in
  /// nanoseconds: while it recovers, and until the index has caught up. 0 when it holds all.
  package func brokenNanoseconds(_ log: LogNumber) -> Int64 {
    logs[Int(log.value)].brokenNanoseconds(System.monotonicNanoseconds())
  }

  /// Up to where a log's events are in the index.
  package func position(of log: LogNumber) -> SequenceNumber {
    SequenceNumber(logs[Int(log.value)].runs.through)
  }

  /// A journal as a number, of this process only.
  package func number(of name: [UInt8]) -> UInt64 { JournalKey.journal(name.rawSpan, key: key) }

  /// The log that owns a journal.
  package func owner(of name: [UInt8]) -> LogNumber {
    LogNumber(UInt8(JournalKey.owner(of: name.rawSpan, width: width)))
  }

  /// A journal as it stands after the last refresh.
  /// - Parameter name: escaped, as in event lines.
  package func state(of name: [UInt8]) throws -> JournalSize {
    let log = logs[Int(owner(of: name).value)]
    return JournalSize(
      position: SequenceNumber(log.runs.through), byteCount: try log.byteCount(of: name))
  }

  /// The size of a journal's text up to the event `sequence`.
  package func byteCount(of name: [UInt8], through sequence: SequenceNumber) throws -> UInt64 {
    try logs[Int(owner(of: name).value)].byteCount(of: name, through: sequence.value)
  }

  /// Begins to read a journal's text: the events that stand in `range` as a whole.
  package func text(of name: [UInt8], _ range: Range<UInt64>, includesTimes: Bool) throws
    -> JournalTextReader<Files>
  {
    try JournalTextReader(
      logs[Int(owner(of: name).value)], name, range, includesTimes: includesTimes)
  }
}

/// How long a journal is.
package struct JournalSize: Equatable, Sendable {
  /// Events of the journal's log up to this one count.
  package var position: SequenceNumber
  /// Bytes of its text.
  package var byteCount: UInt64
}
