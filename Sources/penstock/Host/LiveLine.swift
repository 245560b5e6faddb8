// One line a second on a terminal: what the store is doing now.
//
//     1,203,400 events/s   288.8 MB/s   durable 0:73400112 1:73398771   drops 0

internal import CShims
internal import PenstockCore

/// Shows rates from the shards' pages.
struct LiveLine {
  /// What the pages said at one moment.
  private struct Sample {
    var at: Int64
    var events: UInt64 = 0
    var bytes: UInt64 = 0
    var drops: UInt64 = 0
    var positions: [String] = []
  }

  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let shardCount: Int
  private let boot = System.bootIdentifier()
  /// Counters outlive their process, so rates begin with what is there at the start.
  private var last: Sample

  private static let interval: Int64 = 1_000_000_000
  /// Positions shown one by one: more would not fit a line.
  private static let positionCountMax = 4

  init(_ layout: StoreLayout, _ store: StoreIdentifier, shardCount: Int) {
    self.layout = layout
    self.store = store
    self.shardCount = shardCount
    last = Sample(at: System.monotonicNanoseconds())
    last = sample(last.at)
  }

  func nanosecondsToNext(_ now: Int64) -> Int64 { max(0, last.at + LiveLine.interval - now) }

  /// Shows the line when a second has passed.
  mutating func show(_ now: Int64) {
    guard nanosecondsToNext(now) == 0 else { return }
    let next = sample(now)
    let seconds = Double(now - last.at) / 1e9
    // A page that has not been made yet counts nothing: no rate is negative.
    let events = Double(next.events - min(last.events, next.events)) / seconds
    let megabytes = Double(next.bytes - min(last.bytes, next.bytes)) / seconds / 1e6
    var shown = next.positions.prefix(LiveLine.positionCountMax).joined(separator: " ")
    if next.positions.count > LiveLine.positionCountMax { shown += " …" }
    write(
      "\r\u{1B}[K\(Readable.count(Int(events))) events/s   \(Readable.tenths(megabytes)) MB/s   "
        + "durable \(shown)   drops \(Readable.count(Int(next.drops)))")
    last = next
  }

  /// Leaves the line behind.
  func end() { write("\n") }

  private func sample(_ now: Int64) -> Sample {
    var sample = Sample(at: now)
    for shard in 0..<shardCount {
      let log = LogNumber(UInt8(shard))
      guard
        let page = SharedPage(
          reading: layout.statisticsPage(store, log), magic: Statistics.magic, boot: boot,
          valueCount: Statistics.valueCount)
      else { continue }
      let statistics = Statistics(page)
      sample.events += statistics[.eventsStored]
      sample.bytes += statistics[.bytesStored]
      for listener in 0..<Limits.listenerCountMax {
        sample.drops += statistics[listener, .dropped]
      }
      if let frontier = SharedPage(
        reading: layout.frontierPage(store, log), magic: Frontier.magic, boot: boot,
        valueCount: Frontier.valueCount)
      {
        sample.positions.append("\(shard):\(Frontier(frontier).sequence.value)")
      }
    }
    return sample
  }

  private func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe penstock_write(1, $0.baseAddress, $0.count) }
  }
}
