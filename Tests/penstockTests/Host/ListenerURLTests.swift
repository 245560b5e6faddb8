import Testing
import penstock

struct ListenerURLTests {
  @Test(arguments: [
    ("syslog+udp://127.0.0.1:5514", ListenerURL.Scheme.syslogUDP, "127.0.0.1", 5514),
    ("syslog+tcp://0.0.0.0:0", .syslogTCP, "0.0.0.0", 0),
    ("line+tcp://localhost:65535", .lineTCP, "localhost", 65535),
    ("line+tcp://[::1]:6930", .lineTCP, "::1", 6930),
    ("line+tcp://[fe80::1%eth0]:1", .lineTCP, "fe80::1%eth0", 1),
    ("syslog+udp://logs.example.org:00514", .syslogUDP, "logs.example.org", 514),
    ("everstore+tcp://127.0.0.1", .everstoreTCP, "127.0.0.1", 6929),
    ("everstore+tcp://127.0.0.1:17", .everstoreTCP, "127.0.0.1", 17),
  ])
  func `an address is a host and a port`(
    _ text: String, _ scheme: ListenerURL.Scheme, _ host: String, _ port: UInt16
  ) throws {
    let url = try ListenerURL(text)
    #expect(url.scheme == scheme)
    #expect(url.place == .address(host: host, port: port))
  }

  @Test func `options of a syslog listener are about the times of its messages`() throws {
    let url = try ListenerURL("syslog+udp://[::1]:514?time=receive&zone=-09:30&past=2d&future=90s")
    #expect(url.place == .address(host: "::1", port: 514))
    #expect(url.times.usesReceiveTime == true)
    #expect(url.times.zoneOffsetSeconds == -34_200)
    #expect(url.times.pastSecondsMax == 172_800)
    #expect(url.times.futureSecondsMax == 90)
    #expect(url.description == "syslog+udp://[::1]:514")
    #expect(try ListenerURL("syslog+tcp://h:1?").times == ListenerTimes())
    let relp = try ListenerURL("relp+tcp://h?time=receive")
    #expect(relp.place == .address(host: "h", port: 2514))
    #expect(relp.times.usesReceiveTime == true)
  }

  @Test(arguments: [
    ("syslog+tcp://h:1?x=1", ListenerURL.Fault.badOption("x=1")),
    ("syslog+tcp://h:1?time", .badOption("time")),
    ("syslog+tcp://h:1?time=", .badOption("time=")),
    ("syslog+tcp://h:1?zone=Z&time=now", .badOption("time=now")),
    ("syslog+tcp://h:1?zone=02:00", .badOption("zone=02:00")),
    ("syslog+tcp://h:1?zone=+24:00", .badOption("zone=+24:00")),
    ("syslog+tcp://h:1?past=-1s", .badOption("past=-1s")),
    ("syslog+tcp://h:1?past=500ms", .badOption("past=500ms")),
    ("syslog+tcp://h:1?past=1y", .badOption("past=1y")),
    ("line+tcp://h:1?time=receive", .noOptions(.lineTCP)),
    ("everstore+tcp://h?time=receive", .noOptions(.everstoreTCP)),
  ]) func `what is no option is named`(_ text: String, _ fault: ListenerURL.Fault) {
    #expect(throws: fault) { try ListenerURL(text) }
  }

  @Test(arguments: ["/run/p/line.sock", "relative/line.sock", "a b/ü:1.sock", "[x]"])
  func `a path is everything behind the scheme`(_ path: String) throws {
    let url = try ListenerURL("line+unix://" + path)
    #expect(url.scheme == .lineUnix)
    #expect(url.place == .path(path))
    #expect(url.description == "line+unix://" + path)
  }

  @Test func `a path may be longer than an address of a unix socket`() throws {
    let path = "/" + String(repeating: "deep/", count: 100) + "s"
    #expect(try ListenerURL("line+unix://" + path).place == .path(path))
  }

  @Test(arguments: [
    ("", ListenerURL.Fault.noScheme("")),
    ("5514", .noScheme("5514")),
    ("127.0.0.1:5514", .noScheme("127.0.0.1:5514")),
    ("://127.0.0.1:1", .noScheme("://127.0.0.1:1")),
    ("syslog+udp:127.0.0.1:5514", .noScheme("syslog+udp:127.0.0.1:5514")),
    ("syslog+udp:/127.0.0.1:5514", .noScheme("syslog+udp:/127.0.0.1:5514")),
    ("syslog+udp:", .noScheme("syslog+udp:")),
    ("udp://127.0.0.1:5514", .unknownScheme("udp")),
    ("SYSLOG+UDP://127.0.0.1:5514", .unknownScheme("SYSLOG+UDP")),
    (" line+tcp://127.0.0.1:1", .unknownScheme(" line+tcp")),
    ("syslog+udp://", .noPort("syslog+udp://")),
    ("syslog+udp://127.0.0.1", .noPort("syslog+udp://127.0.0.1")),
    ("syslog+udp://127.0.0.1:", .noPort("syslog+udp://127.0.0.1:")),
    ("line+tcp://[::1]", .noPort("line+tcp://[::1]")),
    ("line+tcp://[::1]:", .noPort("line+tcp://[::1]:")),
    ("line+tcp://:6930", .noHost("line+tcp://:6930")),
    ("line+tcp://[]:6930", .noHost("line+tcp://[]:6930")),
    ("line+tcp://h:65536", .badPort("65536")),
    ("line+tcp://h:-1", .badPort("-1")),
    ("line+tcp://h:+1", .badPort("+1")),
    ("line+tcp://h:1x", .badPort("1x")),
    ("line+tcp://h:1/", .badPort("1/")),
    ("line+tcp://h:٣", .badPort("٣")),
    ("line+tcp://h:000001", .badPort("000001")),
    ("line+tcp://h:99999999999999999999", .badPort("99999999999999999999")),
    ("line+tcp://[::1:6930", .unclosedBracket("line+tcp://[::1:6930")),
    ("line+tcp://::1]:6930", .bareColons("line+tcp://::1]:6930")),
    ("line+tcp://h]:6930", .unclosedBracket("line+tcp://h]:6930")),
    ("line+tcp://[[::1]:6930", .unclosedBracket("line+tcp://[[::1]:6930")),
    ("line+tcp://[::1]6930", .unclosedBracket("line+tcp://[::1]6930")),
    ("line+tcp://[::1]x:6930", .unclosedBracket("line+tcp://[::1]x:6930")),
    ("line+tcp://::1:6930", .bareColons("line+tcp://::1:6930")),
    ("line+unix://", .noPath("line+unix://")),
    ("line+unix:///run/", .noPath("line+unix:///run/")),
    ("shard+unix:///run/s.sock", .unknownScheme("shard+unix")),
    ("shard+tcp://127.0.0.1:0", .unknownScheme("shard+tcp")),
  ])
  func `what is no listener is told from the others`(_ text: String, _ fault: ListenerURL.Fault) {
    #expect(throws: fault) { try ListenerURL(text) }
    #expect(
      fault.description.contains("expected") || fault.description.contains("known are")
        || fault.description.contains("brackets"))
  }

  @Test(arguments: ListenerURL.Scheme.allCases.filter { !$0.isUnix && !$0.isOwn })
  func `a URL is written as it is read`(_ scheme: ListenerURL.Scheme) throws {
    for host in ["127.0.0.1", "[::1]", "name"] {
      for port in [0, 1, 514, 65535] {
        let text = "\(scheme.rawValue)://\(host):\(port)"
        #expect(try ListenerURL(text).description == text)
      }
    }
  }

  @Test func `a bound listener names its port`() throws {
    #expect(
      try ListenerURL("line+tcp://[::1]:0").bound(to: 4711).description == "line+tcp://[::1]:4711")
    let path = try ListenerURL("line+unix:///s")
    #expect(path.bound(to: 1) == path)
  }

  @Test func `names in the ledger are each there once`() {
    let names = ListenerURL.Scheme.names(of: [
      .syslogUDP, .lineTCP, .syslogUDP, .lineUnix, .syslogUDP,
    ])
    #expect(names == ["syslog-udp", "line-tcp", "syslog-udp-2", "line-unix", "syslog-udp-3"])
  }

  @Test(arguments: 0..<200) func `no bytes make it trap`(_ round: Int) {
    var random = SystemRandomNumberGenerator()
    let alphabet = Array("line+tcp://[]:0159x é\u{0}".unicodeScalars)
    let text = String(
      String.UnicodeScalarView(
        (0..<Int.random(in: 0..<30, using: &random)).map { _ in
          alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
        }))
    for candidate in [text, "line+tcp://" + text, "line+unix://" + text] {
      guard let url = try? ListenerURL(candidate) else { continue }
      #expect((try? ListenerURL(url.description)) == url, "\(candidate)")
    }
  }
}
