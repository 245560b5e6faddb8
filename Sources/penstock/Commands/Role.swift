// `penstock role …`: what the host starts. Not for people.

internal import CShims
internal import PenstockArchive
internal import PenstockCore

/// Dispatches the roles of a running store.
enum Role {
  /// What a role needs whatever it is.
  private struct Place {
    var layout: StoreLayout
    var store: StoreIdentifier
    /// Read end of the control pipe, and the descriptors behind it.
    var control: Int32
    var descriptors: [Int32]
  }

  /// A command line or descriptors that do not fit (EX_USAGE).
  private static let usageStatus: Int32 = 64
  /// The first passed descriptor (sd_listen_fds(3)).
  private static let firstDescriptor: Int32 = 3

  /// Runs the role the words name and exits.
  static func run(_ words: [String]) -> Never {
    let name = words.first ?? "role"
    do {
      let arguments = try RoleArguments(words)
      penstock_exit(try run(arguments, try place(arguments)))
    } catch {
      ShardProcess.say(name, "\(error); roles are started by 'penstock serve'")
      penstock_exit(usageStatus)
    }
  }

  private static func place(_ arguments: RoleArguments) throws -> Place {
    let text = try arguments.text("--store")
    guard let store = StoreIdentifier(text: text) else {
      throw CommandFailure("'\(text)' is no store's identifier")
    }
    let count = penstock_passed_descriptors()
    guard count > 0 else { throw CommandFailure("no control pipe was passed") }
    let descriptors = (0..<count).map { firstDescriptor + $0 }
    return Place(
      layout: StoreLayout(root: try arguments.text("--data")), store: store,
      control: descriptors[0], descriptors: Array(descriptors.dropFirst()))
  }

  private static func run(_ arguments: RoleArguments, _ place: Place) throws -> Int32 {
    switch arguments.name {
    case "shard": return try shard(arguments, place)
    case "preparer":
      let count = try arguments.number("--logs", in: 1...HostOptions.shardCountMax)
      var preparer = Preparer(
        place.layout, place.store, logs: (0..<count).map { LogNumber(UInt8($0)) },
        fixedByteCount: try arguments.numberIfGiven("--segment"),
        byteCountMin: try arguments.number("--segment-min"))
      return preparer.run(control: place.control)
    case "archiver":
      return ArchiverProcess.run(
        layout: place.layout, store: place.store, control: place.control,
        finishes: try arguments.number("--finish") == 1)
    case "everstore":
      guard let listener = place.descriptors.first else {
        throw CommandFailure("no socket was passed for Everstore's clients")
      }
      return EverstoreProcess.run(
        layout: place.layout, shardCount: try arguments.number("--shards"),
        width: try arguments.number("--width", in: 1...HostOptions.shardCountMax),
        control: place.control, listener: listener,
        octetCountMax: try arguments.number("--max-commit", in: 1...Limits.octetCountLimit),
        access: try arguments.all("--tokens").last.map {
          EverstoreAccess($0, peerSecret: try PeerSecret.receive(place.control))
        })
    case "reader":
      guard let listener = place.descriptors.first else {
        throw CommandFailure("no socket was passed for lent connections")
      }
      return ReaderProcess.run(
        layout: place.layout, store: place.store, control: place.control, listener: listener,
        tokens: arguments.all("--tokens").last)
    default: throw CommandFailure("there is no role of this name")
    }
  }

  private static func shard(_ arguments: RoleArguments, _ place: Place) throws -> Int32 {
    let log = try arguments.number("--log", in: 0...HostOptions.shardCountMax - 1)
    let schemes = arguments.all("--listener").compactMap { ListenerURL.Scheme(rawValue: $0) }
    guard schemes.count == place.descriptors.count else {
      throw CommandFailure(
        "\(place.descriptors.count) sockets were passed for \(schemes.count) listeners")
    }
    guard let backend = BackendChoice(rawValue: try arguments.text("--io")) else {
      throw CommandFailure("--io takes auto, ring or poll")
    }
    let template = try StreamTemplate(try arguments.text("--template"))
    var configuration = ShardConfiguration(
      layout: place.layout, store: place.store, log: LogNumber(UInt8(log)),
      shardCount: try arguments.number("--shards"), backend: backend)
    if let description = try? StoreDescription.read(LinuxFileSystem(), place.layout) {
      configuration.journalHashWidth = description.journalHashWidth
    }
    let names = ListenerURL.Scheme.names(of: schemes)
    let times = try listenerTimes(arguments, schemes)
    let addresses = shardAddresses(arguments, place, schemes, configuration.shardCount)
    for (index, descriptor) in place.descriptors.enumerated() {
      configuration.listeners.append(
        ListenerConfiguration(
          socket: Socket(descriptor: descriptor), kind: schemes[index].kind, name: names[index],
          template: template, times: times[index], shardAddresses: addresses[index]))
    }
    if try arguments.text("--profile") == "small" { configuration.limits = .smallProfile }
    configuration.limits.fit(
      eventByteCount: try arguments.number("--max-event", in: 1...1 << 20),
      octetCount: try arguments.number("--max-commit", in: 1...Limits.octetCountLimit))
    configuration.segmentByteCount = configuration.limits.segmentByteCountMin
    configuration.seal.ageNanoseconds = Int64(try arguments.number("--seal-age"))
    configuration.hasReader = try arguments.numberIfGiven("--reader") == 1
    if let path = arguments.all("--tokens").last {
      configuration.access = AccessConfiguration(
        path: path, peerSecret: try PeerSecret.receive(place.control))
    }
    configuration.seal.onStop = try arguments.number("--seal-on-stop") == 1
    // The manifest is read under the lease: whoever had the log before may have archived it meanwhile.
    do throws(Lease.Failure) {
      configuration.lease = try Lease.acquire(
        LinuxFileSystem(), place.layout, configuration.log,
        waiting: ShardProcess.leaseWaitMilliseconds)
    } catch {
      ShardProcess.say("shard \(log)", error.description)
      if case .held = error { return ShardProcess.Status.leaseHeld.rawValue }
      return ShardProcess.Status.failed.rawValue
    }
    do {
      let manifest = try Manifest.read(LinuxFileSystem(), place.layout)
      configuration.archivedThrough = manifest.archivedThrough(configuration.log)
      configuration.coveredThrough = manifest.coveredThrough(configuration.log)
    } catch {
      ShardProcess.say("shard \(log)", "the archive's manifest cannot be read: \(error)")
      return ShardProcess.Status.failed.rawValue
    }
    return ShardProcess.run(configuration, control: Socket(descriptor: place.control)).rawValue
  }

  /// What each listener makes of the times its messages carry.
  private static func listenerTimes(
    _ arguments: RoleArguments, _ schemes: [ListenerURL.Scheme]
  ) throws -> [TimeRules] {
    var texts = arguments.all("--times")[...]
    return try schemes.map { scheme in
      guard scheme.isSyslog, let text = texts.popFirst() else { return TimeRules() }
      guard let times = ListenerTimes(text) else {
        throw CommandFailure("--times takes \(ListenerTimes.grammar), not '\(text)'")
      }
      return times.rules
    }
  }

  /// What clients of each listener are told of where the shards are.
  private static func shardAddresses(
    _ arguments: RoleArguments, _ place: Place, _ schemes: [ListenerURL.Scheme], _ shardCount: Int
  ) -> [[[UInt8]]] {
    let lists = arguments.all("--addresses").map { list in
      list.split(separator: " ").map { Escape.encode(Array($0.utf8).rawSpan, .word) }
    }
    let paths = (0..<shardCount).map { shard in
      let path = System.absolutePath(place.layout.shardSocket(LogNumber(UInt8(shard))))
      return Escape.encode(Array(path.utf8).rawSpan, .word)
    }
    // A shard's own port stands beside the listener it was opened for.
    var rests: [ListenerURL.Scheme: ArraySlice<[[UInt8]]>] = [
      .lineTCP: lists[...], .shardTCP: lists[...],
    ]
    return schemes.map { scheme in
      switch scheme {
      case .lineTCP, .shardTCP: rests[scheme]?.popFirst() ?? []
      case .lineUnix, .shardUnix: shardCount > 1 ? paths : []
      case .syslogTCP, .syslogUDP, .relpTCP, .relpUnix, .everstoreTCP: []
      }
    }
  }
}
