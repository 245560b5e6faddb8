// `penstock serve`: a running store.

import ArgumentParser
internal import CShims
internal import PenstockArchive
internal import PenstockCore

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Take events in, make them durable, archive them.",
    discussion: """
      Listeners: syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT, relp+tcp://HOST[:PORT], \
      relp+unix://PATH, line+tcp://HOST:PORT, line+unix://PATH, everstore+tcp://HOST[:PORT]. \
      Port 0 takes any free one; where it listens is printed and written to \
      DIR/run/endpoints.json. Without --listen it listens on loopback: syslog on 5514 (UDP and \
      TCP), the line protocol on 6930 and on DIR/run/line.sock. Listeners of syslog and RELP take \
      options of their own, like syslog+udp://0.0.0.0:514?time=receive&zone=+02:00&past=30d&future=1h; \
      --time, --zone, --past and --future are those of the listeners that say nothing.
      """)

  @Option(help: "The store's folder; made when it is missing.")
  var data = "./penstock-data"

  @Option(name: .customLong("listen"), help: "A listener's URL; may be given more than once.")
  var listeners: [String] = []

  @Option(help: "Number of shards; default: one for each processor.")
  var shards: Int?

  @Option(help: "I/O backend: auto, ring (io_uring) or poll (epoll).")
  var io = "auto"

  @Option(help: "How syslog streams are named: {host} {app} {facility} {severity}.")
  var template = StreamTemplate.default

  @Option(help: "Time of syslog events: message (theirs, where they carry one) or receive.")
  var time: String?

  @Option(help: "Zone of syslog times that name none, like +02:00; default: UTC, as a guess.")
  var zone: String?

  @Option(
    help: """
      How far back a syslog message may claim to be from, like 30d; beyond it has the time it was \
      received at, and '_claimed=' the other. Default: any time is taken.
      """
  )
  var past: String?

  @Option(help: "How far ahead of its receipt a syslog message may claim to be, like 1h.")
  var future: String?

  @Option(
    help: """
      Memory of a shard: default (16 MB at full rate) or small (8 MB, with less throughput, fewer \
      connections, and events and commits of 256 KiB).
      """
  )
  var profile = "default"

  @Option(help: "Largest event, in bytes (KiB, MiB); default: 1MiB.")
  var maxEvent: String?

  @Option(
    help: "Largest PUT or COMMIT, in bytes (KiB, MiB), up to 16MiB; default: as the largest event.")
  var maxCommit: String?

  @Option(help: "Size of every segment, in bytes (KiB, MiB); default: by rate, 4 to 64 MiB.")
  var sealBytes: String?

  @Option(help: "Age at which a segment of at least 4 MiB is sealed, like 15m.")
  var sealAge = "15m"

  @Flag(help: "Seal on a clean stop, so that the archive holds everything.")
  var sealOnStop = false

  @Option(
    help: """
      File of the tokens clients of the line protocol need, one 'NAME SECRET [read=PATTERN,…] \
      [write=PATTERN,…]' a line; default: none are needed.
      """
  )
  var tokens: String?

  @Option(help: "Stretch of event time an archive table belongs to, like 1h, 1d or 1w.")
  var bucket = "1d"

  @Option(help: "How long after its end a bucket takes events that are not counted as late.")
  var grace = "1m"

  @Option(help: "How long archived events are kept behind their time, like 30d; default: for ever.")
  var retain: String?

  @Option(help: "Bytes the archive's tables may have together, like 500GiB; the oldest go first.")
  var retainBytes: String?

  @Option(help: "Attribute by which the archive groups the events of a stream.")
  var group: String?

  @Option(
    name: .customLong("index"),
    help: """
      Attribute the archive indexes, or 'type'; may be given more than once. Default: type host \
      severity; 'none' for none.
      """
  )
  var indexes: [String] = []

  func run() throws {
    let options = try checked()
    let files = LinuxFileSystem()
    let description: StoreDescription
    do {
      description = try StoreDescription.open(
        files, options.layout, journalHashWidth: options.shardCount)
    } catch {
      throw CommandFailure("cannot open the store \(options.layout.root): \(error)")
    }
    if let space = try? files.space(options.layout.root), space.free < Reserve.slackByteCount {
      // The host writes small files of its own.
      _ = Reserve.take(files, options.layout)
    }
    let lock = try lockStore(options)
    defer { files.close(lock) }
    try checkLogs(options, files)
    try protectRunFolder(options)
    // A connection costs a descriptor; as many as are allowed may be open.
    _ = penstock_raise_descriptor_limit()
    let sockets = try HostSockets(options)
    let control = try ControlServer(options.layout)
    keepSettings(options, files)
    let retired = RetiredLogs.waiting(
      files, options.layout, description.store, shardCount: options.shardCount)
    let signals = try Host.watchSignals()
    try Endpoints.write(sockets.endpoints, options.layout)
    announce(options, description.store, sockets)
    let host = Host(
      options, description, sockets: sockets, control: control, retired: retired,
      signals: signals)
    let status = host.run()
    // What is left of these says nothing wrong, and the next host replaces it.
    _ = try? files.unlink(options.layout.endpoints)
    _ = try? files.unlink(options.layout.controlSocket)
    HostSockets.removeFiles(options)
    throw ExitCode(status)
  }

  /// Takes the store's lock or says who has it.
  private func lockStore(_ options: HostOptions) throws -> File {
    do throws(HostLock.Failure) {
      return try HostLock.acquire(options.layout, shardCount: options.shardCount)
    } catch {
      switch error {
      case .held(let process):
        throw CommandFailure(
          "another penstock serves \(options.layout.root) "
            + "(\(process.map { "pid=\($0)" } ?? "starting")); stop it first")
      case .failed(let cause): throw CommandFailure("cannot lock the store: \(cause)")
      }
    }
  }

  /// Refuses to serve while another process writes one of the logs the shards are to have: the
  /// connections the kernel would give that shard would wait for ever. What a daemon that was killed
  /// has left is waited for.
  private func checkLogs(_ options: HostOptions, _ files: LinuxFileSystem) throws {
    for shard in 0..<options.shardCount {
      let log = LogNumber(UInt8(shard))
      let holder: Int?
      do throws(FileError) {
        holder = try Lease.holder(
          files, options.layout, log, waiting: ShardProcess.leaseWaitMilliseconds)
      } catch {
        throw CommandFailure("cannot look at the log of shard \(shard): \(error)")
      }
      guard let holder else { continue }
      throw CommandFailure(
        "log \(shard) of \(options.layout.root) is written by process \(holder), a program with "
          + "the store inside; end it first. Beside a daemon that runs already it would have a log "
          + "of its own")
    }
  }

  /// Shuts others out of run/. Where the file system has no modes that is said, and with tokens, which
  /// would be worth little there, the store is not served.
  private func protectRunFolder(_ options: HostOptions) throws {
    do throws(FileError) {
      try RunFolder.protect(options.layout)
    } catch {
      let text = "others cannot be shut out of \(options.layout.run): \(error)"
      guard options.tokens == nil else { throw CommandFailure(text) }
      Console.say("penstock: host: \(text)")
    }
  }

  /// Says to every process how the archive is laid out. A disk that is full must not keep a store
  /// from being served: the settings before stay then.
  private func keepSettings(_ options: HostOptions, _ files: LinuxFileSystem) {
    do {
      if try ArchiveSettings.read(files, options.layout) == options.archive { return }
      try options.archive.write(files, options.layout)
    } catch {
      Console.say(
        "penstock: host: the archive's settings cannot be written: \(error); those before stay in "
          + "force until penstock is started with room for them")
    }
  }

  private func announce(_ options: HostOptions, _ store: StoreIdentifier, _ sockets: HostSockets) {
    for endpoint in sockets.endpoints
    where endpoint.shard == 0 && !endpoint.name.hasPrefix("shard-") {
      print("listening on \(endpoint.url)")
    }
    let shards = options.shardCount == 1 ? "1 shard" : "\(options.shardCount) shards"
    print("store \(options.layout.root) (\(store.text)), \(shards)")
    flushOutput()
    guard let granted = sockets.receiveByteCount, granted < HostOptions.receiveByteCountToldBelow
    else { return }
    Console.say(
      "penstock: host: the kernel grants datagram sockets only \(Readable.bytes(granted)), so "
        + "bursts are dropped (and counted); 'sysctl -w net.core.rmem_max="
        + "\(HostOptions.receiveByteCount)' gives them room")
  }

  private func checked() throws -> HostOptions {
    precondition(
      HostOptions.shardCountMax <= Int(LogNumber.imported.value),
      "no shard has the number of imported events")
    let layout = StoreLayout(root: data)
    var urls: [ListenerURL] = []
    let texts =
      listeners.isEmpty
      ? [
        "syslog+udp://127.0.0.1:5514", "syslog+tcp://127.0.0.1:5514", "line+tcp://127.0.0.1:6930",
        "line+unix://\(layout.run)/line.sock",
      ] : listeners
    for text in texts {
      do {
        urls.append(try ListenerURL(text))
      } catch {
        throw ValidationError("\(error)")
      }
    }
    let everstore = urls.filter { $0.scheme == .everstoreTCP }
    guard everstore.count <= 1 else {
      throw ValidationError("one listener of everstore+tcp is enough")
    }
    urls.removeAll { $0.scheme == .everstoreTCP }
    let count = shards ?? min(System.processorCount, HostOptions.shardCountMax)
    guard (1...HostOptions.shardCountMax).contains(count) else {
      throw ValidationError("--shards takes 1 to \(HostOptions.shardCountMax)")
    }
    guard let backend = BackendChoice(rawValue: io) else {
      throw ValidationError("--io takes auto, ring or poll, not '\(io)'")
    }
    do {
      _ = try StreamTemplate(template)
    } catch {
      throw ValidationError("\(error)")
    }
    let limits = try shardLimits()
    var segment: Int?
    if let sealBytes {
      guard let size = Quantity.bytes(sealBytes),
        (2 << 20...SegmentPreparation.byteCountMax).contains(size),
        size >= limits.segmentByteCountMin / 2
      else {
        throw ValidationError(
          "--seal-bytes takes \(limits.segmentByteCountMin >> 21)MiB to 512MiB, not '\(sealBytes)'")
      }
      segment = size
    }
    guard let age = Quantity.nanoseconds(sealAge), age > 0 else {
      throw ValidationError("--seal-age takes a duration like 30s, 15m or 2h, not '\(sealAge)'")
    }
    var options = HostOptions(
      layout: layout, listeners: urls, shardCount: count, backend: backend, template: template,
      limits: limits, isSmall: profile == "small", segmentByteCount: segment,
      sealAgeNanoseconds: age,
      sealsOnStop: sealOnStop)
    options.everstore = everstore.first
    options.times = try listenerTimes()
    options.archive = try archiveSettings()
    try readTokens(&options)
    guard options.listenerSchemes.count <= Limits.listenerCountMax else {
      throw ValidationError(
        "a shard serves at most \(Limits.listenerCountMax) listeners; with these it would have "
          + "\(options.listenerSchemes.count), its own addresses included")
    }
    return options
  }

  private func listenerTimes() throws -> ListenerTimes {
    var times = ListenerTimes()
    for (key, value) in [("time", time), ("zone", zone), ("past", past), ("future", future)] {
      guard let value else { continue }
      guard times.take("\(key)=\(value)") else {
        throw ValidationError("--\(key) '\(value)' is none of \(ListenerTimes.grammar)")
      }
    }
    return times
  }

  private func shardLimits() throws -> Limits {
    guard ["default", "small"].contains(profile) else {
      throw ValidationError("--profile takes default or small, not '\(profile)'")
    }
    var limits = profile == "small" ? Limits.smallProfile : Limits()
    var event = limits.eventByteCountMax
    if let maxEvent {
      guard let size = Quantity.bytes(maxEvent), (1024...1 << 20).contains(size) else {
        throw ValidationError("--max-event takes 1KiB to 1MiB, not '\(maxEvent)'")
      }
      event = size
    }
    var commit = maxEvent == nil ? limits.octetCountMax : event
    if let maxCommit {
      guard let size = Quantity.bytes(maxCommit), (event...Limits.octetCountLimit).contains(size)
      else {
        throw ValidationError(
          "--max-commit takes the size of the largest event to 16MiB, not '\(maxCommit)'")
      }
      commit = size
    }
    limits.fit(eventByteCount: event, octetCount: commit)
    return limits
  }

  private func readTokens(_ options: inout HostOptions) throws {
    guard let tokens else { return }
    do throws(PrivateFile.Fault) {
      Console.say("penstock: host: " + HostOptions.told(try TokenFile.read(tokens), tokens))
    } catch {
      throw CommandFailure("\(error)")
    }
    options.tokens = tokens
  }

  private func archiveSettings() throws -> ArchiveSettings {
    var settings = ArchiveSettings()
    guard let length = Quantity.nanoseconds(bucket).flatMap({ BucketLength(nanoseconds: $0) })
    else { throw ValidationError("--bucket takes 1s to 5200w, not '\(bucket)'") }
    settings.bucket = length
    guard let grace = Quantity.nanoseconds(grace), grace >= 0 else {
      throw ValidationError("--grace takes a duration like 30s or 5m, not '\(grace)'")
    }
    settings.graceNanoseconds = grace
    settings.retainNanoseconds = try retain.map { text in
      guard let age = Quantity.nanoseconds(text), age > 0 else {
        throw ValidationError("--retain takes a duration like 12h or 30d, not '\(text)'")
      }
      return age
    }
    settings.retainByteCount = try retainBytes.map { text in
      guard let count = Quantity.bytes(text) else {
        throw ValidationError("--retain-bytes takes a size like 500GiB, not '\(text)'")
      }
      return count
    }
    settings.group = group
    if indexes == ["none"] {
      settings.indexes = []
    } else if !indexes.isEmpty {
      settings.indexes = indexes
    }
    guard settings.indexes.count <= ArchiveSettings.indexCountMax,
      Set(settings.indexes).count == settings.indexes.count,
      (settings.indexes + [group ?? "type"]).allSatisfy({
        (1...ArchiveSettings.keyByteCountMax).contains($0.utf8.count)
      })
    else {
      throw ValidationError(
        "--index and --group take names of attributes of up to \(ArchiveSettings.keyByteCountMax) "
          + "bytes, at most \(ArchiveSettings.indexCountMax) of them, none twice")
    }
    return settings
  }
}
