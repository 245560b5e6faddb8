// Puts the rows of one stream into the order of time.
//
//     near    all times within `nearNanosecondsMax` of the first: time and row share one number,
//             which is sorted digit by digit, lowest first; a digit all numbers share is skipped
//     far     anything else: sorted by comparing
//
// Equal times stay in order of position, which is that of the rows.

internal import PenstockCore

/// Sorts rows by time: `begin`, `append` each, `sort`, then ask for the row at each place.
struct RunOrder {
  private var near: [UInt64] = []
  private var other: [UInt64] = []
  private var far: [TimeKey] = []
  private var isNear = false
  private var earliest = Timestamp.earliest

  /// Bits of a number that name the row.
  private static let rowBitCount: UInt64 = 21
  /// How far apart the times of rows may be that are sorted by digits: about two hours.
  private static let nearNanosecondsMax: Int64 = (1 << 43) - 1
  private static let digitBitCount: UInt64 = 11
  /// Rows from which on counting digits is worth it.
  private static let digitRowCountMin = 256

  /// Begins with `count` rows, of numbers below `numberMax`, whose times lie in `times`.
  mutating func begin(_ count: Int, numberMax: Int, _ times: ClosedRange<Timestamp>) {
    earliest = times.lowerBound
    let distance = times.upperBound.nearNanoseconds(since: earliest) ?? .max
    isNear =
      distance <= RunOrder.nearNanosecondsMax && numberMax <= 1 << Int(RunOrder.rowBitCount)
      && count >= RunOrder.digitRowCountMin
    near.removeAll(keepingCapacity: isNear)
    other.removeAll(keepingCapacity: isNear)
    far.removeAll(keepingCapacity: !isNear)
    if isNear { near.reserveCapacity(count) } else { far.reserveCapacity(count) }
  }

  /// Adds a row; their numbers ascend.
  @inline(__always)
  mutating func append(_ number: Int, _ time: Timestamp) {
    guard isNear, let distance = time.nearNanoseconds(since: earliest) else {
      return far.append(
        TimeKey(seconds: time.seconds, nanoseconds: time.nanoseconds, row: UInt32(number)))
    }
    near.append(UInt64(bitPattern: distance) << RunOrder.rowBitCount | UInt64(number))
  }

  mutating func sort() {
    if isNear { sortDigits() } else { far.sort(by: TimeKey.precedes) }
  }

  /// The number of the row at a place of the order.
  @inline(__always)
  func row(_ place: Int) -> Int {
    isNear ? Int(near[place] & ((1 << RunOrder.rowBitCount) &- 1)) : Int(far[place].row)
  }

  private mutating func sortDigits() {
    var different: UInt64 = 0
    for number in near { different |= number ^ near[0] }
    other.append(contentsOf: repeatElement(0, count: near.count))
    let mask: UInt64 = (1 << RunOrder.digitBitCount) - 1
    for shift in stride(
      from: RunOrder.rowBitCount, to: UInt64(UInt64.bitWidth), by: Int(RunOrder.digitBitCount))
    where (different >> shift) & mask != 0 {
      var starts = [Int](repeating: 0, count: Int(mask) + 2)
      for number in near { starts[Int((number >> shift) & mask) + 1] += 1 }
      for digit in 0..<Int(mask) { starts[digit + 1] += starts[digit] }
      for number in near {
        let digit = Int((number >> shift) & mask)
        other[starts[digit]] = number
        starts[digit] += 1
      }
      swap(&near, &other)
    }
  }
}

/// A row of one stream and its time.
private struct TimeKey {
  var seconds: Int64
  var nanoseconds: UInt32
  var row: UInt32

  static func precedes(_ left: TimeKey, _ right: TimeKey) -> Bool {
    if left.seconds != right.seconds { return left.seconds < right.seconds }
    if left.nanoseconds != right.nanoseconds { return left.nanoseconds < right.nanoseconds }
    return left.row < right.row
  }
}
