// One record of a CSV file (RFC 4180).
//
//     record   = field *( "," field ) ( LF | CR LF | end of file )
//     field    = '"' *( any byte but '"' | '""' ) '"'
//              | *( any byte but "," and LF )             ; a '"' inside stands for itself
//
// Between a closing quote and what ends the field there is nothing.

package import PenstockCore

/// The fields of a record.
package struct CSVRecord {
  /// Where a field stands, without its quotes.
  package struct Field {
    package var range: ByteRange
    /// Whether '""' in it stands for '"'.
    package var hasEscapes: Bool
  }

  enum Reading {
    /// The record's bytes, and where the next one begins.
    case complete(ByteRange, next: Int)
    case bad(String)
    case needsMore
  }

  package private(set) var fields: [Field] = []
  /// LF inside quotes.
  private(set) var lineFeedCount = 0
  /// Whether reading stopped between quotes.
  private(set) var isInQuotes = false

  static let notClosed = "a quoted field is not closed"

  package init() {}

  /// Whether it is an empty line.
  package var isBlank: Bool { fields.count == 1 && fields[0].range.isEmpty && !hasQuotes }
  private var hasQuotes = false

  /// Reads the record at the start of `range`.
  /// - Parameter isLast: nothing follows.
  mutating func read(_ span: RawSpan, _ range: ByteRange, isLast: Bool) -> Reading {
    fields.removeAll(keepingCapacity: true)
    lineFeedCount = 0
    isInQuotes = false
    hasQuotes = false
    let end = range.upperBound
    var offset = range.lowerBound
    while true {
      if offset < end, span.byte(at: offset) == Byte.quote {
        hasQuotes = true
        guard let close = closingQuote(span, offset + 1, end, isLast) else {
          isInQuotes = true
          return isLast ? .bad(CSVRecord.notClosed) : .needsMore
        }
        offset = close + 1
        if offset + 1 >= end, !isLast { return .needsMore }
        if offset == end { return .complete(range.lowerBound..<end, next: end) }
        switch span.byte(at: offset) {
        case CSVRecord.comma: offset += 1
        case Byte.lineFeed: return .complete(range.lowerBound..<offset, next: offset + 1)
        case Byte.carriageReturn where offset + 1 == end || isLineFeed(span, offset + 1):
          return .complete(range.lowerBound..<offset, next: min(offset + 2, end))
        default: return .bad("something stands behind a closing quote")
        }
        continue
      }
      let stop = span.nearIndex(
        ofAny: CSVRecord.comma, Byte.lineFeed, CSVRecord.comma, Byte.lineFeed, from: offset,
        to: end)
      if stop == end, !isLast { return .needsMore }
      if stop < end, span.byte(at: stop) == CSVRecord.comma {
        fields.append(Field(range: offset..<stop, hasEscapes: false))
        offset = stop + 1
        continue
      }
      let isReturned = stop > offset && span.byte(at: stop - 1) == Byte.carriageReturn
      let content = isReturned ? stop - 1 : stop
      fields.append(Field(range: offset..<content, hasEscapes: false))
      return .complete(range.lowerBound..<content, next: min(stop + 1, end))
    }
  }

  private static let comma = UInt8(ascii: ",")

  private func isLineFeed(_ span: RawSpan, _ offset: Int) -> Bool {
    span.byte(at: offset) == Byte.lineFeed
  }

  /// Takes the field that begins at `start`, behind its quote; where its closing quote stands, nil
  /// when it is not there or not known to be it.
  private mutating func closingQuote(_ span: RawSpan, _ start: Int, _ end: Int, _ isLast: Bool)
    -> Int?
  {
    var hasEscapes = false
    var offset = start
    while true {
      let quote = span.firstIndex(of: Byte.quote, from: offset, to: end)
      guard quote < end, quote + 1 < end || isLast else { return nil }
      if quote + 1 < end, span.byte(at: quote + 1) == Byte.quote {
        hasEscapes = true
        offset = quote + 2
        continue
      }
      fields.append(Field(range: start..<quote, hasEscapes: hasEscapes))
      var line = span.firstIndex(of: Byte.lineFeed, from: start, to: quote)
      while line < quote {
        lineFeedCount += 1
        line = span.firstIndex(of: Byte.lineFeed, from: line + 1, to: quote)
      }
      return quote
    }
  }
}
