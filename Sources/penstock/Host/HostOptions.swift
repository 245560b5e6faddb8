// What the host was asked for, checked, and how it is handed to the roles.

internal import PenstockArchive
internal import PenstockCore

/// A running store's settings.
struct HostOptions {
  var layout: StoreLayout
  var listeners: [ListenerURL]
  /// Where Everstore's protocol is spoken, if it is.
  var everstore: ListenerURL?
  var shardCount: Int
  var backend: BackendChoice
  var template: String
  /// What is made of the times syslog messages carry, where a listener's options say nothing.
  var times = ListenerTimes()
  /// Sizes of a shard.
  var limits: Limits
  var isSmall: Bool
  /// Size of every segment; nil sizes them by rate.
  var segmentByteCount: Int?
  var sealAgeNanoseconds: Int64
  var sealsOnStop: Bool
  /// The file of tokens clients need; nil lets everybody in.
  var tokens: String?
  var archive = ArchiveSettings()

  /// Most shards: logs have numbers of two hex digits, machines fewer cores than that.
  static let shardCountMax = 64
  /// Bytes of the receive buffer asked for each datagram socket: 64 MiB held 0.66 million plain
  /// datagrams a second with busy neighbours, where 8 MiB lost up to a third.
  static let receiveByteCount = 64 << 20
  /// A granted buffer below this is told: bursts will be dropped.
  static let receiveByteCountToldBelow = 8 << 20
  /// Connections waiting to be accepted, for each socket.
  static let backlog = 1024
  /// How long an address in use is tried again, in milliseconds: the sockets of a killed process
  /// stay bound until its ring is torn down.
  static let bindRetryMilliseconds: Int32 = 2000

  /// The arguments of a shard's process.
  /// - Parameter addresses: for each TCP listener of the line protocol, HOST:PORT of each shard.
  func shardArguments(_ shard: Int, _ store: StoreIdentifier, addresses: [[String]]) -> [String] {
    var words = common("shard", shard, store)
    words += ["--seal-on-stop", sealsOnStop ? "1" : "0", "--reader", "1"]
    if let tokens { words += ["--tokens", tokens] }
    for scheme in listenerSchemes { words += ["--listener", scheme.rawValue] }
    for listener in listeners where listener.scheme.isSyslog {
      words += ["--times", listener.times.or(times).text]
    }
    for list in addresses { words += ["--addresses", list.joined(separator: " ")] }
    return words
  }

  /// The schemes of all sockets a shard is given: those of the listeners, and its own when there are
  /// other shards: one beside each TCP listener of the line protocol, for clients, and one for the
  /// requests that are passed on to it.
  var listenerSchemes: [ListenerURL.Scheme] {
    let schemes = listeners.map(\.scheme)
    let own =
      shardCount > 1
      ? schemes.filter { $0 == .lineTCP }.map { _ in ListenerURL.Scheme.shardTCP } : []
    return schemes + own + (hasShardSockets ? [.shardUnix] : [])
  }

  /// The arguments of a process that recovers a log no shard serves, seals it and ends.
  func retiredArguments(_ log: LogNumber, _ store: StoreIdentifier) -> [String] {
    common("shard", Int(log.value), store) + ["--seal-on-stop", "1"]
  }

  private func common(_ role: String, _ log: Int, _ store: StoreIdentifier) -> [String] {
    [
      role, "--data", layout.root, "--store", store.text, "--log", "\(log)",
      "--shards", "\(shardCount)", "--io", backend.rawValue, "--template", template,
      "--max-event", "\(limits.eventByteCountMax)", "--max-commit", "\(limits.octetCountMax)",
      "--profile", isSmall ? "small" : "default", "--seal-age", "\(sealAgeNanoseconds)",
    ]
  }

  /// - Parameter logCount: logs that may need segments, those without a shard included.
  func preparerArguments(_ store: StoreIdentifier, logCount: Int) -> [String] {
    var words = [
      "preparer", "--data", layout.root, "--store", store.text, "--logs", "\(logCount)",
    ]
    words += ["--segment-min", "\(limits.segmentByteCountMin)"]
    if let segmentByteCount { words += ["--segment", "\(segmentByteCount)"] }
    return words
  }

  func readerArguments(_ store: StoreIdentifier) -> [String] {
    ["reader", "--data", layout.root, "--store", store.text]
      + (tokens.map { ["--tokens", $0] } ?? [])
  }

  /// What is said of tokens that were read.
  static func told(_ tokens: [AccessToken], _ path: String) -> String {
    "\(Readable.counted(tokens.count, "token")) read from \(path)"
  }

  /// - Parameter width: logs journals are spread over.
  func everstoreArguments(_ store: StoreIdentifier, width: Int) -> [String] {
    [
      "everstore", "--data", layout.root, "--store", store.text, "--shards", "\(shardCount)",
      "--width", "\(width)", "--max-commit", "\(limits.octetCountMax)",
    ] + (tokens.map { ["--tokens", $0] } ?? [])
  }

  /// Whether each shard has an address of its own: others pass requests on to it.
  var hasShardSockets: Bool { shardCount > 1 || everstore != nil }

  func archiverArguments(_ store: StoreIdentifier) -> [String] {
    [
      "archiver", "--data", layout.root, "--store", store.text,
      "--finish", sealsOnStop ? "1" : "0",
    ]
  }
}
