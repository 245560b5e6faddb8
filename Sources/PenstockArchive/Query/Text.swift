// Searching and judging text that lies in spans: thin faces of the C scans.

internal import CShims
package import PenstockCore

/// Searches over bytes that may or may not be text.
package enum Text {
  /// Offset of the first occurrence of `wanted` in `range`, or nil.
  package static func find(_ wanted: RawSpan, in span: RawSpan, _ range: ByteRange) -> Int? {
    precondition(range.lowerBound >= 0 && range.upperBound <= span.byteCount)
    guard wanted.byteCount > 0 else { return range.lowerBound }
    let found = unsafe span.withUnsafeBytes { bytes in
      unsafe wanted.withUnsafeBytes { needle in
        unsafe penstock_find_bytes(
          bytes.baseAddress, range.lowerBound, range.upperBound, needle.baseAddress, needle.count)
      }
    }
    return found < range.upperBound ? found : nil
  }

  /// Whether the bytes of `range` are well-formed UTF-8.
  package static func isUTF8(_ span: RawSpan, _ range: ByteRange) -> Bool {
    precondition(range.lowerBound >= 0 && range.upperBound <= span.byteCount)
    return unsafe span.extracting(range).withUnsafeBytes { bytes in
      unsafe penstock_is_utf8(bytes.baseAddress, bytes.count)
    }
  }

  /// Offset of the first byte in `range` that a JSON string has to escape, or its end.
  @inline(__always)
  package static func firstJSONEscape(_ span: RawSpan, _ range: ByteRange) -> Int {
    precondition(range.lowerBound >= 0 && range.upperBound <= span.byteCount)
    return unsafe span.withUnsafeBytes { bytes in
      unsafe penstock_find_json_escape(bytes.baseAddress, range.lowerBound, range.upperBound)
    }
  }
}

extension [UInt8] {
  /// Makes the array hold exactly the bytes of `span`, keeping its storage.
  @inline(__always)
  package mutating func replaceAll(with span: RawSpan) {
    removeAll(keepingCapacity: true)
    unsafe span.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }
}
