// Joins the rows of several tables into one ordered sequence and writes them as tables.
//
//     inputs ─▶ the smallest row ─▶ its line ─▶ seen before? ─▶ writer ─▶ full: the next table
//
// Memory is a block of each input, one line and one writer.

internal import PenstockCore

/// A join of tables in progress.
struct TableMerge<Files: FileSystem>: ~Copyable {
  private var inputs: [MergeInput<Files>]
  private var memory = AlignedBuffer(byteCount: 64 << 10)
  private var fields = StoredEvent().fields
  let output: MergeOutput<Files>

  /// - Parameters:
  ///   - names: the inputs, below `folder`.
  ///   - byteCountMax: bytes after which an output is closed and the next begun.
  ///   - path: where the output with a number is written.
  init(
    _ files: Files, folder: String, names: [String], _ choice: MergeChoice,
    store: StoreIdentifier, byteCountMax: Int, indexes: [[UInt8]] = [],
    erasures: [Erasure] = [],
    path: @escaping (Int) -> String
  ) throws(TableError) {
    inputs = []
    var covered: [TableCoverage] = []
    for name in names {
      let input = try MergeInput(files, path: folder + "/" + name, choice)
      for entry in input.covered { TableMerge.add(entry, to: &covered) }
      if !input.isAtEnd { inputs.append(input) }
    }
    output = MergeOutput(
      files, store, covered: covered.sorted { $0.log < $1.log }, replaced: names,
      byteCountMax: byteCountMax, indexes: indexes, erasures: erasures, path: path)
  }

  private static func add(_ entry: TableCoverage, to covered: inout [TableCoverage]) {
    guard let index = covered.firstIndex(where: { $0.log == entry.log }) else {
      covered.append(entry)
      return
    }
    let known = covered[index]
    covered[index].sequences =
      min(
        known.sequences.lowerBound, entry.sequences.lowerBound)...max(
        known.sequences.upperBound, entry.sequences.upperBound)
    covered[index].segments =
      min(
        known.segments.lowerBound, entry.segments.lowerBound)...max(
        known.segments.upperBound, entry.segments.upperBound)
  }

  /// Takes up to `countMax` rows; false when none are left and the outputs are written.
  mutating func step(_ countMax: Int) throws(TableError) -> Bool {
    var count = 0
    while let first = smallest() {
      let input = inputs[first]
      // The same input mostly gives the next row too.
      let second = smallest(except: first).map { inputs[$0] }
      repeat {
        input.putLine(into: &memory, &fields)
        try take(input)
        count += 1
        try input.advance()
      } while !input.isAtEnd && count < countMax && (second.map { input.precedes($0) } ?? true)
      if input.isAtEnd { inputs.remove(at: first) }
      if count >= countMax { return true }
    }
    do throws(FileError) {
      try output.end()
    } catch {
      throw TableError(path: error.path, fault: .file(error))
    }
    return false
  }

  @inline(__always)
  private func take(_ input: MergeInput<Files>) throws(TableError) {
    do throws(FileError) {
      try output.take(input, memory, fields)
    } catch {
      throw TableError(path: error.path, fault: .file(error))
    }
  }

  private func smallest(except skipped: Int = -1) -> Int? {
    var best: Int?
    for index in inputs.indices where index != skipped {
      if let known = best, !inputs[index].precedes(inputs[known]) { continue }
      best = index
    }
    return best
  }
}
