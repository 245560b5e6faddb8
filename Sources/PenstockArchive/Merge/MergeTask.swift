// One join of tables, done in steps so that hand-overs need not wait for it.
//
//     count the buckets of mixed inputs ─▶ for each output: rows ─▶ tables ─▶ read back, compared
//       ─▶ named by the edit's number, folders synced ─▶ manifest line ─▶ inputs unlinked
//
// Until the line is durable the inputs are what counts: what a crash leaves of the outputs is garbage.
// A damaged input is left as it is and read as before; nothing else is joined with it.

internal import PenstockCore

/// What a join did.
package struct MergeResult: Equatable, Sendable {
  package var inputCount = 0
  package var outputCount = 0
  package var eventCount: UInt64 = 0
  /// Events that were there more than once and carry an id.
  package var duplicateCount: UInt64 = 0
  /// Events that were to be erased.
  package var erasedCount: UInt64 = 0
  package var inputByteCount = 0
  package var outputByteCount = 0
}

/// A join in progress.
final class MergeTask<Files: FileSystem> {
  let plan: MergePlan
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let settings: ArchiveSettings
  private let erasures: [Erasure]
  /// What the names of its files begin with until they have their own.
  private let number: UInt64
  private var counts: [Int64: Int] = [:]
  private var countedInputs = 0
  private var targets: [Target] = []
  private var merge: TableMerge<Files>?
  private var written: [Written] = []
  private var provedCount = 0
  /// What was left out: all of it, and as erased.
  private var dropped: (count: UInt64, hash: UInt64) = (0, 0)
  private var erasedCount: UInt64 = 0
  private var state = State.counting

  private enum State { case counting, writing, proving, done }

  /// An output's place and its events.
  private struct Target {
    var folder: String
    var choice: MergeChoice
  }

  private struct Written {
    var folder: String
    var path: String
    var summary: TableSummary
  }

  /// Events taken in one step: some tens of milliseconds, more on a busy machine, since joins run in
  /// the idle class; a stop waits for it.
  private static var stepEventCount: Int { 1 << 13 }
  /// Fewest events a bucket needs to get a table of its own out of a mixed one.
  static var ownEventCountMin: Int { 1000 }

  init(
    _ plan: MergePlan, _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier,
    _ settings: ArchiveSettings, number: UInt64, erasures: [Erasure] = []
  ) {
    self.erasures = erasures
    self.plan = plan
    self.files = files
    self.layout = layout
    self.store = store
    self.settings = settings
    self.number = number
    if case .bucket(let bucket) = plan.target {
      targets = [Target(folder: settings.bucket.folder(bucket), choice: .all)]
      state = .writing
    }
  }

  /// Goes on with the work; true when all outputs are written and proved.
  func step() throws(TableError) -> Bool {
    switch state {
    case .counting: try countNext()
    case .writing: try write()
    case .proving: try proveNext()
    case .done: break
    }
    return state == .done
  }

  // MARK: - Mixed inputs

  private func countNext() throws(TableError) {
    guard countedInputs < plan.inputs.count else {
      chooseTargets()
      state = .writing
      return
    }
    let table = try TableReader(files, path: path(plan.inputs[countedInputs]))
    var block = TableBlock()
    for index in table.blocks.indices {
      try table.load(index, into: &block)
      for row in 0..<block.rowCount {
        let bucket = settings.bucket.number(of: block.time(row))
        if counts[bucket] != nil || counts.count < BucketChoice.countedMax {
          counts[bucket, default: 0] += 1
        }
      }
    }
    countedInputs += 1
  }

  private func path(_ entry: TableEntry) -> String { layout.archive + "/" + entry.name }

  /// The fullest buckets get tables of their own, the others stay together.
  private func chooseTargets() {
    let own = counts.filter { $0.value >= MergeTask.ownEventCountMin }
      .sorted { ($0.value, $1.key) > ($1.value, $0.key) }
      .prefix(Archiver<Files>.tableCountMax - 1).map(\.key).sorted()
    targets = own.map {
      Target(folder: settings.bucket.folder($0), choice: .bucket($0, settings.bucket))
    }
    targets.append(
      Target(
        folder: ArchiveRun.mixedFolder, choice: .others(Set(own), settings.bucket)))
  }

  // MARK: - Outputs

  private func write() throws(TableError) {
    guard let target = targets.first else {
      state = .proving
      return
    }
    let folder = layout.archive + "/" + target.folder
    if merge == nil {
      do throws(FileError) {
        try files.makeFolderIfMissing(folder)
      } catch {
        throw TableError(path: folder, fault: .file(error))
      }
      let before = written.count
      merge = try TableMerge(
        files, folder: layout.archive, names: plan.inputs.map(\.name), target.choice, store: store,
        byteCountMax: settings.tableByteCountMax, indexes: settings.indexKeys,
        erasures: erasures,
        path: { [number] in MergeTask.unfinishedPath(folder, number, before + $0) })
    }
    guard try merge?.step(MergeTask.stepEventCount) == false, let output = merge?.output else {
      return
    }
    merge = nil
    dropped.count += output.droppedCount + output.erasedCount
    erasedCount += output.erasedCount
    dropped.hash &+= output.droppedHash
    for summary in output.tables {
      written.append(
        Written(
          folder: target.folder,
          path: MergeTask.unfinishedPath(folder, number, written.count), summary: summary))
    }
    targets.removeFirst()
  }

  private static func unfinishedPath(_ folder: String, _ number: UInt64, _ serial: Int) -> String {
    folder + "/" + Hexadecimal.text(number << 8 | UInt64(serial), digits: 16)
      + TableName.unfinished
  }

  private func proveNext() throws(TableError) {
    guard provedCount < written.count else {
      try compare()
      state = .done
      return
    }
    let output = written[provedCount]
    try TableReader.prove(
      files, path: output.path, eventCount: output.summary.eventCount, hash: output.summary.hash)
    provedCount += 1
  }

  /// What came out, and what was left out as equal, is what went in.
  private func compare() throws(TableError) {
    let count = written.reduce(dropped.count) { $0 + $1.summary.eventCount }
    let hash = written.reduce(dropped.hash) { $0 &+ $1.summary.hash }
    guard count == plan.inputs.reduce(0, { $0 + $1.eventCount }),
      hash == plan.inputs.reduce(0, { $0 &+ $1.hash })
    else { throw TableError(path: path(plan.inputs[0]), fault: .notProved) }
  }

  /// Gives the outputs the names of the manifest's next edit and makes these durable.
  func name(edit number: UInt64, now: Timestamp) throws(FileError) -> ManifestEdit {
    var edit = ManifestEdit()
    edit.removed = plan.inputs.map(\.name)
    for (serial, output) in written.enumerated() {
      let name = TableName.text(output.folder, edit: number, serial: serial)
      try files.rename(output.path, to: layout.archive + "/" + name)
      written[serial].path = layout.archive + "/" + name
      edit.added.append(
        TableEntry(
          name: name, eventCount: output.summary.eventCount, byteCount: output.summary.byteCount,
          hash: output.summary.hash, earliest: output.summary.earliest,
          latest: output.summary.latest,
          lateCount: serial == 0 ? plan.inputs.reduce(0) { $0 + $1.lateCount } : 0,
          written: now, received: plan.inputs.compactMap(\.received).max(),
          mergeCount: 1 + (plan.inputs.map(\.mergeCount).max() ?? 0)))
    }
    for folder in Set(written.map(\.folder)).sorted() {
      try files.syncDirectory(layout.archive + "/" + folder)
    }
    try files.syncDirectory(layout.archive)
    return edit
  }

  /// Removes what was written, as far as that can be done; the rest is garbage for the next start.
  func discard() {
    merge = nil
    for output in written { try? files.unlinkIfThere(output.path) }
    for target in Set(targets.map(\.folder)) {
      for serial in written.count..<TableName.countMax {
        let path = MergeTask.unfinishedPath(layout.archive + "/" + target, number, serial)
        guard (try? files.unlink(path)) != nil else { break }
      }
    }
  }

  var result: MergeResult {
    MergeResult(
      inputCount: plan.inputs.count, outputCount: written.count,
      eventCount: written.reduce(0) { $0 + $1.summary.eventCount },
      duplicateCount: dropped.count - erasedCount, erasedCount: erasedCount,
      inputByteCount: plan.byteCount,
      outputByteCount: written.reduce(0) { $0 + $1.summary.byteCount })
  }
}
