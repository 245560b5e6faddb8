import Foundation
import Testing

/// What util-linux `logger` sends, in all its modes, through a daemon and out again.
@Suite(.serialized) struct LoggerTests {
  /// One event as `query --format ndjson` gives it.
  private func events(_ store: ServedStore) throws -> [[String: Any]] {
    try store.run("query", "--format", "ndjson").lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  private func attribute(_ event: [String: Any], _ name: String) -> String? {
    (event["attributes"] as? [String: Any])?[name] as? String
  }

  /// Runs logger with words the shell reads; $UDP and $TCP are the daemon's ports.
  private func logger(_ store: ServedStore, _ words: String, input: String = "") throws {
    let result = try store.shell(
      """
      UDP=\(store.ports["syslog-udp"] ?? 0); TCP=\(store.ports["syslog-tcp"] ?? 0)
      printf '\(input)' | logger -n 127.0.0.1 \(words)
      """)
    try #require(result.status == 0, "logger \(words)")
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/logger"), "no logger"),
    arguments: Backend.allCases)
  func `every mode arrives whole`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io, listeners: ServedStore.syslogListeners)
    var wanted: [String: (type: String, facility: String, severity: String)] = [:]
    for (name, transport) in [
      ("udp", "-P $UDP -d"), ("tcp", "-P $TCP -T"), ("octets", "-P $TCP -T --octet-count"),
    ] {
      for (form, option) in [
        ("5424", "--rfc5424"), ("3164", "--rfc3164"), ("notime", "--rfc5424=notime,nohost"),
      ] {
        let text = "text of \(name) \(form) Ωμέγα 'quoted' \\\\ ]"
        try logger(
          store, "\(transport) \(option) -t tag-\(name) -p local3.warning --id=77 -- \"\(text)\"")
        let arrived = text.replacingOccurrences(of: "\\\\", with: "\\")
        wanted[arrived] = ("tag-\(name)", "local3", "warning")
      }
    }
    try logger(
      store,
      "-P $UDP -d -t sd -p auth.crit --msgid MSG --sd-id 'ex@32473' --sd-param 'a=\"1 2\"' with-sd")
    wanted["with-sd"] = ("sd", "auth", "crit")
    try logger(store, "-P $UDP -d -t lines", input: "one\\ntwo\\n\\nfour\\n")
    for text in ["one", "two", "four"] { wanted[text] = ("lines", "user", "notice") }
    try logger(store, "-P $TCP -T -e -t skips -f /dev/stdin", input: "five\\n\\nsix\\n")
    for text in ["five", "six"] { wanted[text] = ("skips", "user", "notice") }
    try logger(store, "-P $UDP -d --prio-prefix -t prefix", input: "<10>seven\\n<191>eight\\n")
    wanted["seven"] = ("prefix", "user", "crit")
    wanted["eight"] = ("prefix", "local7", "debug")
    try store.wait("everything is stored") {
      let stored = try events(store).filter { $0["payload"] as? String != "" }
      return stored.count >= wanted.count
    }
    let stored = try events(store).filter { $0["payload"] as? String != "" }
    #expect(stored.count == wanted.count)
    for event in stored {
      let payload = try #require(event["payload"] as? String)
      guard let one = wanted[payload] else {
        Issue.record("'\(payload)' was never sent")
        continue
      }
      #expect(event["type"] as? String == one.type, "\(payload)")
      #expect(attribute(event, "facility") == one.facility, "\(payload)")
      #expect(attribute(event, "severity") == one.severity, "\(payload)")
      #expect((event["stream"] as? String)?.hasPrefix("syslog/") == true, "\(payload)")
      if payload.hasPrefix("text of") { #expect(attribute(event, "procid") == "77", "\(payload)") }
    }
    let data = try #require(stored.first { $0["payload"] as? String == "with-sd" })
    #expect(attribute(data, "msgid") == "MSG")
    #expect(attribute(data, "ex@32473.a") == "1 2")
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/logger"), "no logger"))
  func `the largest message logger sends arrives whole by each way`() throws {
    let store = try ServedStore()
    try store.start(shards: 1, listeners: ServedStore.syslogListeners)
    let text = String((0..<60_000).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
    try Data(text.utf8).write(to: URL(fileURLWithPath: store.folder + "/large"))
    for way in ["-P $UDP -d", "-P $TCP -T", "-P $TCP -T --octet-count"] {
      try logger(store, "\(way) -S 64000 -t large -f \(store.folder)/large")
    }
    try store.wait("all three are stored") { try events(store).count == 3 }
    for event in try events(store) { #expect(event["payload"] as? String == text) }
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/logger"), "no logger"))
  func `streams are named as the template says`() throws {
    let store = try ServedStore()
    try store.start(
      shards: 1, listeners: ServedStore.syslogListeners, "--template",
      "logs/{app}/{facility}.{severity}")
    try logger(store, "-P $UDP -d -t nginx -p daemon.err hello")
    try store.wait("it is stored") { try events(store).count == 1 }
    #expect(try events(store).first?["stream"] as? String == "logs/nginx/daemon.err")
  }
}
