// What a call returns: a code, and what went wrong as a text.

internal import CPenstock
internal import Penstock

enum Answers {
  /// Runs a call and tells its error.
  static func answer(
    _ place: UnsafeMutablePointer<penstock_error>?, _ body: () throws(StoreError) -> penstock_code
  ) -> penstock_code {
    do throws(StoreError) {
      return try body()
    } catch {
      // A place that cannot be written to is left alone: the code says enough.
      if let place = try? unsafe Arguments.optionalPlace(place, "the error") {
        unsafe fill(place, error)
      }
      return code(error)
    }
  }

  private static func fill(_ place: UnsafeMutablePointer<penstock_error>, _ error: StoreError) {
    var from: UInt64 = 0
    var log: Int32 = -1
    switch error {
    case .tooOld(let first): from = first
    case .ownedElsewhere(_, let owner): log = Int32(truncatingIfNeeded: owner)
    default: break
    }
    unsafe withBytes(error.description) { text, count in
      unsafe penstock_fill_error(place, from, log, text, count)
    }
  }

  /// Tells which event broke a condition.
  static func fill(_ place: UnsafeMutablePointer<penstock_conflict>, _ conflict: Conflict) {
    unsafe withBytes(conflict.journal) { journal, journalCount in
      unsafe withBytes(conflict.type ?? "") { type, typeCount in
        unsafe penstock_fill_conflict(
          place, conflict.position, conflict.type != nil, journal, journalCount, type, typeCount)
      }
    }
  }

  private static func withBytes(_ text: String, _ body: (UnsafePointer<CChar>?, Int) -> Void) {
    var text = text
    text.withUTF8 { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) { characters in
        unsafe body(characters.baseAddress, characters.count)
      }
    }
  }

  private static func code(_ error: StoreError) -> penstock_code {
    switch error {
    case .leaseHeld: PENSTOCK_LEASE_HELD
    case .closed: PENSTOCK_CLOSED
    case .forked: PENSTOCK_FORKED
    case .writerLost, .unknownOutcome: PENSTOCK_WRITER_LOST
    case .invalid: PENSTOCK_INVALID
    case .tooLarge: PENSTOCK_TOO_LARGE
    case .conflict: PENSTOCK_CONFLICT
    case .tooOld: PENSTOCK_TOO_OLD
    case .ownedElsewhere: PENSTOCK_OWNED_ELSEWHERE
    case .refused: PENSTOCK_REFUSED
    case .archiveHeld: PENSTOCK_ARCHIVE_HELD
    // Servers are not offered to C.
    case .failed, .unreachable: PENSTOCK_FAILED
    }
  }
}
