// A fixed table of plain values: no growth, no reference counts, one bounds check an access.

internal import Glibc

/// `count` values of a plain type, taken once and kept until the table ends.
@safe
package struct Table<Element: BitwiseCopyable>: ~Copyable {
  private let base: UnsafeMutablePointer<Element>
  package let count: Int

  /// A table of `count` copies of `value`.
  package init(count: Int, repeating value: Element) {
    precondition(count > 0)
    self.count = count
    guard let memory = unsafe malloc(count * MemoryLayout<Element>.stride) else {
      preconditionFailure("no memory for a table of \(count) values")
    }
    unsafe base = memory.bindMemory(to: Element.self, capacity: count)
    unsafe base.initialize(repeating: value, count: count)
  }

  /// A table of `count` values whose bytes are all zero, which has to be a value of `Element`.
  /// Memory the kernel has just given is not touched.
  package init(zeroedCount count: Int) {
    precondition(count > 0)
    self.count = count
    guard let memory = unsafe calloc(count, MemoryLayout<Element>.stride) else {
      preconditionFailure("no memory for a table of \(count) values")
    }
    unsafe base = memory.bindMemory(to: Element.self, capacity: count)
  }

  deinit { unsafe free(base) }

  package subscript(index: Int) -> Element {
    @inline(__always) unsafeAddress {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      return unsafe UnsafePointer(base + index)
    }
    @inline(__always) unsafeMutableAddress {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      return unsafe base + index
    }
  }
}

/// A bounded first-in first-out queue of plain values.
package struct FixedQueue<Element: BitwiseCopyable>: ~Copyable {
  private var slots: Table<Element>
  private var head = 0
  /// Values waiting.
  package private(set) var count = 0

  package init(capacity: Int, repeating value: Element) {
    slots = Table(count: capacity, repeating: value)
  }

  package var isEmpty: Bool { @inline(__always) get { count == 0 } }

  /// Appends; the caller has made sure of room.
  @inline(__always)
  package mutating func append(_ value: Element) {
    precondition(count < slots.count)
    var index = head &+ count
    if index >= slots.count { index &-= slots.count }
    slots[index] = value
    count &+= 1
  }

  /// The value that waits longest.
  package var first: Element {
    @inline(__always) get {
      precondition(count > 0)
      return slots[head]
    }
    @inline(__always) set {
      precondition(count > 0)
      slots[head] = newValue
    }
  }

  @inline(__always)
  package mutating func removeFirst() {
    precondition(count > 0)
    head &+= 1
    if head == slots.count { head = 0 }
    count &-= 1
  }
}
