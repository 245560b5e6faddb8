// `penstock role …`: what the host starts. Not for people.

internal import CShims
internal import PenstockArchive
internal import PenstockCore

/// Dispatches the roles of a running store.
enum Role {
  /// Runs the role named by the first word and exits.
  static func run(_ words: [String]) -> Never {
    guard let name = words.first else { penstock_exit(64) }
    let arguments = RoleArguments(Array(words.dropFirst()))
    guard let root = arguments.text("--data"), let text = arguments.text("--store"),
      let store = StoreIdentifier(text: text), let control = arguments.descriptors.first
    else {
      ShardProcess.say(name, "roles are started by 'penstock serve'")
      penstock_exit(64)
    }
    let layout = StoreLayout(root: root)
    switch name {
    case "shard": penstock_exit(shard(arguments, layout, store, control))
    case "preparer":
      var preparer = Preparer(
        layout, store, shardCount: arguments.number("--shards") ?? 1,
        fixedByteCount: arguments.number("--segment"))
      penstock_exit(preparer.run(control: control))
    case "archiver": penstock_exit(ArchiverProcess.run(layout: layout, store: store, control: control))
    default:
      ShardProcess.say(name, "unknown role")
      penstock_exit(64)
    }
  }

  private static func shard(
    _ arguments: RoleArguments, _ layout: StoreLayout, _ store: StoreIdentifier, _ control: Int32
  ) -> Int32 {
    let kinds = arguments.all("--listener").compactMap { ListenerURL.Scheme(rawValue: $0) }
    let descriptors = arguments.descriptors.dropFirst()
    let backend = arguments.text("--io").flatMap { BackendChoice(rawValue: $0) } ?? .auto
    guard kinds.count == descriptors.count, let log = arguments.number("--log"),
      let template = try? StreamTemplate(arguments.text("--template") ?? StreamTemplate.default)
    else {
      ShardProcess.say("shard", "was started with arguments that do not fit its descriptors")
      return 64
    }
    var configuration = ShardConfiguration(
      layout: layout, store: store, log: LogNumber(UInt8(log)),
      shardCount: arguments.number("--shards") ?? 1, backend: backend)
    for (kind, descriptor) in zip(kinds, descriptors) {
      configuration.listeners.append(
        ListenerConfiguration(
          socket: Socket(descriptor: descriptor), kind: kind.kind, name: kind.name,
          template: template))
    }
    if let limit = arguments.number("--max-event") { configuration.limits.eventByteCountMax = limit }
    if let age = arguments.number("--seal-age") {
      configuration.seal.ageNanoseconds = Int64(age)
    }
    configuration.seal.onStop = arguments.number("--seal-on-stop") == 1
    do {
      let manifest = try Manifest.read(LinuxFileSystem(), layout)
      configuration.archivedThrough = manifest.archivedThrough(configuration.log)
    } catch {
      ShardProcess.say("shard \(log)", "the archive's manifest cannot be read: \(error)")
      return ShardProcess.Status.failed.rawValue
    }
    return ShardProcess.run(configuration, control: Socket(descriptor: control)).rawValue
  }
}
