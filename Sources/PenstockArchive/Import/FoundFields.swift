// The wanted fields of one record, where they stand, found in a JSON object or among CSV columns.
//
//     KEY       of an object: the field of this name, or, where KEY has dots, the one they lead to:
//               "http.status" is the field "status" of the object "http". Of several the last.
//               of CSV: the column of this name.
//
// What is escaped is decoded into `scratch`, which is used again for each record.

internal import PenstockCore

/// A field that was found.
struct FoundField: Equatable {
  var kind: JSONScan.Kind
  /// In the record, or in `scratch` when it is decoded; of a string without its quotes.
  var range: ByteRange
  var isDecoded = false
}

/// The fields of a record, by the number of their key.
struct FoundFields {
  private let keys: [[UInt8]]
  /// The parts of the keys with dots; of others the key alone.
  private let paths: [[[UInt8]]]
  private(set) var fields: [FoundField?]
  private(set) var scratch: [UInt8] = []
  /// A field of the object itself that no key names.
  private(set) var foreign: ByteRange?
  private var columns: [Int?] = []
  private var columnCount = 0

  /// Most keys.
  static let keyCountMax = 32

  init(_ keys: [String]) {
    precondition(keys.count <= FoundFields.keyCountMax)
    self.keys = keys.map { Array($0.utf8) }
    paths = self.keys.map { key in
      key.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init)
    }
    fields = Array(repeating: nil, count: keys.count)
  }

  private mutating func removeAll() {
    scratch.removeAll(keepingCapacity: true)
    foreign = nil
    for index in fields.indices { fields[index] = nil }
  }

  // MARK: - JSON

  /// Finds the fields of the object that `span` holds, and checks all of it.
  mutating func find(object span: RawSpan) throws(JSONFault) {
    removeAll()
    var offset = 0
    JSONScan.skipBlanks(span, &offset)
    guard offset < span.byteCount, span.byte(at: offset) == UInt8(ascii: "{") else {
      throw JSONFault("an object was expected", offset)
    }
    try walk(span, &offset, ~0, depth: 0)
    JSONScan.skipBlanks(span, &offset)
    guard offset == span.byteCount else {
      throw JSONFault("something stands behind the object", offset)
    }
  }

  /// Walks the object at `offset`, to which the first `depth` parts of the `active` keys lead.
  private mutating func walk(
    _ span: RawSpan, _ offset: inout Int, _ active: UInt32, depth: Int
  ) throws(JSONFault) {
    guard depth < JSONScan.depthMax else { throw JSONFault("nested too deeply", offset) }
    offset += 1
    guard !JSONScan.take(UInt8(ascii: "}"), span, &offset) else { return }
    repeat {
      let name = try JSONScan.string(span, &offset)
      try JSONScan.expect(UInt8(ascii: ":"), "':' was expected", span, &offset)
      let (found, leading) = try match(name, span, active, depth)
      if depth == 0, found | leading == 0 { foreign = foreign ?? name.range }
      JSONScan.skipBlanks(span, &offset)
      let start = offset
      let isObject = start < span.byteCount && span.byte(at: start) == UInt8(ascii: "{")
      if leading != 0, isObject {
        try walk(span, &offset, leading, depth: depth + 1)
        if found != 0 { set(found, FoundField(kind: .container, range: start..<offset)) }
      } else {
        let kind = try JSONScan.skip(span, &offset, depth: depth + 1)
        if found != 0 { set(found, try field(kind, span, start..<offset)) }
      }
    } while JSONScan.take(UInt8(ascii: ","), span, &offset)
    try JSONScan.expect(UInt8(ascii: "}"), "',' or '}' was expected", span, &offset)
  }

  /// The keys that name a field, and those whose next part does.
  private mutating func match(
    _ name: JSONScan.Text, _ span: RawSpan, _ active: UInt32, _ depth: Int
  ) throws(JSONFault) -> (found: UInt32, leading: UInt32) {
    var decoded: [UInt8]?
    if name.hasEscapes {
      var bytes: [UInt8] = []
      try JSONScan.decode(name, span, to: &bytes)
      decoded = bytes
    }
    var found: UInt32 = 0
    var leading: UInt32 = 0
    for index in keys.indices where active & 1 << UInt32(index) != 0 {
      let bit = 1 << UInt32(index) as UInt32
      if depth == 0, isName(name, decoded, span, keys[index]) {
        found |= bit
      } else if isName(name, decoded, span, paths[index][depth]) {
        if depth + 1 == paths[index].count { found |= bit } else { leading |= bit }
      }
    }
    return (found, leading)
  }

  @inline(__always)
  private func isName(
    _ name: JSONScan.Text, _ decoded: [UInt8]?, _ span: RawSpan, _ wanted: [UInt8]
  ) -> Bool {
    if let decoded { return decoded == wanted }
    return name.range.count == wanted.count
      && span.extracting(name.range).equals(wanted.rawSpan)
  }

  private mutating func set(_ keys: UInt32, _ field: FoundField) {
    for index in fields.indices where keys & 1 << UInt32(index) != 0 { fields[index] = field }
  }

  private mutating func field(_ kind: JSONScan.Kind, _ span: RawSpan, _ range: ByteRange)
    throws(JSONFault) -> FoundField
  {
    guard kind == .text else { return FoundField(kind: kind, range: range) }
    let inside = (range.lowerBound + 1)..<(range.upperBound - 1)
    let stop = span.firstIndex(of: Byte.backslash, from: inside.lowerBound, to: inside.upperBound)
    guard stop < inside.upperBound else { return FoundField(kind: .text, range: inside) }
    let start = scratch.count
    try JSONScan.decode(JSONScan.Text(range: inside, hasEscapes: true), span, to: &scratch)
    return FoundField(kind: .text, range: start..<scratch.count, isDecoded: true)
  }

  // MARK: - CSV

  /// Takes the header of a file; the first key it has no column for, if there is one.
  mutating func take(header: CSVRecord, _ span: RawSpan) -> String? {
    var names: [[UInt8]] = []
    for field in header.fields {
      var bytes: [UInt8] = []
      FoundFields.append(field, span, to: &bytes)
      names.append(bytes)
    }
    columnCount = names.count
    columns = keys.map { key in names.firstIndex(of: key) }
    guard let missing = columns.firstIndex(of: nil) else { return nil }
    return String(decoding: keys[missing], as: UTF8.self)
  }

  /// Finds the fields of a record; what is wrong with it, if anything.
  mutating func find(_ record: CSVRecord, _ span: RawSpan) -> String? {
    removeAll()
    guard record.fields.count == columnCount else {
      return "\(record.fields.count) fields, and the header has \(columnCount)"
    }
    for (index, column) in columns.enumerated() {
      guard let column else { continue }
      let field = record.fields[column]
      guard field.hasEscapes else {
        fields[index] = FoundField(kind: .text, range: field.range)
        continue
      }
      let start = scratch.count
      FoundFields.append(field, span, to: &scratch)
      fields[index] = FoundField(
        kind: .text, range: start..<scratch.count, isDecoded: true)
    }
    return nil
  }

  private static func append(_ field: CSVRecord.Field, _ span: RawSpan, to bytes: inout [UInt8]) {
    guard field.hasEscapes else { return bytes.append(span: span.extracting(field.range)) }
    var offset = field.range.lowerBound
    while offset < field.range.upperBound {
      bytes.append(span.byte(at: offset))
      // Quotes stand in pairs.
      offset += span.byte(at: offset) == Byte.quote ? 2 : 1
    }
  }
}
