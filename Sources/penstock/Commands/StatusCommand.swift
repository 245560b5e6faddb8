// penstock status: how a store and its daemon are, from pages and files.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Shows a store's state.
struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show how the store and its daemon are.",
    discussion: """
      Reads the shards' shared pages and the folders, never event data: looking costs nothing, \
      and works when no daemon runs. A running daemon is asked which shards it has left down. \
      Counters are those of this boot.
      """)

  @OptionGroup var store: StoreOptions

  @Option(help: "How it is written: text or json.")
  var format = StatusFormat.text

  /// How long a host may take to answer, in milliseconds: looking works beside one that hangs, too.
  private static let hostMilliseconds: Int32 = 1000

  func run() throws {
    let reader = try store.open()
    let status = try StoreStatus(reader.files, reader.layout, reader.store)
    let answer = ControlServer.ask(
      reader.layout, "status", milliseconds: StatusCommand.hostMilliseconds)
    let leftDown = ManagedRole.shardsLeftDown(answer ?? "")
    var output = OutputBuffer(OutputBuffer.standardOutput)
    switch format {
    case .text: StatusText(status, leftDown, root: reader.layout.root).write(to: &output)
    case .json: StatusJSON(status, leftDown).write(to: &output)
    }
    try output.flush()
  }
}

/// How status is written.
enum StatusFormat: String, CaseIterable, ExpressibleByArgument {
  case text, json
}

/// Status for people.
private struct StatusText {
  let status: StoreStatus
  let leftDown: Set<LogNumber>
  let root: String

  init(_ status: StoreStatus, _ leftDown: Set<LogNumber>, root: String) {
    self.status = status
    self.leftDown = leftDown
    self.root = root
  }

  func write(to output: inout OutputBuffer) {
    output.put(text: "store      \(root)  \(status.store.text)\n")
    output.put(
      text: "live       \(Readable.bytes(status.liveByteCount)), "
        + "\(Readable.counted(status.sealedSegmentCount, "sealed segment")) "
        + "waiting for the archiver\n")
    output.put(
      text: "archive    \(Readable.counted(status.tableCount, "table")), "
        + "\(Readable.counted(status.archivedEventCount, "event")), "
        + "\(Readable.count(status.lateEventCount)) late"
        + (status.erasureCount == 0
          ? "" : "; \(Readable.counted(status.erasureCount, "order")) to erase at work") + "\n")
    output.put(
      text: "disk       \(Readable.bytes(status.freeByteCount)) free of "
        + "\(Readable.bytes(status.totalByteCount)), "
        + "\(Readable.bytes(status.reserveByteCount)) held back for when it is full\(warning)\n")
    if status.quarantinedCount > 0 {
      output.put(
        text: "quarantine \(Readable.counted(status.quarantinedCount, "file")) of damaged bytes, "
          + "\(Readable.bytes(status.quarantinedByteCount)): 'penstock verify' tells more\n")
    }
    for shard in status.shards { write(shard, &output) }
  }

  /// What the two thresholds before a full disk, and a full one, are called.
  private var warning: String {
    switch status.room {
    case .plenty: ""
    case .low: "; it FILLS UP"
    case .nearlyFull: "; it is NEARLY FULL"
    case .full: "; it is FULL: shards stop when their segments are; free some space"
    }
  }

  private func write(_ shard: StoreStatus.Shard, _ output: inout OutputBuffer) {
    var state = "not running"
    if leftDown.contains(shard.log) {
      state = "LEFT DOWN: writing failed again and again; look at the disk, then restart penstock"
    }
    if let process = shard.frontier.writer {
      state = "running, pid \(process)"
      if let backend = shard.backend { state += ", \(backend)" }
      if shard[.isStalled] ?? 0 > 0 { state += ", STALLED: no segment to write to" }
    }
    output.put(text: "\nshard \(shard.log.value)    \(state)\n")
    let unknown = shard.frontier.writer == nil ? "not known without a daemon" : "nothing yet"
    let durable = shard.frontier.sequence.map { "\($0.value)" } ?? unknown
    output.put(text: "  durable up to    \(durable)\n")
    let active = shard.activeSegment.map { Hexadecimal.text($0.value, digits: 16) } ?? "none"
    output.put(
      text: "  segment          \(active), \(shard.preparedSegmentCount) prepared, "
        + "\(shard.sealedSegmentCount) waiting\n")
    guard shard.counters != nil else { return }
    output.put(
      text: "  stored           \(Readable.counted(number(shard, .eventsStored), "event")), "
        + "\(Readable.bytes(number(shard, .bytesStored))), "
        + "\(Readable.count(number(shard, .batches))) barriers\n")
    output.put(
      text: "  connections      \(number(shard, .connectionsOpen)) open, "
        + "\(Readable.count(number(shard, .connectionsAccepted))) accepted\n")
    output.put(
      text: "  stalls           \(Readable.count(number(shard, .segmentShortages))) for segments, "
        + "\(Readable.count(number(shard, .bufferShortages))) for buffers\n")
    for listener in shard.listeners { write(listener, &output) }
  }

  private func number(_ shard: StoreStatus.Shard, _ counter: Counter) -> Int {
    Int(clamping: shard[counter] ?? 0)
  }

  private func write(_ listener: StoreStatus.Listener, _ output: inout OutputBuffer) {
    let place = listener.url.isEmpty ? listener.name : listener.url
    output.put(text: "  \(place)\n")
    var parts: [String] = []
    for counter in ListenerCounter.allCases {
      let always = counter == .received || counter == .stored || counter == .dropped
      guard always || listener[counter] > 0, counter != .bytesReceived else { continue }
      parts.append("\(SnakeCase.of(counter)) \(Readable.count(Int(clamping: listener[counter])))")
    }
    output.put(text: "    " + parts.joined(separator: ", ") + "\n")
  }
}

/// Status for programs: one object, keys in fixed order, names in snake_case.
private struct StatusJSON {
  let status: StoreStatus
  let leftDown: Set<LogNumber>

  init(_ status: StoreStatus, _ leftDown: Set<LogNumber>) {
    self.status = status
    self.leftDown = leftDown
  }

  func write(to output: inout OutputBuffer) {
    let store: [(String, Int)] = [
      ("live_bytes", status.liveByteCount), ("sealed_segments", status.sealedSegmentCount),
      ("tables", status.tableCount), ("archived_events", status.archivedEventCount),
      ("late_events", status.lateEventCount), ("erase_orders", status.erasureCount),
      ("free_bytes", status.freeByteCount), ("total_bytes", status.totalByteCount),
      ("reserve_bytes", status.reserveByteCount),
      ("quarantined_copies", status.quarantinedCount),
      ("quarantined_bytes", status.quarantinedByteCount),
    ]
    output.put(text: "{\"store\":\"\(status.store.text)\"")
    for (name, value) in store { output.put(text: ",\"\(name)\":\(value)") }
    output.put(text: ",\"disk\":\"\(SnakeCase.of(status.room))\"")
    output.put(",\"shards\":[")
    for (index, shard) in status.shards.enumerated() {
      if index > 0 { output.put(",") }
      write(shard, &output)
    }
    output.put("]}\n")
  }

  private func write(_ shard: StoreStatus.Shard, _ output: inout OutputBuffer) {
    func optional(_ value: UInt64?) -> String { value.map { "\($0)" } ?? "null" }
    output.put(
      text: "{\"shard\":\(shard.log.value),\"running\":\(shard.frontier.writer != nil),"
        + "\"left_down\":\(leftDown.contains(shard.log)),"
        + "\"pid\":\(shard.frontier.writer.map { "\($0)" } ?? "null"),"
        + "\"backend\":\(shard.backend.map { "\"\($0)\"" } ?? "null"),"
        + "\"durable_sequence\":\(optional(shard.frontier.sequence?.value)),"
        + "\"active_segment\":\(optional(shard.activeSegment?.value)),"
        + "\"prepared_segments\":\(shard.preparedSegmentCount),"
        + "\"sealed_segments\":\(shard.sealedSegmentCount),\"counters\":")
    if let counters = shard.counters {
      output.put("{")
      for (index, counter) in Counter.allCases.enumerated() {
        let comma = index > 0 ? "," : ""
        output.put(text: "\(comma)\"\(SnakeCase.of(counter))\":\(counters[counter.rawValue])")
      }
      output.put("}")
    } else {
      output.put("null")
    }
    output.put(",\"listeners\":[")
    for (index, listener) in shard.listeners.enumerated() {
      if index > 0 { output.put(",") }
      output.put("{\"name\":")
      output.put(json: Array(listener.name.utf8).rawSpan)
      output.put(",\"url\":")
      output.put(json: Array(listener.url.utf8).rawSpan)
      for counter in ListenerCounter.allCases {
        output.put(text: ",\"\(SnakeCase.of(counter))\":\(listener[counter])")
      }
      output.put("}")
    }
    output.put("]}")
  }
}

/// The names of counters in output.
enum SnakeCase {
  /// The case's name with words parted by underscores: bytesReceived as "bytes_received".
  static func of<Counter>(_ counter: Counter) -> String {
    var name = ""
    for character in "\(counter)" {
      if character.isUppercase { name.append("_") }
      name.append(character.lowercased())
    }
    return name
  }
}
