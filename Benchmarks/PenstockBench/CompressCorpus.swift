// What is compressed: log files that may stand beside the package, and lines made here.
//
// Every corpus is one stream of events a millisecond apart, so that times carry nothing.

internal import CShims
internal import PenstockCore

/// Events to compress.
package struct CompressCorpus: Sendable {
  package let name: String
  /// Lines made here are not held against bars of size: what they hold is our choice.
  package let isGenerated: Bool
  /// Types, attributes and payloads, one after the other.
  private(set) var bytes: [UInt8] = []
  /// For each event, where its type, attributes and payload end; they begin where the one before
  /// ends.
  private(set) var ends: [(type: Int, attributes: Int, payload: Int)] = []

  /// The systems of loghub (https://github.com/logpai/loghub).
  private static let systems = [
    "Apache", "HDFS", "Hadoop", "HealthApp", "Linux", "Mac", "OpenSSH", "Proxifier", "Spark",
    "Zookeeper",
  ]

  private init(name: String, isGenerated: Bool) {
    self.name = name
    self.isGenerated = isGenerated
  }

  private mutating func append(type: String, attributes: String, payload: [UInt8]) {
    bytes += Array(type.utf8)
    let typeEnd = bytes.count
    bytes += Array(attributes.utf8)
    let attributesEnd = bytes.count
    bytes += payload
    ends.append((typeEnd, attributesEnd, bytes.count))
  }

  var eventCount: Int { ends.count }

  /// Bytes of the payloads alone.
  var payloadByteCount: Int { ends.reduce(0) { $0 + $1.payload - $1.attributes } }

  /// The fields of an event, as ranges of `bytes`.
  func fields(_ index: Int) -> (type: ByteRange, attributes: ByteRange, payload: ByteRange) {
    let start = index == 0 ? 0 : ends[index - 1].payload
    let end = ends[index]
    return (start..<end.type, end.type..<end.attributes, end.attributes..<end.payload)
  }

  /// The events as lines of text.
  var text: [UInt8] {
    var text: [UInt8] = []
    for index in ends.indices {
      let event = fields(index)
      // A type that says nothing is no part of the line.
      let isNamed = bytes[event.type] != [Byte.dash]
      for field in [event.type, event.attributes] where isNamed && !field.isEmpty {
        text += bytes[field] + [Byte.space]
      }
      text += bytes[event.payload] + [Byte.lineFeed]
    }
    return text
  }

  // MARK: - Files

  /// The folder of log files: `given`, or `../shared/corpora` beside the working folder or beside
  /// the package the program was built in.
  package static func locate(given: String?) -> String? {
    var candidates = given.map { [$0] } ?? ["../shared/corpora"]
    if given == nil, let program = Machine.realPath("/proc/self/exe") {
      let parts = program.split(separator: "/", omittingEmptySubsequences: false)
      if let build = parts.lastIndex(where: { $0.hasPrefix(".build") }) {
        candidates.append(parts[..<build].joined(separator: "/") + "/../shared/corpora")
      }
    }
    return candidates.first { unsafe penstock_kind($0 + "/loghub") == 1 }
  }

  /// The corpora in `folder`; those that are not there are left out.
  package static func files(in folder: String) -> [CompressCorpus] {
    systems.compactMap { name in
      let path = folder + "/loghub/\(name)/\(name)_2k.log"
      guard let text = System.contents(ofFile: path, byteCountMax: 64 << 20), !text.isEmpty
      else { return nil }
      var corpus = CompressCorpus(name: name, isGenerated: false)
      for line in text.split(separator: Byte.lineFeed, omittingEmptySubsequences: false) {
        // The files have their lines from different systems; CR is not part of any.
        let line = line.last == Byte.carriageReturn ? line.dropLast() : line
        corpus.append(type: "-", attributes: "", payload: Array(line))
      }
      // What stands behind the last LF is no line.
      if text.last == Byte.lineFeed, let last = corpus.ends.popLast() {
        corpus.bytes.removeLast(corpus.bytes.count - (corpus.ends.last?.payload ?? 0))
        _ = last
      }
      return corpus
    }
  }

  // MARK: - Generated

  /// Lines of a mail server as syslog gives them, of a service that writes JSON, and noise.
  package static func generated(eventCount: Int) -> [CompressCorpus] {
    var random = Dice(state: 42)
    var syslog = CompressCorpus(name: "made: syslog", isGenerated: true)
    var json = CompressCorpus(name: "made: json", isGenerated: true)
    var noise = CompressCorpus(name: "made: noise", isGenerated: true)
    var process = 4000
    for index in 0..<eventCount {
      process += random.below(3)
      syslog.append(
        type: ["sshd", "postfix/smtpd", "cron"][random.below(3)],
        attributes: "facility=auth severity=\(["info", "notice", "err"][random.below(3)]) "
          + "host=web-\(random.below(16)) procid=\(process)",
        payload: Array(syslogText(index, &random).utf8))
      json.append(
        type: "request", attributes: "_id=\(random.hexadecimal(8))",
        payload: Array(jsonText(index, &random).utf8))
      noise.append(
        type: "-", attributes: "",
        payload: (0..<200).map { _ in UInt8(32 + random.below(95)) })
    }
    return [syslog, json, noise]
  }

  private static func syslogText(_ index: Int, _ random: inout Dice) -> String {
    let address = "192.0.2.\(random.below(200))"
    switch random.below(4) {
    case 0:
      return "Failed password for invalid user \(users[random.below(users.count)]) from \(address) "
        + "port \(1024 + random.below(60_000)) ssh2: failed after \(random.below(5)) tries, "
        + "waited \(random.below(10_000)) ms on connection \(index)"
    case 1:
      return "connect from unknown[\(address)] helo=mail.example.net size=\(random.below(1 << 20)) "
        + "queue=\(random.hexadecimal(10)) status=deferred delay=\(random.below(600)) "
        + "(temporary failure in name resolution, tried again in 300 seconds, try \(index % 7))"
    case 2:
      return "Accepted publickey for deploy from \(address) port \(1024 + random.below(60_000)) "
        + "ssh2: ED25519 key number \(random.below(40)), session \(index) opened, environment "
        + "taken from the profile of the host, agent forwarding is off, terminal \(index % 64)"
    default:
      return "pam_unix(sshd:session): session opened for user deploy(uid=\(1000 + index % 12)) by "
        + "(uid=0), limits: files 1024, processes 4096, memory unlimited, took "
        + "\(random.below(3000)) us since the connection was taken from the queue, slot "
        + "\(random.below(32))"
    }
  }

  private static let users = ["admin", "test", "oracle", "guest", "ubuntu", "pi", "git", "backup"]

  private static func jsonText(_ index: Int, _ random: inout Dice) -> String {
    let status = [200, 200, 200, 204, 304, 404, 500][random.below(7)]
    return
      "{\"method\":\"GET\",\"path\":\"/api/v1/orders/\(100_000 + index)\",\"status\":\(status),"
      + "\"micros\":\(random.below(200_000)),\"bytes\":\(random.below(50_000)),"
      + "\"trace\":\"\(random.hexadecimal(16))\",\"client\":\"10.1.\(random.below(4)).\(index % 250)\","
      + "\"user\":\"\(users[random.below(users.count)])\",\"ok\":true}"
  }
}
