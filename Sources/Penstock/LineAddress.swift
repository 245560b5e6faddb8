// Where a server speaks the line protocol:
//
//     url = "line+tcp://" host ":" port      ; an IPv6 host stands in brackets
//         | "line+unix://" path

/// The address of a line protocol server.
public struct LineAddress: Hashable, Sendable, CustomStringConvertible {
  /// How it is reached.
  public enum Place: Hashable, Sendable {
    case tcp(host: String, port: UInt16)
    case unix(path: String)
  }

  /// How it is reached.
  public let place: Place

  /// Where `penstock serve` listens unless it is told otherwise.
  public static let standard = LineAddress(.tcp(host: "127.0.0.1", port: 6930))

  /// Why a URL names no address.
  public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with it, and what was expected.
    public let description: String
  }

  /// An address known by its parts.
  public init(_ place: Place) { self.place = place }

  /// Reads a URL.
  public init(url: String) throws(Fault) {
    if let path = LineAddress.rest(of: url, after: "line+unix://") {
      guard !path.isEmpty else {
        throw Fault(description: "'\(url)' names no path: expected line+unix:///path/to/socket")
      }
      place = .unix(path: path)
      return
    }
    guard let address = LineAddress.rest(of: url, after: "line+tcp://") else {
      throw Fault(
        description: "'\(url)' is not an address of the line protocol: "
          + "expected line+tcp://HOST:PORT or line+unix://PATH")
    }
    let bytes = Array(address.utf8)
    let colon = bytes.lastIndex(of: UInt8(ascii: ":")) ?? 0
    var host = Array(bytes[..<colon])
    if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]"), host.count > 2 {
      host = Array(host[1..<(host.count - 1)])
    }
    let digits = bytes.isEmpty ? [] : Array(bytes[(colon + 1)...])
    let isNumber = !digits.isEmpty && digits.allSatisfy { (0x30...0x39).contains($0) }
    guard !host.isEmpty, isNumber,
      let port = UInt16(String(decoding: digits, as: UTF8.self)), port > 0
    else {
      throw Fault(
        description: "'\(url)' is not HOST:PORT with a port of 1 to 65535, "
          + "like line+tcp://127.0.0.1:6930")
    }
    place = .tcp(host: String(decoding: host, as: UTF8.self), port: port)
  }

  /// A shard's own address as a server tells it to who came to `address`: another port of that host,
  /// or a path. The host in it is the server's name for itself, which need not mean anything here.
  init?(ofShard text: String, from address: LineAddress) {
    switch address.place {
    case .unix:
      guard text.hasPrefix("/") else { return nil }
      place = .unix(path: text)
    case .tcp(let host, _):
      let digits = text.split(separator: ":", omittingEmptySubsequences: false).last ?? ""
      guard let port = UInt16(digits), port > 0 else { return nil }
      place = .tcp(host: host, port: port)
    }
  }

  private static func rest(of text: String, after prefix: String) -> String? {
    text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : nil
  }

  /// The address as a URL.
  public var description: String {
    switch place {
    case .unix(let path): return "line+unix://\(path)"
    case .tcp(let host, let port):
      let isSix = host.utf8.contains(UInt8(ascii: ":"))
      return "line+tcp://\(isSix ? "[\(host)]" : host):\(port)"
    }
  }
}
