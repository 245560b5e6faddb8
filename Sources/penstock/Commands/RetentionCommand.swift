// `penstock retention`: what retention takes from the archive, and when.

import ArgumentParser
internal import PenstockArchive
internal import PenstockCore

/// Shows, or carries out, what retention says.
struct Retention: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show which archived tables expire, and when.",
    discussion: """
      A running daemon lets them expire by itself, by the --retain and --retain-bytes it was started \
      with; this shows what it will do. With --retain or --retain-bytes it shows what other limits \
      would do. Nothing is removed.
      """)

  @Option(help: ArgumentHelp("The store's folder.", valueName: "dir"))
  var data = "./penstock-data"

  @Flag(help: "Only show; that is all this command does.")
  var dryRun = false

  @Option(help: "How long events are kept behind their time, like 30d, instead of the daemon's.")
  var retain: String?

  @Option(help: "Bytes all tables may have together, like 500GiB, instead of the daemon's.")
  var retainBytes: String?

  func validate() throws { _ = try changed(ArchiveSettings()) }

  private func changed(_ settings: ArchiveSettings) throws -> ArchiveSettings {
    var settings = settings
    if let retain {
      guard let age = Quantity.nanoseconds(retain) else {
        throw ValidationError("--retain takes a duration like 12h or 30d, not '\(retain)'")
      }
      settings.retainNanoseconds = age
    }
    if let retainBytes {
      guard let count = Quantity.bytes(retainBytes) else {
        throw ValidationError("--retain-bytes takes a size like 500GiB, not '\(retainBytes)'")
      }
      settings.retainByteCount = count
    }
    return settings
  }

  func run() throws {
    let layout = StoreLayout(root: data)
    let files = LinuxFileSystem()
    guard try StoreDescription.read(files, layout) != nil else {
      throw CommandFailure("there is no store at \(layout.root)")
    }
    let settings = try changed(try ArchiveSettings.read(files, layout))
    let manifest = try Manifest.read(files, layout)
    let now = System.now()
    let time = min(now, manifest.newest ?? now)
    let plan = RetentionPlan(manifest.tables, settings, time: time)
    var output = OutputBuffer(OutputBuffer.standardOutput)
    for expiry in plan.expiries {
      output.put(text: "\(RetentionText.when(expiry)) \(RetentionText.table(expiry.table))\n")
    }
    output.put(text: RetentionText.summary(plan, settings, tableCount: manifest.tables.count))
    try output.flush()
  }
}

/// What is said of tables that expire.
private enum RetentionText {
  static func when(_ expiry: RetentionPlan.Expiry) -> String {
    let when = expiry.at.map { String($0.text.prefix(19)) + "Z" } ?? "now                 "
    return when + " " + expiry.reason.rawValue.padded(to: 5)
  }

  static func table(_ table: TableEntry) -> String {
    "archive/\(table.name)  \(Readable.counted(Int(clamping: table.eventCount), "event")), "
      + "\(Readable.bytes(table.byteCount)), \(table.earliest.text) to \(table.latest.text)"
  }

  static func summary(_ plan: RetentionPlan, _ settings: ArchiveSettings, tableCount: Int)
    -> String
  {
    guard settings.retainNanoseconds != nil || settings.retainByteCount != nil else {
      return "everything is kept: neither --retain nor --retain-bytes is set\n"
    }
    let due = plan.due
    let bytes = due.reduce(0) { $0 + $1.table.byteCount }
    return "\(due.count) of \(Readable.counted(tableCount, "table")) are due, "
      + "\(Readable.bytes(bytes)) come free\n"
  }
}

extension String {
  fileprivate func padded(to count: Int) -> String {
    self + String(repeating: " ", count: max(0, count - utf8.count))
  }
}
