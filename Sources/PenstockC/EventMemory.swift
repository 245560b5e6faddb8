// The bytes of the event that a cursor gave last, in one block:
//
//     attributes (pointers into the block) | stream | type | keys and values | payload
//
// Proof of bounds: the block is made as large as the attributes and the bytes of an event together.
// Attributes are stored by their index below the count it was made for, and before bytes are copied
// their range is checked against the block.

internal import CPenstock
internal import Penstock

/// Owns what the pointers of one `penstock_event` point to.
@safe
struct EventMemory: ~Copyable {
  private var block: UnsafeMutableRawBufferPointer
  private var usedByteCount = 0

  /// A usual event's size; one that is larger makes the block grow.
  private static let byteCount = 4096
  private static let attributeByteCount = unsafe MemoryLayout<penstock_attribute>.stride

  init() { unsafe block = EventMemory.allocate(EventMemory.byteCount) }

  deinit { unsafe block.deallocate() }

  private static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    unsafe .allocate(
      byteCount: byteCount, alignment: MemoryLayout<penstock_attribute>.alignment)
  }

  /// The event for C. What was given before is gone.
  mutating func view(_ event: Event) -> penstock_event {
    let tableByteCount = event.attributes.count * EventMemory.attributeByteCount
    var byteCount = tableByteCount + event.stream.utf8.count + event.type.utf8.count
    byteCount += event.payload.count
    for attribute in event.attributes {
      byteCount += attribute.key.utf8.count + attribute.value.utf8.count
    }
    if unsafe byteCount > block.count {
      unsafe block.deallocate()
      unsafe block = EventMemory.allocate(byteCount)
    }
    usedByteCount = tableByteCount
    for (index, attribute) in event.attributes.enumerated() {
      let pair = unsafe penstock_attribute(key: copy(attribute.key), value: copy(attribute.value))
      unsafe block.storeBytes(
        of: pair, toByteOffset: index * EventMemory.attributeByteCount,
        as: penstock_attribute.self)
    }
    let table = unsafe block.baseAddress?.assumingMemoryBound(to: penstock_attribute.self)
    return unsafe penstock_event(
      sequence: event.sequence, time: event.time, stream: copy(event.stream),
      type: copy(event.type), attributes: UnsafePointer(table),
      attribute_count: event.attributes.count, payload: copy(event.payload),
      log: UInt32(truncatingIfNeeded: event.log), id: event.id ?? 0, has_id: event.id != nil)
  }

  private mutating func copy(_ text: String) -> penstock_bytes {
    var text = text
    return text.withUTF8 { unsafe copy(UnsafeRawBufferPointer($0)) }
  }

  private mutating func copy(_ bytes: [UInt8]) -> penstock_bytes {
    unsafe bytes.withUnsafeBytes { unsafe copy($0) }
  }

  private mutating func copy(_ bytes: UnsafeRawBufferPointer) -> penstock_bytes {
    let range = usedByteCount..<(usedByteCount + bytes.count)
    unsafe precondition(range.upperBound <= block.count)
    let place = unsafe UnsafeMutableRawBufferPointer(rebasing: block[range])
    unsafe place.copyMemory(from: bytes)
    usedByteCount = range.upperBound
    return unsafe penstock_bytes(
      data: UnsafePointer(place.baseAddress?.assumingMemoryBound(to: CChar.self)),
      count: range.count)
  }
}
