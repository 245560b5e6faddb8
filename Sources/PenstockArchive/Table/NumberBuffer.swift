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

  /// Appends `extra` times the same number.
  mutating func append(repeating value: UInt64, count extra: Int) {
    precondition(extra >= 0)
    if count + extra > capacity { grow(extra) }
    unsafe (base + count).initialize(repeating: value, count: extra)
    count += extra
  }

  /// Appends `extra` numbers of `width` bits each, lowest first, that begin at a byte of `span`.
  /// - Parameters:
  ///   - width: 1 to 56.
  ///   - mark: a number to look out for.
  /// - Returns: whether one of them is `mark`.
  mutating func append(
    bitsOf span: RawSpan, from start: Int, width: Int, count extra: Int, mark: UInt64
  ) -> Bool {
    precondition(extra >= 0 && width >= 1 && width <= 56)
    precondition(start >= 0 && start + (extra * width + 7) / 8 <= span.byteCount)
    if count + extra > capacity { grow(extra) }
    let target = unsafe base + count
    count += extra
    let mask: UInt64 = (1 << UInt64(width)) &- 1
    // Words of the last numbers may reach behind the span: those are read with care.
    let whole = max(0, min(extra, ((span.byteCount &- start &- 8) &* 8) / width))
    var hasMark = false
    var position = start &* 8
    unsafe span.withUnsafeBytes { bytes in
      for index in 0..<whole {
        let word = unsafe bytes.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self)
        let value = word &>> UInt64(position & 7) & mask
        hasMark = hasMark || value == mark
        unsafe target[index] = value
        position &+= width
      }
    }
    for index in whole..<extra {
      let value = span.word(at: position &>> 3) &>> UInt64(position & 7) & mask
      hasMark = hasMark || value == mark
      unsafe target[index] = value
      position &+= width
    }
    return hasMark
  }

  /// Appends `extra` numbers of `planeCount` bytes each: the lowest bytes of all, then the next.
  mutating func append(
    planesOf span: RawSpan, from start: Int, planeCount: Int, count extra: Int
  ) {
    precondition(extra >= 0 && planeCount >= 1 && planeCount <= 8)
    precondition(start >= 0 && start + extra * planeCount <= span.byteCount)
    append(zeros: extra)
    let target = unsafe base + (count - extra)
    unsafe span.withUnsafeBytes { bytes in
      for plane in 0..<planeCount {
        let place = start &+ plane &* extra
        let shift = UInt64(8 &* plane)
        for index in 0..<extra {
          let byte = unsafe bytes.load(fromByteOffset: place &+ index, as: UInt8.self)
          unsafe target[index] |= UInt64(byte) &<< shift
        }
      }
    }
  }

  /// Adds `value` to every number from `start` on.
  mutating func add(_ value: UInt64, from start: Int) {
    precondition(start >= 0 && start <= count)
    for index in start..<count { unsafe base[index] &+= value }
  }

  /// Makes numbers of steps: each from `start` on becomes the one before it plus its step, zigzag,
  /// times `unit`.
  mutating func accumulate(from start: Int, unit: UInt64) {
    precondition(start >= 1 && start <= count)
    var previous = unsafe base[start - 1]
    for index in start..<count {
      let step = unsafe UInt64(bitPattern: NumberColumn.unzigzag(base[index]))
      previous &+= step &* unit
      unsafe base[index] = previous
    }
  }

  /// The least and the greatest of some numbers, taken as signed; there is one at least.
  func signedBounds(_ range: Range<Int>) -> ClosedRange<Int64> {
    precondition(range.lowerBound >= 0 && range.upperBound <= count && !range.isEmpty)
    var least = Int64.max
    var most = Int64.min
    for index in range {
      let value = unsafe Int64(bitPattern: base[index])
      least = min(least, value)
      most = max(most, value)
    }
    return least...most
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
