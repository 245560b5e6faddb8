// Distinct strings of bytes, numbered in the order they are met.

internal import PenstockCore

/// Finds the number of a string of bytes; one it does not know gets the next.
struct ByteTable: ~Copyable {
  /// The strings, one after the other.
  private(set) var bytes = ColumnBuffer(capacity: 16 << 10)
  private var entries: [Entry] = []
  /// One more than the number of an entry, 0 when free; at most half of them are taken.
  private var slots = [UInt32](repeating: 0, count: 256)

  private struct Entry {
    var offset: UInt32
    var byteCount: UInt32
    var hash: UInt64
  }

  var count: Int { entries.count }

  mutating func removeAll() {
    bytes.removeAll()
    entries.removeAll(keepingCapacity: true)
    for index in slots.indices { slots[index] = 0 }
  }

  /// Where a string lies in `bytes`.
  func range(_ number: Int) -> ByteRange {
    let entry = entries[number]
    return Int(entry.offset)..<(Int(entry.offset) &+ Int(entry.byteCount))
  }

  /// The number of the string in `range` of `source`.
  @inline(__always)
  mutating func number(of source: borrowing ColumnBuffer, _ range: ByteRange, hash: UInt64) -> Int {
    number(of: source.bytes(0..<(range.upperBound &+ 8)), range, hash: hash)
  }

  /// The number of the string in `range` of `source`.
  @inline(__always)
  mutating func number(of source: RawSpan, _ range: ByteRange, hash: UInt64) -> Int {
    let mask = slots.count &- 1
    var slot = Int(truncatingIfNeeded: hash >> 20) & mask
    while true {
      let found = slots[slot]
      if found == 0 { return add(source.extracting(range), hash, slot) }
      let entry = entries[Int(found) &- 1]
      if entry.hash == hash, Int(entry.byteCount) == range.count,
        isEqual(entry, source, range.lowerBound)
      {
        return Int(found) &- 1
      }
      slot = (slot &+ 1) & mask
    }
  }

  @inline(__always)
  private func isEqual(_ entry: Entry, _ source: RawSpan, _ start: Int) -> Bool {
    let own = bytes.bytes
    let count = Int(entry.byteCount)
    var offset = 0
    while offset < count {
      var difference = own.word(at: Int(entry.offset) &+ offset) ^ source.word(at: start &+ offset)
      let rest = count &- offset
      if rest < 8 { difference &= ~(~0 << UInt64(8 &* rest)) }
      guard difference == 0 else { return false }
      offset &+= 8
    }
    return true
  }

  @inline(never)
  private mutating func add(_ span: RawSpan, _ hash: UInt64, _ slot: Int) -> Int {
    let offset = bytes.count
    bytes.append(span)
    entries.append(
      Entry(offset: UInt32(offset), byteCount: UInt32(span.byteCount), hash: hash))
    slots[slot] = UInt32(entries.count)
    if 2 * entries.count > slots.count { rehash() }
    return entries.count - 1
  }

  private mutating func rehash() {
    slots = [UInt32](repeating: 0, count: 4 * slots.count)
    let mask = slots.count - 1
    for (number, entry) in entries.enumerated() {
      var slot = Int(truncatingIfNeeded: entry.hash >> 20) & mask
      while slots[slot] != 0 { slot = (slot + 1) & mask }
      slots[slot] = UInt32(number + 1)
    }
  }
}

/// The hash of a string of bytes that is met in pieces.
struct ByteHash {
  private(set) var value: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// Takes up to eight bytes.
  @inline(__always)
  mutating func add(_ word: UInt64) {
    value = (value ^ word) &* 0xD6E8_FEB8_6659_FD93
    value ^= value >> 32
  }

  /// Takes the bytes of `range`.
  @inline(__always)
  mutating func add(_ span: RawSpan, _ range: ByteRange) {
    var offset = range.lowerBound
    while offset &+ 8 <= range.upperBound {
      add(span.word(at: offset))
      offset &+= 8
    }
    let rest = range.upperBound &- offset
    if rest > 0 { add(span.word(at: offset) & ~(~0 << UInt64(8 &* rest))) }
    add(UInt64(range.count))
  }
}
