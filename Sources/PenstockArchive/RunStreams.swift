// The keys (StreamKey) of an archiver run, each with a number, and their order.
//
// Names come from outside, so the hash is keyed with a random number: nobody can choose names that
// all fall into one slot.

internal import PenstockCore

/// The names of a run's streams.
struct RunStreams: ~Copyable {
  private var names = ColumnBuffer(capacity: 64 << 10)
  private var ends: [UInt32] = []
  private var hashes: [UInt32] = []
  /// Number + 1 by hash, 0 for free; a power of two, at most half full.
  private var slots = [UInt32](repeating: 0, count: slotCountMin)
  private let key = System.random() | 1
  /// The name asked for last: neighbours in a log are often of one stream.
  private var last = 0

  private static let slotCountMin = 1024

  var count: Int { ends.count }

  /// Memory in use: names, ends, hashes, slots, and ranks and counts when they are sorted.
  var byteCount: Int { names.count + count * 24 + slots.count * 4 }

  mutating func removeAll() {
    names.removeAll()
    ends.removeAll(keepingCapacity: false)
    hashes.removeAll(keepingCapacity: false)
    slots = [UInt32](repeating: 0, count: RunStreams.slotCountMin)
    last = 0
  }

  private func range(_ number: Int) -> ByteRange {
    (number == 0 ? 0 : Int(ends[number - 1]))..<Int(ends[number])
  }

  /// The name with this number.
  @_lifetime(borrow self)
  func name(_ number: Int) -> RawSpan { names.memory.bytes(range(number)) }

  /// A copy of the name with this number.
  func bytes(_ number: Int) -> [UInt8] { name(number).array() }

  /// The number of `name`, which is given one when it is new.
  @inline(__always)
  mutating func number(of name: RawSpan) -> Int {
    if last < count, self.name(last).equals(name) { return last }
    last = find(name)
    return last
  }

  /// The number of the key of `stream` and `group`.
  mutating func number(of stream: RawSpan, group: RawSpan) -> Int {
    let start = names.count
    names.append(stream)
    names.append(varint: UInt64(Byte.null))
    names.append(group)
    return number(ofNameFrom: start)
  }

  /// The number of a value behind one byte that says what it is of.
  mutating func number(of value: RawSpan, prefix: UInt8) -> Int {
    let start = names.count
    names.append(varint: UInt64(prefix))
    names.append(value)
    return number(ofNameFrom: start)
  }

  /// The number of the name that was appended at `start`; one that is known is cut off again.
  private mutating func number(ofNameFrom start: Int) -> Int {
    let range = start..<names.count
    let hash = hash(names.bytes.extracting(range))
    let (number, slot) = look(for: names.bytes.extracting(range), hash)
    if let number {
      names.cut(to: start)
      return number
    }
    return insert(hash, slot)
  }

  /// Whether the name with this number is what `range` of `bytes` holds, behind its first byte.
  @inline(__always)
  func hasValue(_ bytes: RawSpan, _ range: ByteRange, _ number: Int) -> Bool {
    let known = self.range(number)
    return known.count == range.count &+ 1
      && names.bytes.holds(
        known.lowerBound &+ 1, range.count, of: bytes, at: range.lowerBound)
  }

  private mutating func find(_ name: RawSpan) -> Int {
    let hash = hash(name)
    let (number, slot) = look(for: name, hash)
    if let number { return number }
    names.append(name)
    return insert(hash, slot)
  }

  /// Where a name is, or would be.
  private func look(for name: RawSpan, _ hash: UInt32) -> (number: Int?, slot: Int) {
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let number = Int(slots[slot]) - 1
      if hashes[number] == hash, self.name(number).equals(name) { return (number, slot) }
      slot = (slot + 1) & (slots.count - 1)
    }
    return (nil, slot)
  }

  /// Gives the name just appended a number.
  private mutating func insert(_ hash: UInt32, _ slot: Int) -> Int {
    ends.append(UInt32(names.count))
    hashes.append(hash)
    slots[slot] = UInt32(count)
    if count * 2 > slots.count { grow() }
    return count - 1
  }

  @inline(__always)
  private func hash(_ name: RawSpan) -> UInt32 {
    var state = key &+ UInt64(truncatingIfNeeded: name.byteCount)
    var offset = 0
    while offset < name.byteCount {
      let product = (name.word(at: offset) ^ state).multipliedFullWidth(by: key)
      state = product.high ^ product.low &+ 0x9E37_79B9_7F4A_7C15
      offset &+= 8
    }
    return UInt32(truncatingIfNeeded: state ^ state >> 32)
  }

  private mutating func grow() {
    slots = [UInt32](repeating: 0, count: slots.count * 2)
    for (number, hash) in hashes.enumerated() {
      var slot = Int(hash) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number) + 1
    }
  }

  /// The numbers in the order of their names.
  func sorted() -> [UInt32] {
    var order = (0..<UInt32(count)).map { $0 }
    sort(&order)
    return order
  }

  private borrowing func sort(_ order: inout [UInt32]) {
    order.sort { left, right in self.name(Int(left)).precedes(self.name(Int(right))) }
  }
}
