// A store's options as C gives them: a struct that says how large it is.
//
// A smaller one is an older header's: what it lacks is zero, the usual. Of a larger one the bytes that
// are not known here have to be zero.

internal import CPenstock
internal import Penstock

enum GivenOptions {
  /// Bytes no version of the struct has, so that a size that was never set is found out.
  private static let byteCountMax = 4096
  private static let segmentByteCounts: ClosedRange<UInt64> = 4 << 20...512 << 20

  /// The options; nil for the usual ones.
  static func read(_ given: UnsafePointer<penstock_store_options>?) throws(StoreError)
    -> Store.Options
  {
    var options = Store.Options()
    guard unsafe given != nil else { return options }
    let known = try unsafe whole(try Arguments.place(given, "the options"))
    if known.journal_log_count > 0 {
      guard known.journal_log_count <= 256 else {
        throw .invalid("journals are spread over 1 to 256 logs, not \(known.journal_log_count)")
      }
      options.journalLogCount = Int(known.journal_log_count)
    }
    switch known.io {
    case PENSTOCK_IO_AUTOMATIC: options.io = .automatic
    case PENSTOCK_IO_RING: options.io = .ring
    case PENSTOCK_IO_POLL: options.io = .poll
    default: throw .invalid("there is no penstock_io \(known.io.rawValue)")
    }
    if known.segment_byte_count > 0 {
      guard segmentByteCounts.contains(known.segment_byte_count) else {
        throw .invalid("a segment has 4 to 512 MiB, not \(known.segment_byte_count) bytes")
      }
      options.segmentByteCount = Int(known.segment_byte_count)
    }
    switch known.live_byte_count_max {
    case 0: break
    case .max: options.liveByteCountMax = nil
    default: options.liveByteCountMax = Int(clamping: known.live_byte_count_max)
    }
    return options
  }

  private static func whole(_ given: UnsafePointer<penstock_store_options>) throws(StoreError)
    -> penstock_store_options
  {
    // The header's contract is that there are so many bytes; `size` itself is there in any case.
    let count = unsafe UnsafeRawPointer(given).load(as: Int.self)
    guard (MemoryLayout<Int>.size...byteCountMax).contains(count) else {
      throw .invalid(
        "the options have no size: set it to sizeof(penstock_store_options), not \(count)")
    }
    let bytes = unsafe UnsafeRawBufferPointer(start: given, count: count)
    var known = penstock_store_options()
    unsafe withUnsafeMutableBytes(of: &known) { place in
      unsafe place.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes.prefix(place.count)))
    }
    guard unsafe bytes.dropFirst(MemoryLayout<penstock_store_options>.size).allSatisfy({ $0 == 0 })
    else { throw .invalid("an option is set that this library is too old to know") }
    return known
  }
}
