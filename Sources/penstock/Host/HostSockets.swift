// The sockets of a running store: one for each shard and listener, opened by the host and kept
// open by it, so that datagrams and connections wait in the kernel while a shard restarts.

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
  /// `descriptors[shard][listener]`.
  private(set) var descriptors: [[Int32]]
  private(set) var endpoints: [Endpoint] = []

  init(_ options: HostOptions) throws(ListenFailure) {
    descriptors = Array(repeating: [], count: options.shardCount)
    for listener in options.listeners {
      try open(listener, options)
    }
  }

  private mutating func open(_ url: ListenerURL, _ options: HostOptions) throws(ListenFailure) {
    var bound = url
    for shard in 0..<options.shardCount {
      let descriptor: Int32
      switch bound.place {
      case .path(let path):
        // A unix address has one socket; the shards take turns accepting from it.
        descriptor =
          shard == 0
          ? unsafe penstock_listen_unix(path, Int32(HostOptions.backlog))
          : descriptors[0][descriptors[0].count - 1]
      case .address(let host, let port):
        if url.scheme == .syslogUDP {
          descriptor = unsafe penstock_bind_udp(
            host, port, Int32(HostOptions.receiveByteCount), HostOptions.bindRetryMilliseconds)
        } else {
          descriptor = unsafe penstock_listen_tcp(
            host, port, Int32(HostOptions.backlog), HostOptions.bindRetryMilliseconds)
        }
        if descriptor >= 0, port == 0 {
          bound = url.bound(to: UInt16(max(0, penstock_bound_port(descriptor))))
        }
      }
      guard descriptor >= 0 else { throw ListenFailure(url: bound, code: -descriptor) }
      descriptors[shard].append(descriptor)
      endpoints.append(Endpoint(name: url.scheme.name, url: bound.description, shard: shard))
    }
    if url.scheme == .syslogUDP, options.shardCount > 1 {
      // Without it one sender's datagrams all go to one shard; refused, that is what happens.
      _ = penstock_spread_datagrams(
        descriptors[0][descriptors[0].count - 1], UInt32(options.shardCount))
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
        dropped.append((listener.scheme.name, Int(max(0, penstock_dropped_buffers(descriptor)))))
      }
      _ = penstock_close(descriptor)
    }
    descriptors[shard] = []
    return dropped
  }
}
