// The first inputs of each target: the golden files, the conformance vectors and captures where
// they stand beside the package, and generated ones.

import Foundation
import PenstockArchive
import PenstockCore

enum Seeds {
  /// Writes the seeds of `target` into `folder`; `root` is the package's folder.
  static func write(_ target: FuzzTarget, to folder: String, root: String) {
    let package = URL(fileURLWithPath: root)
    let inputs: [[UInt8]] = requireSuccess("the seeds") {
      let findings = try findings(package, target)
      switch target {
      case .recovery: return try findings + recovery(package)
      case .table: return try findings + table(package)
      case .text: return try findings + ColumnSeeds.text()
      case .import: return findings + ColumnSeeds.import()
      case .session: return findings + session(package)
      case .syslog: return findings + syslog(package)
      }
    }
    requireSuccess("writing the seeds") {
      let place = URL(fileURLWithPath: folder)
      try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
      for (index, input) in inputs.enumerated() {
        try Data(input).write(to: place.appendingPathComponent("seed-\(index)"))
      }
    }
    print("\(inputs.count) seeds for \(target.rawValue)")
  }

  /// Inputs that once were findings: `Findings/TARGET-what`.
  private static func findings(_ package: URL, _ target: FuzzTarget) throws -> [[UInt8]] {
    let folder = package.appendingPathComponent("Tests/Fuzz/Findings")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasPrefix(target.rawValue + "-") }
      .map { try [UInt8](Data(contentsOf: folder.appendingPathComponent($0))) }
  }

  private static func golden(_ package: URL, _ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: package.appendingPathComponent("Tests/Golden/" + name)))
  }

  private static func recovery(_ package: URL) throws -> [[UInt8]] {
    var inputs: [[UInt8]] = [[4] + (try golden(package, "segment-v1.log"))]
    // Two segments and a torn end; a gap; rot in the middle; a recovery batch; odd fields.
    inputs += [
      [0, 24, 24, 16, 3, 8, 24, 6, 0x20, 0x30, 1], [0, 8, 8, 1, 1, 1, 5, 8, 8],
      [0, 24, 24, 1, 64, 3, 24, 24, 24], [0, 16, 16, 3, 2, 0x14, 1, 2, 8, 8],
      [2, 3, 8, 8, 3, 8, 4, 12, 8], [1, 1, 4, 8, 8, 3, 8, 8, 3, 8, 8],
      [0, 8, 1, 0x3F, 2, 5, 5, 9, 1, 1, 0, 8], [0, 7, 5, 0x23, 0x61, 0x0A, 0x41, 0x0A, 8, 28],
    ]
    return inputs
  }

  private static func table(_ package: URL) throws -> [[UInt8]] {
    var tables = [
      try golden(package, "table-v3.raw.table"), try golden(package, "table-v2.table"),
    ]
    for seed in 1...12 as ClosedRange<UInt64> {
      var random = TestRandom(seed: seed)
      var shape = ModelShape()
      shape.eventCount = Int(seed) * 3
      shape.streamCount = Int(seed)
      shape.payloadByteCountMax = 20
      let files = MemoryFileSystem()
      var events = try ModelEvent.random(shape, &random)
      if seed % 3 == 0 { events = try logLines(Int(seed) * 2) }
      // So few that the columns are hardly compressed: what is damaged is what they mean.
      _ = try ModelEvent.write(
        events, files, path: "/t", indexes: seed % 2 == 0 ? ["type", "key1"] : [],
        effort: seed % 4 == 1 ? .fast : .thorough)
      tables.append(files.bytes("/t") ?? [])
    }
    tables.append(try strewn())
    // A line or two, too short to be compressed: every kind of column is met as it is.
    for (index, statement) in ColumnSeeds.statements.enumerated() {
      let files = MemoryFileSystem()
      _ = try ModelEvent.write(
        try (0...(index % 3)).map { number in
          let key = EventKey(
            time: Timestamp(seconds: 1_795_232_872, nanoseconds: UInt32(number)), log: LogNumber(0),
            sequence: SequenceNumber(UInt64(number + 1)))
          return try ModelEvent(key, Array("\(key.time.text) s t k=\(number)\t\(statement)".utf8))
        }, files, path: "/t", indexes: ["type"], effort: .thorough)
      tables.append(files.bytes("/t") ?? [])
    }
    return tables.flatMap { [[0] + $0, [1] + $0, [1] + $0.dropLast(70)] }
  }

  /// A table of some blocks over which values of an index are strewn: its postings are bits.
  private static func strewn() throws -> [UInt8] {
    let files = MemoryFileSystem()
    let payload = String(repeating: "p", count: 20_000)
    _ = try ModelEvent.write(
      try (0..<120).map { number in
        let key = EventKey(
          time: Timestamp(seconds: 1_795_232_872, nanoseconds: UInt32(number)), log: LogNumber(0),
          sequence: SequenceNumber(UInt64(number + 1)))
        let value = number * number % 41
        return try ModelEvent(key, Array("\(key.time.text) s t key1=\(value)\t\(payload)".utf8))
      }, files, path: "/t", indexes: ["key1"], effort: .fast)
    return files.bytes("/t") ?? []
  }

  /// Lines that are taken apart into templates with every kind of variable.
  private static func logLines(_ count: Int) throws -> [ModelEvent] {
    try (0..<count).map { number in
      let time = Timestamp(seconds: 1_795_232_872 + Int64(number), nanoseconds: 0)
      let line =
        "\(time.text) s\(number % 2) sshd _id=\(Hexadecimal.text(UInt64(number), digits: 8)) "
        + "key1=v\(number % 3)\t[\(number * 37)] user\(number) from 10.0.\(number).7 port "
        + "\(40_000 + number) at 03:47:\(10 + number) took 0.0\(number)5 id 0x"
        + Hexadecimal.text(UInt64(number) &* 0x9E37_79B9, digits: 16)
      return try ModelEvent(
        EventKey(
          time: time, log: LogNumber(0), sequence: SequenceNumber(UInt64(number + 1))),
        Array(line.utf8))
    }
  }

  private static func session(_ package: URL) -> [[UInt8]] {
    let puts = [
      "HELLO penstock/1\nPUT 17\n- app/web L\tx y\tz\n", "PUT 9\n- a b\tcd\n", "PUT 0\nPUT\nHELO\n",
      "PUT 70000\n", "PUT 12\n- a b k=v\t\n\nPUT 8\r\n- a b\t1\n",
      "PUT 30\n- a b _id=0123abcd\tx\n- c d\ty\n",
      "COMMIT 9 since=0 tag=a\n- /j T\tx\nHEAD /j\nCOMMIT 9 since=0\n- /j T\ty\nEXISTS /k tag=b\n",
      "COMMIT 16 if-none=A,B@0 in=/k if-unchanged@3\n- /j A\t\n- /k B\t\n",
      "COMMIT 8 if-type=A,B@1 rule=subset since=1\n- /j A\t\nCOMMIT 9 tag=\n- /j T\tz\n",
      "PRODUCER a 5\nPUT 9 counter=7\n- a b\tcd\nPUT 9 counter=7 tag=x\n- a b\tcd\n",
      "PUT 9 producer=b@1 counter=2\n- a b\tcd\nCOMMIT 9 since=0 counter=1 producer=a@6\n- /j T\tx\n",
    ]
    var inputs: [[UInt8]] = []
    for (index, text) in puts.enumerated() {
      inputs.append([0, UInt8(index)] + Array(text.utf8))
    }
    for text in [
      "1 open 15 commands=syslog\n2 syslog 6 <13>x\n\n3 syslog 0\n4 close 0\n",
      "1 open 30 relp_version=0\ncommands=syslog\n2 syslog 7 <34>1 -\n2 syslog 3000 <13>",
      "1 open 15 commands=syslog\n2 starttls 0\n3 syslog 5 <13>\n1 open 0\n", "1 syslog 1 x\n",
    ] {
      inputs.append([8, 3] + Array(text.utf8))
    }
    let stream = "<34>1 2026-11-21T03:47:52.123Z h a 1 ID [e k=\"v\"] text"
    let counted = "\(stream.utf8.count) \(stream)"
    for text in [
      counted + counted, stream + "\n" + stream + "\r\n", stream + "\0" + stream,
      "\u{16}\u{3}\u{1}" + stream,
    ] {
      inputs.append([1, 7] + Array(text.utf8))
    }
    for case let (message, isStream) in shared(package) where isStream {
      inputs.append([1, 3] + message.prefix(2000))
    }
    return inputs
  }

  private static func syslog(_ package: URL) -> [[UInt8]] {
    var messages = [
      "<34>1 2026-11-21T03:47:52.123Z web-1 sshd 811 ID47 [ex@1 k=\"v\" l=\"w\"][o p=\"q\"] text",
      "<13>1 - - - - - - ", "<86>Oct  5 22:14:15 web-1 sshd[4711]: Accepted key",
      "<34>2026-10-05T22:14:15.25+01:00 h su[1]: m", "<13>Mar  4 05:06:07 2026: %ASA-1: x", "",
      "<189>29: sw1: *Oct  5 22:14:15.123 CEST: %SYS-5-CONFIG_I: m", "Oct  5 22:14:15 h su: m",
      "<13>Oct  5 22:14:15 Message forwarded from h: su[1]: m",
      "<13>Oct  5 22:14:15 GMT [fe80::1%2] su: m", "<13>1970-01-01T00:00:00 h su: m",
    ].map { Array($0.utf8) }
    messages += shared(package).map(\.bytes).filter { $0.count < 4000 }
    return messages.enumerated().map { index, message in
      [UInt8(index % 4 + 16 * (index % 7 % 4)), UInt8(index % 3), 0x40] + message
    }
  }

  // MARK: - What may stand beside the package

  /// Conformance vectors and captured syslog: bytes, and whether they are a stream's.
  private static func shared(_ package: URL) -> [(bytes: [UInt8], isStream: Bool)] {
    let folder = package.standardizedFileURL.deletingLastPathComponent()
      .appendingPathComponent("shared")
    var out: [(bytes: [UInt8], isStream: Bool)] = []
    if let data = try? Data(
      contentsOf: folder.appendingPathComponent("conformance/syslog-dev.json")),
      let file = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
    {
      for entry in file["cases"] as? [[String: Any]] ?? [] {
        let text = entry["input_b64"] as? String ?? ""
        let isStream = entry["kind"] as? String != "datagram"
        if let data = Data(base64Encoded: text) { out.append(([UInt8](data), isStream)) }
      }
    }
    let captures = folder.appendingPathComponent("captures")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: captures.path)) ?? []
    for name in names.sorted() {
      guard let data = try? Data(contentsOf: captures.appendingPathComponent(name)) else {
        continue
      }
      if name.hasSuffix(".stream") { out.append(([UInt8](data), true)) }
      if name.hasSuffix(".dgrams") { out += datagrams([UInt8](data)).map { ($0, false) } }
    }
    return out
  }

  /// The datagrams of a capture: each behind its size, four bytes, highest first.
  private static func datagrams(_ all: [UInt8]) -> [[UInt8]] {
    var out: [[UInt8]] = []
    var offset = 0
    while offset + 4 <= all.count {
      let count = all[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) }
      guard offset + 4 + count <= all.count else { break }
      out.append(Array(all[(offset + 4)..<(offset + 4 + count)]))
      offset += 4 + count
    }
    return out
  }
}
