// Scans that lend what they find instead of copying it: for going over very many events.

internal import PenstockArchive
internal import PenstockCore

extension TableReader {
  /// Calls `body` with the time and the payload of the events of a key, group by group and in order
  /// of time, until it says false. The payload is there for the time of the call.
  /// - Parameters:
  ///   - group: only those of this group; "" for those without one.
  ///   - index: only those that have this value of an indexed attribute, or of "type".
  ///   - times: only those of these nanoseconds since 1970, the upper one left out.
  public func forEachPayload(
    of key: String, group: String? = nil, index: TableEvent.Attribute? = nil,
    times: Range<Int64>? = nil, order: Order = .forward, _ body: (Int64, RawSpan) -> Bool
  ) throws(TableFailure) {
    var groups = try groups(of: key).filter { group == nil || ($0.group ?? "") == group }
    if order == .backward { groups.reverse() }
    let wanted = try index.map { (index) throws(TableFailure) in try found(index) }
    for group in groups {
      let scan = PayloadScan(
        scan(of: group, order, times, blocks: wanted?.blocks), wanted?.value,
        order == .forward ? .forward : .reverse)
      guard try scan.run(body) else { return }
    }
  }
}

/// A scan of one group.
private final class PayloadScan {
  private var scan: TableScan<LinuxFileSystem>
  private let wanted: RowValue?
  private let direction: ReadDirection

  init(
    _ scan: consuming TableScan<LinuxFileSystem>, _ wanted: RowValue?, _ direction: ReadDirection
  ) {
    self.scan = scan
    self.wanted = wanted
    self.direction = direction
  }

  /// False when `body` said so.
  func run(_ body: (Int64, RawSpan) -> Bool) throws(TableFailure) -> Bool {
    var goesOn = true
    while goesOn {
      let isMore: Bool
      do throws(TableError) {
        isMore = try scan.nextBlock { block, rows in
          goesOn = block.forEachPayload(rows, direction, of: wanted, body)
        }
      } catch {
        throw TableFailure(error)
      }
      guard isMore else { return true }
    }
    return false
  }
}
