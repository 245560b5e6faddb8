// What a listener is given as:
//
//     url     = scheme "://" ( host ":" port [ "?" option *( "&" option ) ] | path )
//     scheme  = "syslog+udp" | "syslog+tcp" | "line+tcp" | "line+unix"
//             | "relp+tcp" | "relp+unix" | "everstore+tcp"
//     host    = name | IPv4 | "[" IPv6 "]"
//     port    = 1*5DIGIT                        ; 0 to 65535, 0 takes any free one; everstore+tcp
//                                               ; has 6929, relp+tcp 2514 when none is named
//     path    = a file path                     ; of those with +unix, and only there
//     option  = key "=" value                   ; of `ListenerTimes`; syslog and relp only
//
// Nothing is looked up here: whether a host exists is found out when its socket is opened.

package import PenstockCore

/// A listener as the user names it.
package struct ListenerURL: Equatable, Sendable, CustomStringConvertible {
  package enum Scheme: String, CaseIterable, Sendable {
    case syslogUDP = "syslog+udp"
    case syslogTCP = "syslog+tcp"
    case lineTCP = "line+tcp"
    case lineUnix = "line+unix"
    /// RELP.
    case relpTCP = "relp+tcp"
    case relpUnix = "relp+unix"
    /// Everstore's protocol, which has a process of its own.
    case everstoreTCP = "everstore+tcp"
    /// A shard's own addresses, made by the host.
    case shardTCP = "shard+tcp"
    case shardUnix = "shard+unix"

    /// Whether the host makes such listeners by itself.
    package var isOwn: Bool { self == .shardTCP || self == .shardUnix }

    /// Whether its messages are syslog.
    package var isSyslog: Bool { kind != .line }

    /// What its connections or datagrams speak.
    package var kind: ListenerKind {
      switch self {
      case .syslogUDP: .syslogDatagram
      case .syslogTCP: .syslogStream
      case .relpTCP, .relpUnix: .relp
      case .lineTCP, .lineUnix, .shardTCP, .shardUnix, .everstoreTCP: .line
      }
    }

    /// Whether it listens on a path.
    package var isUnix: Bool { self == .lineUnix || self == .relpUnix || self == .shardUnix }

    /// Its port when none is named; nil when one has to be.
    fileprivate var defaultPort: Int? {
      switch self {
      case .everstoreTCP: 6929
      case .relpTCP: 2514
      default: nil
      }
    }

    /// The scheme in letters that need no escape anywhere.
    package var name: String { rawValue.split(separator: "+").joined(separator: "-") }

    /// The names listeners have in the ledger, each of them once: "syslog-udp", "syslog-udp-2".
    package static func names(of schemes: [Scheme]) -> [String] {
      var counts: [Scheme: Int] = [:]
      return schemes.map { scheme in
        counts[scheme, default: 0] += 1
        let count = counts[scheme, default: 1]
        return count == 1 ? scheme.name : "\(scheme.name)-\(count)"
      }
    }
  }

  /// Where it listens.
  package enum Place: Equatable, Sendable {
    case address(host: String, port: UInt16)
    case path(String)
  }

  package var scheme: Scheme
  package var place: Place
  /// What is made of the times its messages carry, where its options say something about them.
  package var times = ListenerTimes()

  private static let colon = UInt8(ascii: ":")

  /// What is wrong with a listener's URL.
  package enum Fault: Error, Equatable, CustomStringConvertible {
    case noScheme(String)
    case unknownScheme(String)
    case noPort(String)
    case badPort(String)
    case noHost(String)
    case unclosedBracket(String)
    case bareColons(String)
    case noPath(String)
    case badOption(String)
    case noOptions(Scheme)

    package var description: String {
      switch self {
      case .noScheme(let text):
        "'\(text)' is not a listener: expected SCHEME://HOST:PORT, "
          + "like syslog+udp://127.0.0.1:5514"
      case .unknownScheme(let text):
        "unknown scheme '\(text)': known are "
          + Scheme.allCases.filter { !$0.isOwn }.map(\.rawValue).joined(separator: ", ")
      case .noPort(let text): "'\(text)' names no port: expected HOST:PORT (port 0: any free one)"
      case .badPort(let text): "'\(text)' is not a port: expected 0 to 65535"
      case .noHost(let text): "'\(text)' names no host: expected HOST:PORT, like 127.0.0.1:5514"
      case .unclosedBracket(let text):
        "'\(text)' has a bracket too few or too many: expected [IPv6]:PORT, like [::1]:5514"
      case .bareColons(let text):
        "'\(text)' leaves open where the port begins: an IPv6 host stands in brackets, "
          + "like [::1]:5514"
      case .noPath(let text):
        "'\(text)' names no path: expected one behind ://, "
          + "like line+unix:///path/to/socket"
      case .badOption(let text):
        "'\(text)' is no option of a listener: known are \(ListenerTimes.grammar)"
      case .noOptions(let scheme):
        "a listener of \(scheme.rawValue) takes no options: only those of syslog and RELP do"
      }
    }
  }

  package init(_ text: String) throws(Fault) {
    let bytes = Array(text.utf8)
    guard let colon = bytes.firstIndex(of: ListenerURL.colon), colon > 0,
      bytes[colon...].starts(with: Array("://".utf8))
    else { throw .noScheme(text) }
    let name = String(decoding: bytes[..<colon], as: UTF8.self)
    guard let scheme = Scheme(rawValue: name), !scheme.isOwn else {
      throw .unknownScheme(name)
    }
    self.scheme = scheme
    var rest = bytes[(colon + 3)...]
    if scheme.isUnix {
      guard let last = rest.last, last != Byte.slash else { throw .noPath(text) }
      place = .path(String(decoding: rest, as: UTF8.self))
    } else {
      if let mark = rest.firstIndex(of: UInt8(ascii: "?")) {
        guard scheme.isSyslog else { throw .noOptions(scheme) }
        for option in rest[(mark + 1)...].split(separator: UInt8(ascii: "&")) {
          let word = String(decoding: option, as: UTF8.self)
          guard times.take(word) else { throw .badOption(word) }
        }
        rest = rest[..<mark]
      }
      var address = rest
      if let port = scheme.defaultPort, !rest.isEmpty, !rest.contains(ListenerURL.colon) {
        address += Array(":\(port)".utf8)
      }
      place = try ListenerURL.address(address, text)
    }
  }

  private static func address(_ rest: ArraySlice<UInt8>, _ text: String) throws(Fault) -> Place {
    var host = rest
    var digits = rest.suffix(0)
    if rest.first == Byte.openBracket {
      guard let end = rest.firstIndex(of: Byte.closeBracket) else { throw .unclosedBracket(text) }
      host = rest[(rest.startIndex + 1)..<end]
      guard end + 1 < rest.endIndex else { throw .noPort(text) }
      guard rest[end + 1] == ListenerURL.colon else { throw .unclosedBracket(text) }
      digits = rest[(end + 2)...]
    } else {
      guard let colon = rest.lastIndex(of: ListenerURL.colon) else { throw .noPort(text) }
      host = rest[..<colon]
      digits = rest[(colon + 1)...]
      guard !host.contains(ListenerURL.colon) else { throw .bareColons(text) }
    }
    guard !host.isEmpty else { throw .noHost(text) }
    guard !host.contains(where: { $0 == Byte.openBracket || $0 == Byte.closeBracket }) else {
      throw .unclosedBracket(text)
    }
    guard !digits.isEmpty else { throw .noPort(text) }
    let number = String(decoding: digits, as: UTF8.self)
    guard digits.count <= 5, digits.allSatisfy({ (Byte.zero...Byte.nine).contains($0) }),
      let port = UInt16(number)
    else { throw .badPort(number) }
    return .address(host: String(decoding: host, as: UTF8.self), port: port)
  }

  /// The line protocol on a unix socket.
  package init(unix path: String) {
    self.init(scheme: .lineUnix, place: .path(path))
  }

  private init(scheme: Scheme, place: Place) {
    self.scheme = scheme
    self.place = place
  }

  /// The same listener on the port it was bound to; what clients need of it, so without options.
  package func bound(to port: UInt16) -> ListenerURL {
    guard case .address(let host, _) = place else { return self }
    return ListenerURL(scheme: scheme, place: .address(host: host, port: port))
  }

  package var description: String {
    switch place {
    case .path(let path): return "\(scheme.rawValue)://\(path)"
    case .address(let host, let port):
      let isSix = host.utf8.contains(ListenerURL.colon)
      return "\(scheme.rawValue)://\(isSix ? "[\(host)]" : host):\(port)"
    }
  }
}
