// Connections: a whole shard, on simulated sockets, fed a stream that is cut anywhere. What it
// stores and answers must not depend on where: the same bytes go through it a second time, cut
// elsewhere.
//
//     input = kind cuts bytes
//     kind    bit 0: syslog over TCP, else the line protocol; bits 1–2: the template
//     cuts    seed of the places at which the bytes are cut; 0: only where a buffer ends

import PenstockCore

enum SessionFuzz {
  private static let layout = StoreLayout(root: "store")
  private static let templates: [StreamTemplate] = requireSuccess("the templates") {
    try ["syslog/{host}", "{app}/{host}", "x", "{facility}"].map { try StreamTemplate($0) }
  }
  private static let pages = "/dev/shm/penstock-fuzz-\(System.processIdentifier)"

  /// Small, so that little input meets every limit.
  private static let limits: Limits = {
    var limits = Limits()
    limits.eventByteCountMax = 2048
    limits.octetCountMax = 2048
    limits.batchByteCountTarget = 4096
    limits.batchSlotByteCount = 8192
    limits.streamBufferCount = 2
    limits.streamBufferByteCount = 1024
    limits.datagramBufferCount = 1
    limits.connectionCountMax = 2
    limits.carryByteCount = 256
    limits.largeSlotCount = 1
    limits.middleSlotCount = 1
    limits.middleSlotByteCount = 1024
    limits.answerByteCount = 1024
    limits.answersWaitingMax = 8
    limits.producerCountMax = 1
    // A buffer may hold a request in every byte.
    limits.answerRecordCount = 2048
    return limits
  }()

  /// A new log's, with room for everything an input can send.
  private static let recovered: Recovered = requireSuccess("a new log") {
    var recovered = try TestLog().recover()
    recovered.header.byteCount = 1 << 30
    return recovered
  }

  static func run(_ input: [UInt8]) {
    var reader = InputReader(input)
    let kind = reader.byte()
    let cuts = reader.byte()
    let bytes = reader.rest()
    let listener: ListenerKind = kind & 1 != 0 ? .syslogStream : kind & 8 != 0 ? .relp : .line
    let template = templates[Int(kind >> 1 & 3)]
    let once = serve(listener, template, bytes, cuts: UInt64(cuts))
    let again = serve(listener, template, bytes, cuts: UInt64(cuts) + 256)
    require(once.answers == again.answers, "the answers " + difference(once.answers, again.answers))
    require(once.lines == again.lines, "the events " + difference(once.lines, again.lines))
    require(
      once.countBeforeEnd == again.countBeforeEnd,
      "what was received waits for the connection's end")
    if listener == .line {
      // A request that came again is answered as before, and stored once.
      let counts = Dictionary(
        once.answers.split(separator: Byte.lineFeed).compactMap(storedCount)
      ) { first, again in
        require(first == again, "a repetition is answered with another number of events")
        return first
      }
      require(
        counts.values.reduce(0, +) == once.lines.count, "the answers tell another number of events")
    }
    if listener == .relp {
      let taken = String(decoding: once.answers, as: UTF8.self).split(separator: "\n").count {
        $0.contains(" 200 OK shard=")
      }
      require(taken == once.lines.count, "\(taken) frames are answered, \(once.lines.count) stored")
    }
    for line in once.lines {
      _ = requireSuccess("a stored line") { try EventLine(line.rawSpan, 0..<line.count) }
    }
  }

  /// Where the answers of two servings part.
  private static func difference(_ once: [UInt8], _ again: [UInt8]) -> String {
    let lines = [once, again].map { answers in
      answers.split(separator: Byte.lineFeed, omittingEmptySubsequences: false).map { Array($0) }
    }
    return difference(lines[0], lines[1])
  }

  /// Where the events of two servings part.
  private static func difference(_ once: [[UInt8]], _ again: [[UInt8]]) -> String {
    let index = zip(once, again).prefix { $0 == $1 }.count
    let texts = [once, again].map { lines in
      index < lines.count ? String(decoding: lines[index], as: UTF8.self) : "none"
    }
    return
      "depend on where the stream was cut; of \(once.count) and \(again.count) the one at \(index) is\n"
      + texts.joined(separator: "\nor\n")
  }

  /// The events a positive answer to a PUT or a COMMIT tells of: the first one, and how many.
  private static func storedCount(_ answer: ArraySlice<UInt8>) -> (String, Int)? {
    let text = String(decoding: answer, as: UTF8.self)
    guard text.hasPrefix("OK shard=0 first=") else { return nil }
    let words = text.split(separator: " ")
    guard
      let count = words.first(where: { $0.hasPrefix("count=") }).flatMap({ Int($0.dropFirst(6)) })
    else { return nil }
    return (String(words[2]), count)
  }

  private struct Served {
    var lines: [[UInt8]]
    var answers: [UInt8]
    var countBeforeEnd: Int
  }

  /// What a shard makes of `bytes`, sent on one connection that is then closed.
  private static func serve(
    _ kind: ListenerKind, _ template: StreamTemplate, _ bytes: [UInt8], cuts: UInt64
  ) -> Served {
    let machine = FuzzMachine(bytes, cuts: cuts)
    let end = requireSuccess("starting the shard") { try shard(machine, kind, template) }
    require(end == .stopped, "the shard ended with \(end)")
    return Served(
      lines: machine.lines, answers: machine.sent, countBeforeEnd: machine.linesBeforeEnd)
  }

  private static func shard(
    _ machine: FuzzMachine, _ kind: ListenerKind, _ template: StreamTemplate
  ) throws -> ShardEnd {
    let path = layout.segment(recovered.header.name)
    machine.files.put(path, [UInt8](repeating: Byte.lineFeed, count: 4096))
    var configuration = ShardConfiguration(
      layout: layout, store: TestSegmentWriter.store, log: LogNumber(0), shardCount: 1,
      limits: limits)
    configuration.listeners = [
      ListenerConfiguration(
        socket: FuzzMachine.listener, kind: kind, name: "fuzz", template: template)
    ]
    var statistics = Statistics(try page("stats", Statistics.magic, Statistics.valueCount))
    for index in 0..<64 {
      if let counter = Counter(rawValue: index) { statistics[counter] = 0 }
    }
    for counter in ListenerCounter.allCases { statistics[0, counter] = 0 }
    var frontier = Frontier(try page("frontier", Frontier.magic, Frontier.valueCount))
    frontier.reset()
    let memory = ShardMemory(limits)
    let io = FuzzIO(machine, memory, limits)
    var shard = try Shard(
      io: io, memory: memory, configuration: configuration, control: FuzzMachine.control,
      statistics: statistics, frontier: frontier, recovered: recovered)
    return shard.run()
  }

  private static func page(_ name: String, _ magic: UInt64, _ count: Int) throws -> SharedPage {
    try SharedPage(
      creating: pages + "." + name, magic: magic, boot: TestSegmentWriter.store, epoch: 1,
      valueCount: count)
  }
}
