// A table from events in any order: what is larger than memory is sorted in parts and joined.
//
//     add line ─▶ run ─▶ full: a part, a table beside the target ─▶ … ─▶ join ─▶ the table
//
// Events are numbered in the order they are added, in log 0. Memory is fixed. Nothing has the
// target's name before it is finished and synced.

package import PenstockCore

/// Builds one table.
package struct TableBuilder<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let path: String
  private let folder: String
  private let store: StoreIdentifier
  private let indexes: [[UInt8]]
  private var run: ArchiveRun
  private var sequence: UInt64 = 0
  private var parts: [String] = []
  private var partCount = 0

  /// Parts joined at once.
  private static var partCountMax: Int { 16 }

  /// - Parameters:
  ///   - path: where the table is to be; nothing is there yet.
  ///   - group: the attribute that groups events of a stream, escaped.
  ///   - indexes: attributes that are indexed, escaped; "type" is the type.
  ///   - memoryByteCount: memory for sorting.
  package init(
    _ files: Files, path: String, store: StoreIdentifier, group: [UInt8]? = nil,
    indexes: [[UInt8]] = [], memoryByteCount: Int = 64 << 20
  ) {
    self.files = files
    self.path = path
    self.store = store
    self.indexes = indexes
    let slash = path.lastIndex(of: "/")
    folder = slash.map { String(path[..<$0]) } ?? "."
    run = ArchiveRun(byteCountMax: memoryByteCount, group: group, indexes: indexes)
  }

  /// Adds an event line with its LF.
  /// - Returns: false when it is none.
  package mutating func add(_ line: RawSpan) throws(TableError) -> Bool {
    var before = run.unreadableCount
    if take(line) == .isFull {
      try writePart()
      before = run.unreadableCount
      guard take(line) == .all else { return false }
    }
    guard run.unreadableCount == before else { return false }
    sequence += 1
    return true
  }

  private mutating func take(_ line: RawSpan) -> ArchiveRun.Taken {
    var walk = BatchContent(firstSequence: SequenceNumber(sequence + 1))
    return run.append(line, &walk, log: LogNumber(0), lateBefore: .earliest)
  }

  private func failing<R>(_ body: () throws(FileError) -> R) throws(TableError) -> R {
    do throws(FileError) {
      return try body()
    } catch {
      throw TableError(path: error.path, fault: .file(error))
    }
  }

  private func name(_ number: Int) -> String {
    let file = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    return file + ".part-\(number)"
  }

  private mutating func writePart() throws(TableError) {
    guard !run.isEmpty else { return }
    if parts.count == TableBuilder.partCountMax { try joinParts(name(partCount)) }
    let part = name(partCount)
    partCount += 1
    parts.append(part)
    try write(folder + "/" + part)
  }

  private mutating func write(_ target: String, _ effort: TableEffort = .fast) throws(TableError) {
    guard let bucket = run.sort(.day, tableCountMax: 1).first else { return }
    do throws(FileError) {
      _ = try run.write(bucket, files, path: target, store: store, covered: covered, effort: effort)
    } catch {
      throw TableError(path: error.path, fault: .file(error))
    }
    run.removeAll()
  }

  private var covered: [TableCoverage] {
    sequence == 0
      ? [] : [TableCoverage(log: LogNumber(0), sequences: 1...sequence, segments: 0...0)]
  }

  /// Joins all parts to one.
  private mutating func joinParts(_ target: String) throws(TableError) {
    var merge = try TableMerge(
      files, folder: folder, names: parts, .all, store: store, byteCountMax: .max,
      indexes: indexes, path: { [folder] _ in folder + "/" + target })
    while try merge.step(1 << 16) {}
    removeParts()
    parts = [target]
    partCount += 1
  }

  private mutating func removeParts() {
    for part in parts { try? files.unlinkIfThere(folder + "/" + part) }
    parts = []
  }

  /// Writes what is left and gives the table its name.
  /// - Returns: the number of events in it.
  package mutating func finish() throws(TableError) -> Int {
    let unfinished = name(partCount)
    partCount += 1
    do throws(TableError) {
      if parts.isEmpty {
        if run.isEmpty {
          try writeEmpty(folder + "/" + unfinished)
        } else {
          try write(folder + "/" + unfinished, .thorough)
        }
      } else {
        try writePart()
        try joinParts(unfinished)
      }
      try failing { () throws(FileError) in
        try files.rename(folder + "/" + unfinished, to: path)
        try files.syncDirectory(folder)
      }
    } catch {
      try? files.unlinkIfThere(folder + "/" + unfinished)
      removeParts()
      throw error
    }
    parts = []
    return Int(sequence)
  }

  private func writeEmpty(_ target: String) throws(TableError) {
    do throws(FileError) {
      let writer = try TableWriter(files, path: target, store: store, indexes: indexes)
      _ = try writer.finish(hash: 0, covered: [])
    } catch {
      throw TableError(path: error.path, fault: .file(error))
    }
  }

  /// Removes what was written so far.
  package mutating func discard() { removeParts() }
}
