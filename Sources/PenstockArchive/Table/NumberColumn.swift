// Numbers of a column, as many as the reader knows: each differs little from its neighbours, or
// from few others, and that is what is stored.
//
//     numbers     head u8: transform << 4 | packing, what the transform needs, packed numbers;
//                 nothing at all when there are none
//     transform   1 offset      base (varint), then number − base
//                 2 difference  the first and a unit (varints), then of each other one
//                               zigzag((number − the one before) / unit), signed; one less
//                 3 dictionary  how many distinct ones (varint), those as numbers (of another
//                               transform), then for each number which
//     packing     0 varints
//                 1 bits        width w u8 (1 … 56), w bits of each, lowest first, filled up to a
//                               byte; 2^w − 1 says that a varint of the rest stands behind them
//                 2 planes      bytes u8 (1 … 8), byte 0 of all, byte 1 of all, …
//                 3 same        all are this one (varint)
//
// Arithmetic is modulo 2^64, so every stored form gives some number and every number has a form.
// Varints are for LZ4, which finds repetitions in them and none in bits: the encoder estimates both,
// and tries when there is time.

internal import PenstockCore

/// How the numbers of a column are stored.
enum NumberColumn {
  enum Transform: UInt8 {
    case offset = 1
    case difference, dictionary
  }

  enum Packing: UInt8 {
    case varints = 0
    case bits, planes, same
  }

  /// More bits, and at some bit of a byte, would not lie in one word.
  static let widthMax = 56

  @inline(__always)
  static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }

  @inline(__always)
  static func unzigzag(_ value: UInt64) -> Int64 {
    Int64(bitPattern: value >> 1) ^ (0 &- Int64(bitPattern: value & 1))
  }

  @inline(__always)
  static func bitCount(_ value: UInt64) -> Int { 64 &- value.leadingZeroBitCount }
}

/// What is known of numbers before they are packed.
struct NumberShape: ~Copyable {
  /// How many there are of each size in bits.
  private var sizes = NumberBuffer(capacity: 65)
  private var count = 0
  /// How many differ from the one before.
  private(set) var changeCount = 0
  private var last: UInt64 = 0
  /// The bits of all numbers together.
  private var union: UInt64 = 0
  private var first: UInt64 = 0

  /// A packing, and the bytes it would take.
  struct Choice {
    var packing: NumberColumn.Packing
    var width = 0
    var byteCount: Int
  }

  init() { sizes.append(zeros: 65) }

  mutating func removeAll() {
    sizes.removeAll()
    sizes.append(zeros: 65)
    count = 0
    changeCount = 0
    union = 0
  }

  @inline(__always)
  mutating func add(_ value: UInt64) {
    if count == 0 { first = value } else if value != last { changeCount &+= 1 }
    last = value
    union |= value
    count &+= 1
    sizes[NumberColumn.bitCount(value)] &+= 1
  }

  /// Adds a number that differs: those that were looked at are the same, but not all are.
  mutating func addOther() { add(first ^ 1) }

  @inline(__always)
  private func varintByteCount(_ bits: Int) -> Int { max(1, (bits &+ 6) / 7) }

  /// Bytes of all numbers as varints.
  var varintByteCount: Int {
    var total = 0
    for bits in 0...largestBitCount { total &+= Int(sizes[bits]) &* varintByteCount(bits) }
    return total
  }

  var isSame: Bool { changeCount == 0 }

  /// What numbers as varints would take behind LZ4, guessed: those that change, and a little for
  /// each run.
  private var guessedVarintByteCount: Int {
    guard count > 0 else { return 0 }
    let perNumber = Double(varintByteCount) / Double(count)
    return min(varintByteCount, Int(Double(changeCount) * (perNumber + 1.5)) + count / 200 + 4)
  }

  var largestBitCount: Int { NumberColumn.bitCount(union) }

  /// The packing that should take least.
  /// - Parameter planes: how many bytes the largest number has; nil when that is not known.
  func best(planes: Int?) -> Choice {
    if isSame {
      return Choice(packing: .same, byteCount: varintByteCount(NumberColumn.bitCount(first)))
    }
    let bits = bestBits(planes: planes)
    let varints = guessedVarintByteCount
    return bits.byteCount <= varints ? bits : Choice(packing: .varints, byteCount: varints)
  }

  /// The best of the packings LZ4 finds nothing in.
  func bestBits(planes: Int?) -> Choice {
    var best = Choice(packing: .varints, byteCount: varintByteCount)
    if let planes = planes.map({ max(1, $0) }), planes * count + 1 < best.byteCount {
      best = Choice(packing: .planes, width: planes, byteCount: planes * count + 1)
    }
    let largest = largestBitCount
    // Bytes of the exceptions: of all numbers larger than the width.
    var exceptions = 0
    for width in stride(from: largest, through: 1, by: -1) {
      let total = (count * width + 7) / 8 + exceptions + 1
      if width <= NumberColumn.widthMax, total < best.byteCount {
        best = Choice(packing: .bits, width: width, byteCount: total)
      }
      exceptions += Int(sizes[width]) * varintByteCount(width)
    }
    return best
  }
}
