// Numbers of 64 bits, in memory that is used again and again.

internal import PenstockCore

/// A growing row of numbers.
@safe
package struct NumberBuffer: ~Copyable {
  private var base: UnsafeMutablePointer<UInt64>
  private var capacity: Int
  package private(set) var count = 0

  /// - Parameter capacity: numbers at the start; it grows when it has to.
  package init(capacity: Int = 1024) {
    precondition(capacity > 0)
    unsafe base = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
    self.capacity = capacity
  }

  deinit { unsafe base.deallocate() }

  /// - Parameter other: numbers to begin with.
  init(copyOf other: borrowing NumberBuffer) {
    self.init(capacity: max(1, other.count))
    append(contentsOf: other)
  }

  mutating func removeAll() { count = 0 }

  /// Every number that was appended has been written: a place below `count` is initialised.
  @inline(__always)
  package subscript(index: Int) -> UInt64 {
    get {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      return unsafe base[index]
    }
    set {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      unsafe base[index] = newValue
    }
  }

  /// The address of `count` numbers, for C to fill; they are zero before.
  mutating func filled(_ count: Int) -> UnsafeMutablePointer<UInt64> {
    removeAll()
    append(zeros: count)
    return unsafe base
  }

  @inline(__always)
  package mutating func append(_ value: UInt64) {
    if count == capacity { grow(1) }
    unsafe base[count] = value
    count &+= 1
  }

  /// Appends numbers that are already here.
  @inline(__always)
  mutating func append(copyOf range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    if count &+ range.count > capacity { grow(range.count) }
    for index in range {
      unsafe base[count] = unsafe base[index]
      count &+= 1
    }
  }

  /// Appends all numbers of another.
  mutating func append(contentsOf other: borrowing NumberBuffer) {
    if count + other.count > capacity { grow(other.count) }
    unsafe (base + count).initialize(from: other.base, count: other.count)
    count += other.count
  }

  /// Appends `extra` zeros.
  mutating func append(zeros extra: Int) {
    precondition(extra >= 0)
    if count + extra > capacity { grow(extra) }
    unsafe (base + count).initialize(repeating: 0, count: extra)
    count += extra
  }

  @inline(never)
  private mutating func grow(_ extra: Int) {
    let larger = max(count + extra, 2 * capacity)
    let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: larger)
    unsafe memory.initialize(from: base, count: count)
    unsafe base.deallocate()
    unsafe base = memory
    capacity = larger
  }
}
