// Options that several commands have: which store, which events.

import ArgumentParser
import CShims
import PenstockArchive
import PenstockCore

/// Which store.
struct StoreOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The store's folder.", valueName: "dir"))
  var data = "./penstock-data"

  var layout: StoreLayout { StoreLayout(root: data) }

  /// The store, open for reading.
  func open() throws -> StoreReader<LinuxFileSystem> {
    // A read holds one file for each segment and table of the same time. Where the limit cannot
    // be raised, most reads fit it as it is.
    _ = penstock_raise_descriptor_limit()
    return try StoreReader(LinuxFileSystem(), layout)
  }
}

/// Which events: all conditions have to hold.
struct SelectionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Only streams of this pattern: * any run, ? one character, [a-z]. Repeat it for more.",
      valueName: "glob"))
  var stream: [String] = []

  @Option(help: ArgumentHelp("Only events of this type; \"\" for those without one."))
  var type: String?

  @Option(
    name: .customLong("where"),
    help: ArgumentHelp(
      "Only events that carry this attribute with this value. Repeat it for more conditions.",
      valueName: "key=value"))
  var conditions: [String] = []

  @Option(
    help: ArgumentHelp(
      "Not before this time: 2026-11-21T03:47:52Z, 2026-11-21, now, or 30s 15m 2h 3d 1w ago.",
      valueName: "time"))
  var since: String?

  @Option(help: ArgumentHelp("Before this time.", valueName: "time"))
  var until: String?

  @Option(help: ArgumentHelp("Only events whose payload holds this text.", valueName: "text"))
  var contains: String?

  func validate() throws { _ = try selection(now: System.now()) }

  /// The selection these options describe.
  func selection(now: Timestamp) throws -> Selection {
    var selection = Selection()
    for pattern in stream {
      selection.streams.append(try option("--stream") { try Glob(pattern) })
    }
    if let type { selection.require(type: type) }
    for condition in conditions {
      guard let equals = condition.firstIndex(of: "="), equals != condition.startIndex else {
        throw ValidationError("--where takes key=value, not '\(condition)'")
      }
      let value = String(condition[condition.index(after: equals)...])
      selection.attributes.append(
        Selection.Attribute(key: String(condition[..<equals]), value: value))
    }
    if let since {
      selection.since = try option("--since") { try TimeText.parse(since, now: now) }
    }
    if let until {
      selection.until = try option("--until") { try TimeText.parse(until, now: now) }
    }
    if let contains { selection.require(contains: contains) }
    return selection
  }

  private func option<R>(_ name: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch {
      throw ValidationError("\(name): \(error)")
    }
  }
}

extension EventFormat: ExpressibleByArgument {}
