// The bytes of a file or pipe, cut into lines or CSV records, in fixed memory.
//
//     memory   spent ┆ start ▶ the record being looked for … ┆ read ◀ end ┆ free
//
// A line ends with LF, or at the end of the file. A record (CSVRecord) may hold LF between quotes.
// Whatever is longer than `recordByteCountMax`, and a record whose quotes do not end, is bad; what
// follows is looked for behind its first line. A byte order mark at the start is passed over.

internal import CShims
package import PenstockCore

/// A stretch of an input.
package enum ImportRecord: Equatable, Sendable {
  case record(ByteRange)
  /// It cannot be taken, and why.
  case bad(String)
  case end
}

/// Cuts what a descriptor gives into records.
package struct ImportInput: ~Copyable {
  /// Longest record, in bytes: as much as the largest event.
  package static let recordByteCountMax = 1 << 20
  private static let readByteCount = 256 << 10

  private let descriptor: Int32
  private let name: String
  private var memory = AlignedBuffer(byteCount: recordByteCountMax + 2 * readByteCount)
  private var start = 0
  private var end = 0
  private var hasEnded = false
  private var isAtStart = true
  /// Lines passed.
  private var lineCount = 0
  /// The line the last record began in, counted from 1.
  package private(set) var line = 0
  /// Bytes read.
  package private(set) var byteCount = 0

  /// - Parameters:
  ///   - descriptor: what is read; it stays its opener's.
  ///   - name: what it is called in errors.
  package init(descriptor: Int32, name: String) {
    self.descriptor = descriptor
    self.name = name
  }

  /// The bytes of a record.
  @_lifetime(borrow self)
  package func bytes(_ range: ByteRange) -> RawSpan { memory.bytes(range) }

  /// Everything that is held; the fields of a CSV record lie in it.
  var all: RawSpan {
    @_lifetime(borrow self) get { memory.bytes }
  }

  private static var tooLong: String {
    "longer than \(recordByteCountMax) bytes, the largest event"
  }

  // MARK: - Records

  /// The next line, without its LF.
  package mutating func nextLine() throws(FileError) -> ImportRecord {
    var searched = start
    while true {
      let stop = memory.bytes.firstIndex(of: Byte.lineFeed, from: searched, to: end)
      if stop < end || hasEnded {
        guard start < end else { return .end }
        let range = start..<stop
        begin(lineCount: 1, next: min(stop + 1, end))
        return range.count <= ImportInput.recordByteCountMax
          ? .record(range) : .bad(ImportInput.tooLong)
      }
      guard end - start <= ImportInput.recordByteCountMax else {
        try passLine()
        return .bad(ImportInput.tooLong)
      }
      searched = stop - start
      try fill()
    }
  }

  /// The next CSV record, without the end of its line; `fields` are those of it.
  package mutating func nextRecord(_ fields: inout CSVRecord) throws(FileError) -> ImportRecord {
    while true {
      guard start < end || !hasEnded else { return .end }
      switch fields.read(memory.bytes, start..<end, isLast: hasEnded) {
      case .complete(let content, let next):
        guard content.count <= ImportInput.recordByteCountMax else {
          try passLine()
          return .bad(ImportInput.tooLong)
        }
        begin(lineCount: 1 + fields.lineFeedCount, next: next)
        return .record(content)
      case .bad(let reason):
        try passLine()
        return .bad(reason)
      case .needsMore:
        guard end - start <= ImportInput.recordByteCountMax else {
          let isQuoted = fields.isInQuotes
          try passLine()
          return .bad(isQuoted ? CSVRecord.notClosed : ImportInput.tooLong)
        }
        try fill()
      }
    }
  }

  private mutating func begin(lineCount count: Int, next: Int) {
    line = lineCount + 1
    lineCount += count
    start = next
  }

  /// Passes over the line at `start`, however long it is.
  private mutating func passLine() throws(FileError) {
    line = lineCount + 1
    while true {
      let stop = memory.bytes.firstIndex(of: Byte.lineFeed, from: start, to: end)
      start = min(stop + 1, end)
      if stop < end || hasEnded { break }
      try fill()
    }
    lineCount += 1
  }

  // MARK: - Reading

  private mutating func fill() throws(FileError) {
    memory.move(start..<end, to: 0)
    end -= start
    start = 0
    repeat {
      let room = end..<min(end + ImportInput.readByteCount, memory.byteCount)
      let count = unsafe penstock_read(descriptor, memory.address(room), room.count)
      if count < 0 { throw FileError(.read, name, code: Int32(-count)) }
      end += Int(count)
      byteCount += Int(count)
      hasEnded = count == 0
    } while isAtStart && !hasEnded && end < 3
    if isAtStart, memory.bytes(0..<end).hasBytes("\u{FEFF}", at: 0) { start = 3 }
    isAtStart = false
  }
}
