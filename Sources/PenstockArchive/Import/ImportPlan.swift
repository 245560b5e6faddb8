// What an import makes of a record: which fields become the stream, the time, the type, the id and
// attributes of an event. The payload is the record as it stands.
//
//     --stream TEMPLATE    text, in which {KEY} is the field KEY; "{{" is "{"
//     --time KEY           of text: now | rfc3339 | START | START+STEP
//     --type KEY           of text: the type itself
//     --id KEY             eight lower-case hex digits are the id; of anything else its CRC-32C
//     --group KEY          an attribute, by which the events of a stream are grouped
//     --attribute KEY      an attribute
//
// NDJSON without any of these is what an export wrote (ExportedEvent).

package import PenstockCore

/// How files are written.
package enum ImportFormat: String, CaseIterable, Sendable {
  case ndjson, csv, text
}

/// A command line that does not say what to do.
package struct ImportPlanFault: Error, Equatable, Sendable, CustomStringConvertible {
  package var description: String
  init(_ description: String) { self.description = description }
}

/// What was asked for, as it was typed.
package struct ImportOptions: Sendable {
  package var format: ImportFormat
  package var stream: String?
  package var time: String?
  package var type: String?
  package var id: String?
  package var group: String?
  package var attributes: [String] = []
  package init(format: ImportFormat) { self.format = format }
}

/// How events are made of records.
package struct ImportPlan: Sendable {
  /// A part of a stream's name.
  enum Part: Equatable, Sendable {
    /// Escaped.
    case text([UInt8])
    case field(Int)
  }

  enum Time: Equatable, Sendable {
    case field(Int)
    case lineStart
    /// The first line's time, and nanoseconds from one line to the next.
    case steps(Timestamp, Int64)
  }

  enum Kind: Equatable, Sendable {
    /// Escaped.
    case text([UInt8])
    case field(Int)
  }

  package let format: ImportFormat
  /// Whether records are those an export wrote; the rest is not used then.
  package let isExported: Bool
  /// The keys of the fields that are wanted.
  private(set) var keys: [String] = []
  private(set) var stream: [Part] = []
  private(set) var time = Time.lineStart
  private(set) var type = Kind.text([Byte.dash])
  private(set) var id: Int?
  /// The attributes' keys, escaped, and their fields.
  private(set) var attributes: [(key: [UInt8], field: Int)] = []
  /// The key to group by.
  package private(set) var group: String?

  /// - Parameter now: what the clock says.
  package init(_ options: ImportOptions, now: Timestamp) throws(ImportPlanFault) {
    format = options.format
    let all = [options.stream, options.time, options.type, options.id, options.group]
    isExported =
      options.format == .ndjson && all.allSatisfy { $0 == nil } && options.attributes.isEmpty
    guard !isExported else { return }
    guard let stream = options.stream, !stream.isEmpty else {
      throw ImportPlanFault(
        options.format == .ndjson
          ? "--stream says which stream events go to; without any of --stream, --time, --type, "
            + "--id, --group and --attribute the input is what 'penstock export --format ndjson' "
            + "wrote" : "--stream says which stream events go to, like logs/web or app/{service}")
    }
    guard let time = options.time else {
      throw ImportPlanFault(
        options.format == .text
          ? "--time takes now, rfc3339 (each line begins with it), or a start and a step like "
            + "2026-01-01T00:00:00Z+1ms" : "--time takes the name of the field with the time")
    }
    if options.format == .text {
      guard options.id == nil, options.group == nil, options.attributes.isEmpty else {
        throw ImportPlanFault("lines of text have no fields for --id, --group and --attribute")
      }
      self.time = try ImportPlan.textTime(time, now)
      if let type = options.type, !type.isEmpty {
        self.type = .text(Escape.encode(Array(type.utf8).rawSpan, .word))
      }
    } else {
      self.time = .field(try key(time, "--time"))
      if let type = options.type { self.type = .field(try key(type, "--type")) }
      if let id = options.id { self.id = try key(id, "--id") }
    }
    try takeStream(stream)
    let named = (options.group.map { [$0] } ?? []) + options.attributes
    for name in named where !attributes.contains(where: { keys[$0.field] == name }) {
      guard !name.hasPrefix("_") else {
        throw ImportPlanFault("attributes that begin with '_', like \(name), are penstock's own")
      }
      let escaped = Escape.encode(Array(name.utf8).rawSpan, .key)
      attributes.append((escaped, try key(name, "--attribute")))
    }
    group = options.group
  }

  /// The number of a key.
  private mutating func key(_ name: String, _ option: String) throws(ImportPlanFault) -> Int {
    guard !name.isEmpty, name.utf8.count <= ArchiveSettings.keyByteCountMax else {
      throw ImportPlanFault(
        "\(option) takes a field's name of up to \(ArchiveSettings.keyByteCountMax) bytes")
    }
    if let index = keys.firstIndex(of: name) { return index }
    guard keys.count < FoundFields.keyCountMax else {
      throw ImportPlanFault("at most \(FoundFields.keyCountMax) fields can be asked for")
    }
    keys.append(name)
    return keys.count - 1
  }

  private mutating func takeStream(_ template: String) throws(ImportPlanFault) {
    var text = ""
    var rest = Substring(template)
    while let character = rest.popFirst() {
      guard character == "{" else {
        text.append(character)
        continue
      }
      if rest.first == "{" {
        text.append(rest.removeFirst())
        continue
      }
      guard let close = rest.firstIndex(of: "}") else {
        throw ImportPlanFault("--stream \(template): a '{' is not closed; '{{' stands for itself")
      }
      guard format != .text else {
        throw ImportPlanFault("lines of text have no fields for --stream \(template)")
      }
      takeText(&text)
      stream.append(.field(try key(String(rest[..<close]), "--stream")))
      rest = rest[rest.index(after: close)...]
    }
    takeText(&text)
    guard case .text(let first)? = stream.first else { return }
    let name = String(decoding: first, as: UTF8.self)
    guard !name.hasPrefix("/"), !name.hasPrefix("_penstock/") else {
      throw ImportPlanFault(
        "--stream \(template): streams that begin with '/' are journals, and '_penstock/' is "
          + "penstock's own; events are imported to others")
    }
  }

  private mutating func takeText(_ text: inout String) {
    if !text.isEmpty { stream.append(.text(Escape.encode(Array(text.utf8).rawSpan, .word))) }
    text = ""
  }

  private static func textTime(_ text: String, _ now: Timestamp) throws(ImportPlanFault) -> Time {
    if text == "now" { return .steps(now, 0) }
    if text == "rfc3339" { return .lineStart }
    var start = text
    var step: Int64 = 0
    // A zone has a '+' of its own.
    if let plus = text.lastIndex(of: "+"),
      let found = duration(String(text[text.index(after: plus)...]))
    {
      start = String(text[..<plus])
      step = found
    }
    guard let first = TimeText.instant(Array(start.utf8).rawSpan) else {
      throw ImportPlanFault(
        "--time takes now, rfc3339, or a start and a step like 2026-01-01T00:00:00Z+1ms, "
          + "not '\(text)'")
    }
    return .steps(first, step)
  }

  private static let units: [String: Int64] = [
    "ns": 1, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    "h": 3_600_000_000_000, "d": 86_400_000_000_000,
  ]

  private static func duration(_ text: String) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let count = Int64(digits), let unit = units[String(text[digits.endIndex...])] else {
      return nil
    }
    let (product, overflow) = count.multipliedReportingOverflow(by: unit)
    return overflow ? nil : product
  }
}
