// Clients: line-protocol sessions that keep their receipts, syslog over TCP in both framings and over
// UDP. They send in pieces, read late, pipeline, send nonsense, and come back after a reset. Some of
// their requests have a counter: those are sent until they are answered, and now and then once more.

internal import PenstockCore

/// Everybody who talks to the shard.
struct Workload {
  enum Listener: Int, CaseIterable { case line, stream, datagrams }

  private struct Client {
    var listener: Listener
    var session: Int
    var descriptor: Int32?
    var unsent: [UInt8] = []
    /// PUTs without an answer, oldest first; nil for a request that is no PUT.
    var waiting: [Int?] = []
    var received: [UInt8] = []
    var isCounted = false
    /// Who it is to the shard, and the last counter it gave.
    var epoch: UInt64 = 1
    var counter: UInt64 = 0
    /// Whether its session knows that.
    var isNamed = false
    /// Requests with a counter that had no answer when their session ended, oldest first.
    var owed: [Int] = []
    /// Requests with a counter, as they were sent.
    var sent: [Int: String] = [:]
  }

  private var clients: [Client] = []
  private var random: SeededRandom
  private let eventByteCountMax: Int
  /// Clients send nothing new while a stop is under way.
  var isQuiet = false

  /// What is wrong on purpose with what the shard is sent.
  private let canary: Canary?

  init(random: SeededRandom, limits: Limits, canary: Canary? = nil) {
    self.random = random
    self.canary = canary
    eventByteCountMax = limits.eventByteCountMax
    for session in 0..<5 {
      var client = Client(listener: session < 3 ? .line : .stream, session: session)
      client.isCounted = session == 3
      clients.append(client)
    }
  }

  /// One client does one thing.
  mutating func step(_ network: inout SimulatedNetwork, _ oracle: inout Oracle) throws(Finding) {
    let index = random.below(clients.count + 1)
    guard index < clients.count else { return sendDatagram(&network, &oracle) }
    guard let descriptor = clients[index].descriptor,
      let connection = network.connections[descriptor], !connection.isReset, !connection.isClosed
    else {
      if let descriptor = clients[index].descriptor {
        try readAnswers(index, descriptor, &network, &oracle)
      }
      if !isQuiet { connect(index, &network) }
      return
    }
    try readAnswers(index, descriptor, &network, &oracle)
    if !isQuiet, clients[index].unsent.count < 20_000, clients[index].waiting.count < 12 {
      clients[index].listener == .line
        ? addRequest(index, &oracle) : addMessage(index, &oracle)
    }
    let unsent = clients[index].unsent
    guard !unsent.isEmpty, connection.toShard.count < 16_000 else { return }
    let count = random.chance(50) ? unsent.count : random.within(1...unsent.count)
    network.connections[descriptor]?.toShard += unsent[..<count]
    clients[index].unsent.removeFirst(count)
  }

  /// A new session: what had no answer stays unanswered.
  private mutating func connect(_ index: Int, _ network: inout SimulatedNetwork) {
    clients[index].descriptor = network.connect(clients[index].listener.rawValue)
    owe(index)
    clients[index].unsent = []
    clients[index].waiting = []
    clients[index].received = []
    clients[index].session += clients.count
    clients[index].isCounted = random.chance(50)
    if clients[index].listener == .line, random.chance(50) {
      clients[index].unsent += "HELLO penstock/1\n".utf8
      clients[index].waiting.append(nil)
    }
    if clients[index].listener == .line, random.chance(50) { name(index) }
  }

  // MARK: - What is sent

  private mutating func filler() -> String {
    let most = random.chance(4) ? eventByteCountMax / 2 : random.chance(20) ? 2000 : 60
    let words = [
      "text ", "#batch number=", "\\n", "salt=0000000000000000 crc=", "é", "\\", "=",
      "[x y=\"z\"] ",
    ]
    var text = ""
    let count = random.below(most)
    while text.utf8.count < count { text += words[random.below(words.count)] }
    return text
  }

  private mutating func addRequest(_ index: Int, _ oracle: inout Oracle) {
    if random.chance(3) {
      // Not a request; the session goes on.
      clients[index].unsent += "PUSH 12\n".utf8
      clients[index].waiting.append(nil)
      return
    }
    if resend(index, &oracle) { return }
    let number = oracle.puts.count
    var put = Oracle.Put(session: clients[index].session, payloads: [])
    if random.chance(35) { put.commit = commit(oracle) }
    let stream = put.commit.map(\.journal) ?? "sim/\(put.session)"
    let type = put.commit.map(\.type) ?? "t"
    var body = ""
    for event in 0..<random.within(1...(random.chance(10) ? 30 : 3)) {
      let payload = "p\(number).\(event);" + filler()
      let line = "- \(stream) \(type) n=\(event)\t\(payload)\n"
      guard body.utf8.count + line.utf8.count <= eventByteCountMax else { break }
      body += line
      put.payloads.append(Array(payload.utf8))
    }
    if random.chance(3) {
      body += (put.commit == nil ? "- /journal" : "- plain") + " t\tp\(number).refused\n"
      put.isRefused = true
    }
    if body.utf8.count > eventByteCountMax { put.isRefused = true }
    if random.chance(40) { put.stamp = stamp(index) }
    oracle.puts.append(put)
    let verb = put.commit == nil ? "PUT" : "COMMIT"
    let option = (put.commit.map { condition($0) } ?? "") + (put.stamp?.options ?? "")
    let request = "\(verb) \(body.utf8.count)\(option)\n\(body)"
    clients[index].unsent += request.utf8
    clients[index].waiting.append(number)
    if put.stamp != nil { clients[index].sent[number] = request }
  }

  // MARK: - Producers

  /// The session speaks for its client's producer from now on.
  private mutating func name(_ index: Int) {
    clients[index].isNamed = true
    clients[index].unsent += "PRODUCER c\(index) \(clients[index].epoch)\n".utf8
    clients[index].waiting.append(nil)
  }

  /// The next counter of the client; now and then of a producer that is heard of once, so that more
  /// are known than are remembered.
  private mutating func stamp(_ index: Int) -> Oracle.Stamp {
    if random.chance(6) {
      let epoch = clients[index].epoch + UInt64(random.below(2))
      return Oracle.Stamp(
        name: "once-\(random.below(1 << 30))", epoch: epoch, counter: 1, isInLine: true)
    }
    clients[index].counter += UInt64(random.within(1...2))
    return Oracle.Stamp(
      name: "c\(index)", epoch: clients[index].epoch, counter: clients[index].counter,
      isInLine: !clients[index].isNamed || random.chance(30))
  }

  /// What had no answer has to be asked again.
  private mutating func owe(_ index: Int) {
    clients[index].isNamed = false
    for case let number? in clients[index].waiting
    where clients[index].sent[number] != nil && !clients[index].owed.contains(number) {
      clients[index].owed.append(number)
    }
  }

  /// Sends a request again that had no answer, or one that had.
  private mutating func resend(_ index: Int, _ oracle: inout Oracle) -> Bool {
    var number: Int?
    if !clients[index].owed.isEmpty {
      number = clients[index].owed.removeFirst()
    } else if random.chance(5) {
      // Not in the order of a dictionary: a seed decides everything.
      let known = clients[index].sent.keys.sorted()
      if !known.isEmpty { number = known[random.below(known.count)] }
    }
    guard let number, let stamp = oracle.puts[number].stamp,
      let request = clients[index].sent[number]
    else { return false }
    oracle.puts[number].isResent = true
    let line = request.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
    // A new session does not know whose it is.
    let option = stamp.isInLine ? "" : " producer=\(stamp.name)@\(stamp.epoch)"
    clients[index].unsent += "\(line[0])\(option)\n\(line[1])".utf8
    clients[index].waiting.append(number)
    return true
  }

  private mutating func follow(
    _ advice: Oracle.Advice, _ index: Int, _ number: Int, _ oracle: Oracle
  ) {
    let stamp = oracle.puts[number].stamp
    switch advice {
    case .none: break
    case .again: clients[index].owed.append(number)
    case .begin(let floor):
      guard stamp?.name == "c\(index)", stamp?.epoch == clients[index].epoch else { return }
      // Nobody knows what became of those that had no answer: they must not be sent again as others.
      clients[index].epoch = floor + 1
      clients[index].counter = 0
      clients[index].owed = []
      clients[index].sent = [:]
      name(index)
    }
  }

  /// The option of the request; canaries let the shard read another one than the oracle does.
  private func condition(_ commit: Oracle.Commit) -> String {
    switch (canary, commit.rule) {
    case (.conditionIgnored, _): ""
    case (.conditionMistaken, .own(let position)): " if-unchanged@\(position)"
    default: commit.condition
    }
  }

  /// A commit to one of a few journals, with a condition about what is known by now.
  private mutating func commit(_ oracle: Oracle) -> Oracle.Commit {
    let known = oracle.lastPosition
    let position = random.chance(30) ? 0 : known - min(known, UInt64(random.below(6)))
    let rules: [Oracle.Commit.Rule] = [.none, .own(position), .own(position), .unchanged(position)]
    return Oracle.Commit(
      journal: "/sim/\(random.below(4))", type: random.chance(50) ? "A" : "B",
      rule: rules[random.below(rules.count)])
  }

  private mutating func message(
    _ session: Int, _ oracle: inout Oracle, mayHoldLineFeed: Bool
  ) -> String {
    var text = "m\(oracle.messages.count);" + filler()
    if mayHoldLineFeed, random.chance(20) { text += "\n#batch number=0000000000000001 " }
    let cut = String(text.prefix(eventByteCountMax / 2))
    oracle.messages.append(Oracle.Message(text: Array(cut.utf8)))
    return "<14>1 - sim app \(session) - - \(cut)"
  }

  private mutating func addMessage(_ index: Int, _ oracle: inout Oracle) {
    let isCounted = clients[index].isCounted
    let text = message(clients[index].session, &oracle, mayHoldLineFeed: isCounted)
    clients[index].unsent +=
      isCounted ? Array("\(text.utf8.count) \(text)".utf8) : Array("\(text)\n".utf8)
  }

  private mutating func sendDatagram(_ network: inout SimulatedNetwork, _ oracle: inout Oracle) {
    guard !isQuiet else { return }
    let text = Array(message(-1, &oracle, mayHoldLineFeed: true).utf8)
    // Lost, or doubled, on the way.
    if random.chance(10) { return }
    network.sendDatagram(text, to: Listener.datagrams.rawValue)
    if random.chance(10) {
      oracle.messages[oracle.messages.count - 1].copyCount = 2
      network.sendDatagram(text, to: Listener.datagrams.rawValue)
    }
  }

  // MARK: - What is answered

  private mutating func readAnswers(
    _ index: Int, _ descriptor: Int32, _ network: inout SimulatedNetwork, _ oracle: inout Oracle
  ) throws(Finding) {
    let bytes = network.connections[descriptor]?.toClient ?? []
    network.connections[descriptor]?.toClient = []
    clients[index].received += bytes
    while let end = clients[index].received.firstIndex(of: 0x0A) {
      let line = String(decoding: clients[index].received[..<end], as: UTF8.self)
      clients[index].received.removeFirst(end + 1)
      guard !clients[index].waiting.isEmpty else {
        throw Finding("an answer to nothing: \(line)")
      }
      let request = clients[index].waiting.removeFirst()
      try takeAnswer(line, request, index, &oracle)
    }
  }

  private mutating func takeAnswer(
    _ line: String, _ request: Int?, _ index: Int, _ oracle: inout Oracle
  ) throws(Finding) {
    guard let number = request else { return }
    if let advice = try oracle.advice(line, number) {
      return follow(advice, index, number, oracle)
    }
    if line.hasPrefix("CONFLICT ") { return try oracle.takeConflict(line, number) }
    if line.hasPrefix("ERR ") {
      guard !line.contains("busy") else {
        if clients[index].sent[number] != nil { clients[index].owed.append(number) }
        return
      }
      if line.hasPrefix("ERR too-old ") { return try oracle.takeTooOld(line, number) }
      guard oracle.puts[number].isRefused else {
        throw Finding("PUT \(number) is refused without need: \(line)")
      }
      return
    }
    var values: [Substring: UInt64] = [:]
    for word in line.split(separator: " ") {
      let pair = word.split(separator: "=")
      if pair.count == 2 { values[pair[0]] = UInt64(pair[1]) }
    }
    guard line.hasPrefix("OK shard=0 "), let first = values["first"],
      values["count"] == UInt64(oracle.puts[number].payloads.count)
    else { throw Finding("PUT \(number) got the answer \(line)") }
    try oracle.takeReceipt(number, first: first)
    oracle.lastPosition = max(
      oracle.lastPosition, first + UInt64(oracle.puts[number].payloads.count) - 1)
  }
}
