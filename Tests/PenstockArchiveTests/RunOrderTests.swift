// The order of a stream's rows: by digits when they are near each other, else by comparing.

import PenstockCore
import Testing

@testable import PenstockArchive

@Suite struct RunOrderTests {
  /// Times of rows, and how they come to be.
  enum Spread: String, CaseIterable {
    case same, ascending, descending, within, days, centuries
  }

  private func times(_ spread: Spread, _ count: Int, _ random: inout TestRandom) -> [Timestamp] {
    (0..<count).map { index in
      let step = Int64(index)
      switch spread {
      case .same: return Timestamp(seconds: 7, nanoseconds: 8)
      case .ascending: return Timestamp(seconds: step, nanoseconds: 5)
      case .descending: return Timestamp(seconds: 5000 - step, nanoseconds: 5)
      // Few distinct times, so that many are equal.
      case .within:
        return Timestamp(
          seconds: Int64.random(in: 0..<3, using: &random),
          nanoseconds: UInt32.random(in: 0..<50, using: &random))
      case .days:
        return Timestamp(
          seconds: Int64.random(in: 0..<900_000, using: &random), nanoseconds: 999_999_999)
      case .centuries:
        return Timestamp(
          seconds: Int64.random(in: -30_000_000_000..<200_000_000_000, using: &random),
          nanoseconds: 1)
      }
    }
  }

  @Test("rows of one time keep their order, others follow their times", arguments: Spread.allCases)
  func order(_ spread: Spread) {
    var random = TestRandom(seed: 4711)
    var order = RunOrder()
    for count in [2, 255, 256, 3000] {
      let times = times(spread, count, &random)
      guard let least = times.min(), let most = times.max() else { return }
      order.begin(count, numberMax: 2 * count + 1, least...most)
      for (index, time) in times.enumerated() { order.append(2 * index + 1, time) }
      order.sort()
      let wanted = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
      #expect((0..<count).map { order.row($0) } == wanted.map { 2 * $0 + 1 })
    }
  }
}
