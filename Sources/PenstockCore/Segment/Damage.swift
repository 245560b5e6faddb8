// What is wrong in a live folder, where, what it means, and what was done about it.

/// One finding about a log's segments.
package struct Damage: Equatable, Sendable, CustomStringConvertible {
  package enum Kind: String, CaseIterable, Sendable {
    /// Bytes or batches that had been acknowledged are gone; the rest is served.
    case rot
    /// Filler was damaged; no batch is missing.
    case strayBytes = "stray-bytes"
    /// The torn end of a crash: nothing that was acknowledged. In a view beside a running shard:
    /// writes that are still on their way.
    case tail
    /// A tail with valid batches in it: possibly acknowledged, dropped because one before them is
    /// missing.
    case tailPossiblyAcknowledged = "tail-possibly-acknowledged"
    /// The header is damaged; the batches behind it are served.
    case header
    /// The header says that this is another segment, log or store; nothing in it is served.
    case misplaced
    /// The segment was written by a newer version, and is left alone.
    case newerVersion = "newer-version"
    /// A segment's file is missing.
    case missingSegment = "missing-segment"
    /// A file in the live folder that is none of ours.
    case foreign
  }

  package var kind: Kind
  /// The file's name in the live folder.
  package var file: String
  /// The segment; nil for a foreign file.
  package var segment: SegmentName?
  /// The bytes concerned; empty when it is not about bytes.
  package var range: ByteRange
  /// The batches that are missing or dropped, as far as that is known.
  package var batches: ClosedRange<BatchNumber>?
  /// Whether `range` holds bytes worth a copy: more than filler.
  package var hasBytes: Bool
  /// Where the bytes were copied to.
  package var copy: String?
  /// Whether they were not copied because the quarantine is full.
  package var isQuarantineFull = false

  package init(
    _ kind: Kind, _ segment: SegmentName, range: ByteRange = 0..<0,
    batches: ClosedRange<BatchNumber>? = nil, hasBytes: Bool = false
  ) {
    self.kind = kind
    self.segment = segment
    file = segment.fileName
    self.range = range
    self.batches = batches
    self.hasBytes = hasBytes
  }

  /// A foreign file.
  package init(foreign name: String) {
    kind = .foreign
    file = name
    range = 0..<0
    hasBytes = false
  }

  /// Whether it is the end of a log that a crash, or a running shard, left unfinished: normal, as
  /// long as nothing in it was acknowledged.
  package var isTail: Bool { kind == .tail || kind == .tailPossiblyAcknowledged }

  /// Whether something that had been acknowledged is, or may be, no longer served.
  package var isLoss: Bool {
    switch kind {
    case .rot, .tailPossiblyAcknowledged, .misplaced, .missingSegment: true
    case .strayBytes, .tail, .header, .newerVersion, .foreign: false
    }
  }

  package var description: String {
    var text = "live/" + file
    if !range.isEmpty { text += ", bytes \(range.lowerBound)–\(range.upperBound - 1)" }
    text += ": " + meaning
    if let copy { text += "; the bytes were copied to " + copy }
    if isQuarantineFull {
      text += "; the bytes were not copied, since quarantine/ is full: take copies away from it"
    }
    return text
  }

  private var meaning: String {
    switch kind {
    case .rot:
      numbers.map { "\($0) had been acknowledged and cannot be read; the rest is served" }
        ?? "acknowledged bytes cannot be read; the rest is served"
    case .strayBytes: "filler is damaged; no event is touched"
    case .tail: "an unfinished write at the end of the log; nothing of it was acknowledged"
    case .tailPossiblyAcknowledged:
      (numbers.map { "\($0) " } ?? "batches ")
        + "at the end of the log may have been acknowledged, and are not served because one before "
        + "them is missing"
    case .header: "the header is damaged; its batches are served"
    case .misplaced:
      "the header names another segment, log or store; nothing in it is served: move the file back "
        + "to where it belongs"
    case .newerVersion:
      "written by a newer penstock and left alone: read it with that version"
    case .missingSegment: "the segment is missing; its events, if any, are not served"
    case .foreign: "not a file of penstock; ignored"
    }
  }

  private var numbers: String? {
    guard let batches else { return nil }
    let first = String(batches.lowerBound.value, radix: 16)
    let last = String(batches.upperBound.value, radix: 16)
    return first == last ? "batch \(first)" : "batches \(first) to \(last)"
  }
}
