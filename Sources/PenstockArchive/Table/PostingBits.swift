// The postings of an index page as bits: where values are strewn over the blocks, a step to the
// next block takes little more than it says.
//
//     column   N (varint): a number above that of every block in the column; then bits, lowest
//              first, for each value those below; zeros up to a byte behind the last
//     value    places        gamma
//              first block   as many bits as N − 1 has
//              r             unary; left out when there is one place
//              steps         for each further place, block − that before − 1, Rice by r
//              s             unary
//              counts        nothing when s is 0: each block has one event of the value;
//                            otherwise for each place, events − 1, Rice by s − 1
//     unary n  n zeros, a one
//     gamma n  unary of how many bits n has behind its highest, then these bits
//     Rice     of all numbers n: first each n / 2^r in unary, then each n mod 2^r in r bits
//
// The writer takes the r and s that give the fewest bits. Quotients stand apart from remainders so
// that a value that is not wanted is passed over by counting ones, 64 bits at a time.

package import PenstockCore

/// Limits of the encoding.
enum PostingBits {
  /// Largest r: numbers of blocks have fewer bits.
  static let stepWidthMax = 31
  /// Largest s − 1: an event count has no more bits.
  static let countWidthMax = 16
  /// Most bits read at once: with up to seven before them in their byte they lie in one word.
  static let readBitCountMax = 56

  /// Bits of the number of a value's first block.
  static func firstBlockWidth(_ blockCount: Int) -> Int {
    NumberColumn.bitCount(UInt64(max(0, blockCount - 1)))
  }
}

/// Puts postings into bits.
package struct PostingBitsWriter: ~Copyable {
  private var column = ColumnBuffer(capacity: TableFormat.pageByteCount)
  private var blockCount = 0
  /// Bits that do not fill a byte yet.
  private var word: UInt64 = 0
  private var bitCount = 0

  package init() {}

  /// Begins a page of which no block has a number of `blockCount` or more.
  package mutating func begin(blockCount: Int) {
    precondition(bitCount == 0)
    self.blockCount = blockCount
    column.removeAll()
    column.append(varint: blockCount)
  }

  /// Adds a value.
  package mutating func add(_ places: ArraySlice<IndexPosting>) {
    guard let first = places.first else { return }
    gamma(UInt64(places.count))
    put(UInt64(first.block), PostingBits.firstBlockWidth(blockCount))
    if places.count > 1 {
      let steps = zip(places, places.dropFirst()).map { UInt64($1.block - $0.block - 1) }
      let width = PostingBitsWriter.width(steps, max: PostingBits.stepWidthMax)
      unary(UInt64(width))
      rice(steps, width)
    }
    let counts = places.map { UInt64($0.eventCount - 1) }
    guard counts.contains(where: { $0 > 0 }) else { return unary(0) }
    let width = PostingBitsWriter.width(counts, max: PostingBits.countWidthMax)
    unary(UInt64(width + 1))
    rice(counts, width)
  }

  /// Fills up the last byte and appends the column to `target`.
  package mutating func finish(into target: inout ColumnBuffer) {
    if bitCount > 0 { put(0, 8 - bitCount) }
    target.append(column.bytes)
  }

  /// The width that takes the fewest bits. Each bit more saves less than the one before, so the
  /// first that saves nothing ends the search.
  private static func width(_ numbers: [UInt64], max limit: Int) -> Int {
    var least = numbers.reduce(0, +)
    for width in 1...limit {
      let bits = numbers.reduce(UInt64(width * numbers.count)) { $0 + $1 >> UInt64(width) }
      guard bits < least else { return width - 1 }
      least = bits
    }
    return limit
  }

  private mutating func rice(_ numbers: [UInt64], _ width: Int) {
    for number in numbers { unary(number >> UInt64(width)) }
    guard width > 0 else { return }
    for number in numbers { put(number & (1 << UInt64(width) - 1), width) }
  }

  private mutating func gamma(_ number: UInt64) {
    let width = NumberColumn.bitCount(number) - 1
    unary(UInt64(width))
    put(number & (1 << UInt64(width) - 1), width)
  }

  private mutating func unary(_ number: UInt64) {
    var rest = Int(number)
    while rest >= PostingBits.readBitCountMax {
      put(0, PostingBits.readBitCountMax)
      rest -= PostingBits.readBitCountMax
    }
    put(1 << UInt64(rest), rest + 1)
  }

  /// Appends up to 56 bits.
  private mutating func put(_ bits: UInt64, _ count: Int) {
    assert(count <= PostingBits.readBitCountMax && NumberColumn.bitCount(bits) <= count)
    word |= bits << UInt64(bitCount)
    bitCount += count
    while bitCount >= 8 {
      column.append(UInt8(truncatingIfNeeded: word))
      word >>= 8
      bitCount -= 8
    }
  }
}

/// Takes postings out of bits. Nothing it is given may be trusted.
package struct PostingBitsReader {
  /// Numbers of blocks in the column are below it.
  private let blockCount: Int
  /// The next bit, and the end of the column, counted from the first bit of the part's bytes.
  private var position: Int
  private let end: Int

  /// - Parameter blockCount: blocks of the table; nil when the column names more.
  package init?(_ range: ByteRange, _ span: RawSpan, blockCount: Int) {
    var numbers = NumberReader(range)
    guard let count = numbers.count(span, max: blockCount), count > 0 else { return nil }
    self.blockCount = count
    position = numbers.offset * 8
    end = range.upperBound * 8
  }

  /// Whether nothing but what fills up the last byte is left.
  package func isAtEnd(_ span: RawSpan) -> Bool {
    end - position < 8 && window(span) == 0
  }

  /// The postings of the next value; nil when they are none.
  package mutating func next(_ span: RawSpan) -> [IndexPosting]? {
    guard let head = head(span) else { return nil }
    var places = [IndexPosting](
      repeating: IndexPosting(block: head.first, eventCount: 1), count: head.count)
    if let width = head.stepWidth {
      for index in 1..<head.count {
        guard let quotient = unary(span, max: blockCount >> width) else { return nil }
        places[index].block = quotient << width
      }
      for index in 1..<head.count {
        guard let rest = bits(span, width) else { return nil }
        let before = places[index - 1].block
        let step = places[index].block | rest
        guard step < blockCount - 1 - before else { return nil }
        places[index].block = before + 1 + step
      }
    }
    guard let width = countWidth(span) else { return nil }
    guard width >= 0 else { return places }
    for index in places.indices {
      guard let quotient = unary(span, max: TableFormat.rowCountMax >> width) else { return nil }
      places[index].eventCount = quotient << width
    }
    for index in places.indices {
      guard let rest = bits(span, width) else { return nil }
      places[index].eventCount = (places[index].eventCount | rest) + 1
      guard places[index].eventCount <= TableFormat.rowCountMax else { return nil }
    }
    return places
  }

  /// Passes over the next value; false when it ends too late.
  package mutating func skip(_ span: RawSpan) -> Bool {
    guard let head = head(span) else { return false }
    if let width = head.stepWidth, !skipRice(span, head.count - 1, width) { return false }
    guard let width = countWidth(span) else { return false }
    return width < 0 || skipRice(span, head.count, width)
  }

  // MARK: - Numbers

  /// How many places a value has, the first, and r when there are more.
  private mutating func head(_ span: RawSpan) -> (count: Int, first: Int, stepWidth: Int?)? {
    guard let behind = unary(span, max: PostingBits.stepWidthMax), let low = bits(span, behind)
    else { return nil }
    let count = 1 << behind | low
    guard count <= blockCount, let first = bits(span, PostingBits.firstBlockWidth(blockCount)),
      first <= blockCount - count
    else { return nil }
    guard count > 1 else { return (1, first, nil) }
    // Each further place takes a bit at least.
    guard let width = unary(span, max: PostingBits.stepWidthMax), count <= end - position + 1
    else { return nil }
    return (count, first, width)
  }

  /// s − 1; nil when it is none.
  private mutating func countWidth(_ span: RawSpan) -> Int? {
    unary(span, max: PostingBits.countWidthMax + 1).map { $0 - 1 }
  }

  /// The bits from `position` on, at least 56 of them, with zeros for those behind the end.
  @inline(__always)
  private func window(_ span: RawSpan) -> UInt64 {
    let word = span.word(at: position >> 3) >> UInt64(position & 7)
    let left = end - position
    return left < 64 ? word & (1 << UInt64(left) - 1) : word
  }

  private mutating func passWindow() {
    position = min(end, position + PostingBits.readBitCountMax)
  }

  private mutating func bits(_ span: RawSpan, _ count: Int) -> Int? {
    guard count <= end - position else { return nil }
    let word = window(span) & (1 << UInt64(count) - 1)
    position += count
    return Int(truncatingIfNeeded: word)
  }

  private mutating func unary(_ span: RawSpan, max limit: Int) -> Int? {
    var number = 0
    while position < end {
      let word = window(span)
      if word != 0 {
        number += word.trailingZeroBitCount
        position += word.trailingZeroBitCount + 1
        return number <= limit ? number : nil
      }
      number += PostingBits.readBitCountMax
      passWindow()
      if number > limit { return nil }
    }
    return nil
  }

  /// Passes over `count` numbers in unary, and what is left of each.
  private mutating func skipRice(_ span: RawSpan, _ count: Int, _ width: Int) -> Bool {
    var left = count
    while left > 0 {
      guard position < end else { return false }
      // 56 bits are there wherever in its byte the first one is.
      var word = window(span) & (1 << UInt64(PostingBits.readBitCountMax) - 1)
      let ones = word.nonzeroBitCount
      if ones < left {
        left -= ones
        passWindow()
      } else {
        for _ in 1..<left { word &= word - 1 }
        position += word.trailingZeroBitCount + 1
        left = 0
      }
    }
    guard count * width <= end - position else { return false }
    position += count * width
    return true
  }
}
