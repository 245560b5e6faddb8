// One line a second on a terminal: what the store is doing now.

internal import CShims
internal import PenstockCore

/// Shows rates from the shards' pages.
struct LiveLine {
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let shardCount: Int
  private var shownAt: Int64
  private var events: UInt64 = 0
  private var bytes: UInt64 = 0

  private static let interval: Int64 = 1_000_000_000

  init(_ layout: StoreLayout, _ store: StoreIdentifier, shardCount: Int) {
    self.layout = layout
    self.store = store
    self.shardCount = shardCount
    shownAt = System.monotonicNanoseconds()
  }

  func nanosecondsToNext() -> Int64 {
    max(0, shownAt + LiveLine.interval - System.monotonicNanoseconds())
  }

  /// Shows the line when a second has passed.
  mutating func show(_ now: Int64) {
    let elapsed = now - shownAt
    guard elapsed >= LiveLine.interval else { return }
    var total: UInt64 = 0
    var totalBytes: UInt64 = 0
    var drops: UInt64 = 0
    var positions: [String] = []
    for shard in 0..<shardCount {
      let log = LogNumber(UInt8(shard))
      let boot = System.bootIdentifier()
      guard
        let page = SharedPage(
          reading: layout.statisticsPage(store, log), magic: Statistics.magic, boot: boot,
          valueCount: Statistics.valueCount)
      else { continue }
      let statistics = Statistics(page)
      total += statistics[.eventsStored]
      totalBytes += statistics[.bytesStored]
      for listener in 0..<Limits.listenerCountMax { drops += statistics[listener, .dropped] }
      if let frontier = SharedPage(
        reading: layout.frontierPage(store, log), magic: Frontier.magic, boot: boot,
        valueCount: Frontier.valueCount)
      {
        positions.append("\(shard):\(Frontier(frontier).sequence.value)")
      }
    }
    let seconds = Double(elapsed) / 1e9
    let rate = Double(total &- min(events, total)) / seconds
    let megabytes = Double(totalBytes &- min(bytes, totalBytes)) / seconds / 1e6
    if events > 0 || shownAt > 0 {
      let line =
        "\r\u{1B}[K\(Int(rate)) events/s  \(Int(megabytes * 10) / 10).\(Int(megabytes * 10) % 10)"
        + " MB/s  durable \(positions.joined(separator: " "))  drops \(drops)"
      let text = Array(line.utf8)
      _ = unsafe text.withUnsafeBytes { unsafe penstock_write(1, $0.baseAddress, $0.count) }
    }
    events = total
    bytes = totalBytes
    shownAt = now
  }
}
