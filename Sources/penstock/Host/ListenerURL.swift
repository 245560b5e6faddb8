// What a listener is given as:
//
//     url     = scheme "://" ( address | path )
//     scheme  = "syslog+udp" | "syslog+tcp" | "line+tcp" | "line+unix"
//     address = host ":" port                   ; an IPv6 host stands in brackets; port 0: any
//     path    = a file path                     ; line+unix only

internal import PenstockCore

/// A listener as the user names it.
struct ListenerURL: Equatable, Sendable, CustomStringConvertible {
  enum Scheme: String, CaseIterable, Sendable {
    case syslogUDP = "syslog+udp"
    case syslogTCP = "syslog+tcp"
    case lineTCP = "line+tcp"
    case lineUnix = "line+unix"

    var kind: ListenerKind {
      switch self {
      case .syslogUDP: .syslogDatagram
      case .syslogTCP: .syslogStream
      case .lineTCP, .lineUnix: .line
      }
    }

    /// The listener's name in the ledger: the scheme in letters that need no escape.
    var name: String { rawValue.split(separator: "+").joined(separator: "-") }
  }

  /// Where it listens.
  enum Place: Equatable, Sendable {
    case address(host: String, port: UInt16)
    case path(String)
  }

  var scheme: Scheme
  var place: Place

  /// What is wrong with a listener's URL.
  enum Fault: Error, Equatable, CustomStringConvertible {
    case noScheme(String)
    case unknownScheme(String)
    case noPort(String)
    case badPort(String)
    case noHost(String)
    case noPath(String)
    case pathTooLong(String)

    var description: String {
      switch self {
      case .noScheme(let text):
        "'\(text)' is not a listener: expected SCHEME://HOST:PORT, "
          + "like syslog+udp://127.0.0.1:5514"
      case .unknownScheme(let text):
        "unknown scheme '\(text)': known are "
          + Scheme.allCases.map(\.rawValue).joined(separator: ", ")
      case .noPort(let text): "'\(text)' names no port: expected HOST:PORT (port 0: any free one)"
      case .badPort(let text): "'\(text)' is not a port: expected 0 to 65535"
      case .noHost(let text): "'\(text)' names no host: expected HOST:PORT, like 127.0.0.1:5514"
      case .noPath(let text): "'\(text)' names no path: expected line+unix:///path/to/socket"
      case .pathTooLong(let text):
        "the path '\(text)' is too long for a unix socket: at most 107 bytes"
      }
    }
  }

  init(_ text: String) throws(Fault) {
    let bytes = Array(text.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), bytes.count >= colon + 3,
      bytes[colon + 1] == UInt8(ascii: "/"), bytes[colon + 2] == UInt8(ascii: "/")
    else { throw .noScheme(text) }
    let name = String(decoding: bytes[..<colon], as: UTF8.self)
    guard let scheme = Scheme(rawValue: name) else { throw .unknownScheme(name) }
    self.scheme = scheme
    let rest = Array(bytes[(colon + 3)...])
    if scheme == .lineUnix {
      guard !rest.isEmpty else { throw .noPath(text) }
      let path = String(decoding: rest, as: UTF8.self)
      guard rest.count <= 107 else { throw .pathTooLong(path) }
      place = .path(path)
      return
    }
    guard let last = rest.lastIndex(of: UInt8(ascii: ":")) else { throw .noPort(text) }
    var host = Array(rest[..<last])
    if host.first == UInt8(ascii: "[") {
      guard host.last == UInt8(ascii: "]") else { throw .noPort(text) }
      host = Array(host.dropFirst().dropLast())
    }
    guard !host.isEmpty else { throw .noHost(text) }
    let digits = String(decoding: rest[(last + 1)...], as: UTF8.self)
    guard !digits.isEmpty else { throw .noPort(text) }
    guard digits.utf8.allSatisfy({ (Byte.zero...Byte.nine).contains($0) }),
      let port = UInt16(digits)
    else { throw .badPort(digits) }
    place = .address(host: String(decoding: host, as: UTF8.self), port: port)
  }

  private init(scheme: Scheme, place: Place) {
    self.scheme = scheme
    self.place = place
  }

  /// The same listener on the port it was bound to.
  func bound(to port: UInt16) -> ListenerURL {
    guard case .address(let host, _) = place else { return self }
    return ListenerURL(scheme: scheme, place: .address(host: host, port: port))
  }

  var description: String {
    switch place {
    case .path(let path): return "\(scheme.rawValue)://\(path)"
    case .address(let host, let port):
      let isSix = host.utf8.contains(UInt8(ascii: ":"))
      return "\(scheme.rawValue)://\(isSix ? "[\(host)]" : host):\(port)"
    }
  }
}
