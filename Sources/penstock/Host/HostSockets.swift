// The sockets of a running store: one for each shard and listener, opened by the host and kept
// open by it, so that datagrams and connections wait in the kernel while a shard restarts.
//
// The sockets of one listener share its address (SO_REUSEPORT), and the kernel spreads what comes.
// Nobody else may share it: an address that another program has is refused, even where the kernel
// would let both have it. A unix address has one socket, from which the shards take turns.
//
// With several shards each has addresses of its own as well: on the host of every TCP listener of the
// line protocol a port the kernel chooses, and a path in run/.

internal import CShims
internal import PenstockCore

/// Why the host could not listen.
struct ListenFailure: Error, CustomStringConvertible {
  var url: ListenerURL
  var code: Int32

  var description: String {
    "cannot listen on \(url): \(System.message(for: code)); "
      + "choose another address with --listen, or end the process that uses it"
  }
}

/// All sockets of a host.
struct HostSockets {
  /// `descriptors[shard][listener]`; empty for a shard that is left down.
  private(set) var descriptors: [[Int32]]
  private(set) var endpoints: [Endpoint] = []
  /// Where shards lend connections to the reader.
  private(set) var reader: Int32 = -1
  /// Where Everstore's clients connect.
  private(set) var everstore: Int32 = -1
  /// For each TCP listener of the line protocol, HOST:PORT of each shard's own.
  private(set) var shardAddresses: [[String]] = []
  /// The smallest receive buffer the kernel granted a datagram socket, in bytes.
  private(set) var receiveByteCount: Int?

  init(_ options: HostOptions) throws(ListenFailure) {
    descriptors = Array(repeating: [], count: options.shardCount)
    let names = ListenerURL.Scheme.names(of: options.listeners.map(\.scheme))
    for (listener, name) in zip(options.listeners, names) {
      try open(listener, name, shardCount: options.shardCount)
    }
    reader = try HostSockets.listenForReader(options.layout.readerSocket)
    if let url = options.everstore { try openEverstore(url) }
    if options.shardCount > 1 {
      for listener in options.listeners where listener.scheme == .lineTCP {
        try openShardAddresses(listener, options)
      }
    }
    guard options.hasShardSockets else { return }
    for shard in 0..<options.shardCount { try openShardSocket(shard, options) }
  }

  private mutating func openEverstore(_ url: ListenerURL) throws(ListenFailure) {
    try HostSockets.checkIsFree(url)
    everstore = open(url, 0)
    guard everstore >= 0 else { throw ListenFailure(url: url, code: -everstore) }
    let bound = url.bound(to: UInt16(max(0, penstock_bound_port(everstore))))
    endpoints.append(Endpoint(name: url.scheme.name, url: bound.description, shard: 0))
  }

  private static func listenForReader(_ path: String) throws(ListenFailure) -> Int32 {
    let descriptor = listenUnix(path, takesPackets: true)
    guard descriptor >= 0 else {
      throw ListenFailure(url: ListenerURL(unix: path), code: -descriptor)
    }
    try protect(path)
    return descriptor
  }

  private static func protect(_ path: String) throws(ListenFailure) {
    do throws(FileError) {
      try RunFolder.protect(socket: path)
    } catch {
      throw ListenFailure(url: ListenerURL(unix: path), code: error.code)
    }
  }

  /// Opens each shard's own port beside a listener.
  private mutating func openShardAddresses(_ listener: ListenerURL, _ options: HostOptions)
    throws(ListenFailure)
  {
    let names = ListenerURL.Scheme.names(of: options.listenerSchemes)
    var addresses: [String] = []
    for shard in 0..<options.shardCount {
      let wanted = listener.bound(to: 0)
      let descriptor = open(wanted, shard)
      guard descriptor >= 0 else { throw ListenFailure(url: wanted, code: -descriptor) }
      let url = wanted.bound(to: UInt16(max(0, penstock_bound_port(descriptor))))
      addresses.append(String(url.description.dropFirst("\(url.scheme.rawValue)://".count)))
      endpoints.append(
        Endpoint(name: names[descriptors[shard].count], url: url.description, shard: shard))
      descriptors[shard].append(descriptor)
    }
    shardAddresses.append(addresses)
  }

  /// Listens on a path. The roles of a host that was killed hold its sockets until they have ended:
  /// one that somebody listens on is tried again for a while.
  private static func listenUnix(_ path: String, takesPackets: Bool = false) -> Int32 {
    let deadline =
      System.monotonicNanoseconds() + Int64(HostOptions.bindRetryMilliseconds) * 1_000_000
    while true {
      let descriptor =
        takesPackets
        ? unsafe penstock_listen_packets(path, Int32(HostOptions.backlog))
        : unsafe penstock_listen_unix(path, Int32(HostOptions.backlog))
      guard descriptor == -System.addressInUse, System.monotonicNanoseconds() < deadline else {
        return descriptor
      }
      System.sleep(nanoseconds: 5_000_000)
    }
  }

  /// Opens a shard's own address.
  private mutating func openShardSocket(_ shard: Int, _ options: HostOptions)
    throws(ListenFailure)
  {
    let path = options.layout.shardSocket(LogNumber(UInt8(shard)))
    let url = ListenerURL(unix: path)
    let descriptor = HostSockets.listenUnix(path)
    guard descriptor >= 0 else { throw ListenFailure(url: url, code: -descriptor) }
    try HostSockets.protect(path)
    descriptors[shard].append(descriptor)
    endpoints.append(
      Endpoint(name: ListenerURL.Scheme.shardUnix.name, url: url.description, shard: shard))
  }

  private mutating func open(_ url: ListenerURL, _ name: String, shardCount: Int)
    throws(ListenFailure)
  {
    var bound = url
    try HostSockets.checkIsFree(url)
    for shard in 0..<shardCount {
      let descriptor = open(bound, shard)
      guard descriptor >= 0 else { throw ListenFailure(url: bound, code: -descriptor) }
      if case .address(_, 0) = bound.place {
        bound = url.bound(to: UInt16(max(0, penstock_bound_port(descriptor))))
      }
      if url.scheme == .syslogUDP {
        let granted = Int(max(0, penstock_receive_buffer(descriptor)))
        receiveByteCount = min(receiveByteCount ?? granted, granted)
      }
      descriptors[shard].append(descriptor)
      endpoints.append(Endpoint(name: name, url: bound.description, shard: shard))
    }
    if url.scheme == .syslogUDP, shardCount > 1 {
      // Without it one sender's datagrams all go to one shard; refused, that is what happens.
      _ = penstock_spread_datagrams(
        descriptors[0][descriptors[0].count - 1], UInt32(shardCount))
    }
  }

  /// Refuses an address somebody else has.
  private static func checkIsFree(_ url: ListenerURL) throws(ListenFailure) {
    guard case .address(let host, let port) = url.place, port != 0 else { return }
    let result = unsafe penstock_address_is_free(
      host, port, url.scheme == .syslogUDP, HostOptions.bindRetryMilliseconds)
    guard result == 0 else { throw ListenFailure(url: url, code: -result) }
  }

  private func open(_ url: ListenerURL, _ shard: Int) -> Int32 {
    switch url.place {
    case .path(let path):
      shard == 0
        ? HostSockets.listenUnix(path)
        : descriptors[0][descriptors[0].count - 1]
    case .address(let host, let port):
      url.scheme == .syslogUDP
        ? unsafe penstock_bind_udp(
          host, port, Int32(HostOptions.receiveByteCount), HostOptions.bindRetryMilliseconds)
        : unsafe penstock_listen_tcp(
          host, port, Int32(HostOptions.backlog), HostOptions.bindRetryMilliseconds)
    }
  }

  /// Closes the sockets of a shard that is left down, so that the kernel sends its share to the
  /// others. Returns the buffers the kernel had dropped on each datagram socket.
  mutating func close(shard: Int, _ options: HostOptions) -> [(name: String, dropped: Int)] {
    var dropped: [(String, Int)] = []
    for (index, listener) in options.listeners.enumerated() {
      if case .path = listener.place { continue }
      let descriptor = descriptors[shard][index]
      if listener.scheme == .syslogUDP {
        dropped.append((listener.description, Int(max(0, penstock_dropped_buffers(descriptor)))))
      }
      _ = penstock_close(descriptor)
    }
    for own in descriptors[shard].dropFirst(options.listeners.count) { _ = penstock_close(own) }
    descriptors[shard] = []
    return dropped
  }

  /// Removes the socket files of a host that ends.
  static func removeFiles(_ options: HostOptions) {
    for listener in options.listeners {
      // One that cannot be removed is replaced by the next host.
      if case .path(let path) = listener.place { _ = try? LinuxFileSystem().unlink(path) }
    }
    _ = try? LinuxFileSystem().unlink(options.layout.readerSocket)
    guard options.hasShardSockets else { return }
    for shard in 0..<options.shardCount {
      _ = try? LinuxFileSystem().unlink(options.layout.shardSocket(LogNumber(UInt8(shard))))
    }
  }
}
