import Foundation
import PenstockCore
import Testing

/// Lost answers: shards are killed while requests with counters are on their way, and what had no answer
/// is sent again, over another connection, to whatever shard takes it.
@Suite(.serialized) struct ProducerServeTests {
  /// A producer with requests that have to be stored once each.
  struct Producer {
    var name: String
    var epoch: UInt64
    /// Requests without an answer: counter and payload.
    var owed: [(counter: Int, payload: String)] = []
    var counter = 0
    var answers: [String: Substring] = [:]
    var askedAgainCount = 0

    /// A PUT and a COMMIT in turn, each to a shard of its own choice.
    func request(_ counter: Int, _ payload: String) -> String {
      let body =
        counter % 2 == 0
        ? "- app/\(name) T\t\(payload)\n" : "- /made/\(counter % 7) T\t\(payload)\n"
      let verb = counter % 2 == 0 ? "PUT" : "COMMIT"
      return "\(verb) \(body.utf8.count) counter=\(counter)\n\(body)"
    }

    /// Sends what is owed, and new requests up to `count` in all; takes the answers there are.
    mutating func run(_ port: Int, count: Int) {
      while owed.count < count {
        counter += 1
        owed.append((counter, "\(name)-\(counter)"))
      }
      guard let wire = try? Wire(tcp: UInt16(port)) else { return }
      let requests = owed.map { request($0.counter, $0.payload) }.joined()
      guard (try? wire.send("PRODUCER \(name) \(epoch)\n" + requests)) != nil,
        let named = try? wire.readLine(), named.hasSuffix(" producer")
      else { return }
      var left: [(counter: Int, payload: String)] = []
      for (index, request) in owed.enumerated() {
        guard let line = try? wire.readLine() else {
          left += owed[index...]
          break
        }
        if line.hasPrefix("OK shard=") {
          answers[request.payload] = line.split(separator: " ", maxSplits: 1)[1]
        } else {
          let isUnknown = line.hasPrefix("ERR unavailable ") || line.hasPrefix("ERR busy ")
          #expect(isUnknown, "\(line)")
          left.append(request)
        }
      }
      askedAgainCount += left.count
      owed = left
    }
  }

  @Test(arguments: Backend.allCases)
  func `each request is stored once, whatever is killed before its answer`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    var generator = SystemRandomNumberGenerator()
    let epoch = UInt64(Date().timeIntervalSince1970 * 1000)
    var producers = (0..<4).map { Producer(name: "maker-\($0)", epoch: epoch) }
    for round in 0..<12 {
      let victim = try #require(try store.roles()["shard \(round % 2)"])
      let delay = Double.random(in: 0...0.01, using: &generator)
      let killer = Thread {
        Thread.sleep(forTimeInterval: delay)
        ServedStore.signal(victim, 9)
      }
      killer.start()
      for index in producers.indices { producers[index].run(store.port, count: 50) }
      if round % 4 == 3 {
        let sealed = try store.run("seal")
        #expect(sealed.status == 0, "\(sealed.errors)")
      }
      try store.wait("shard \(round % 2) is another process: \(store.said.suffix(500))") {
        let now = try store.roles()["shard \(round % 2)"]
        return now != nil && now != victim
      }
    }
    // Now nothing is killed any more: everything gets its answer.
    for index in producers.indices {
      try store.wait("\(producers[index].owed.count) requests have their answers") {
        producers[index].run(store.port, count: producers[index].owed.count)
        return producers[index].owed.isEmpty
      }
    }
    // And once more, after everything was sealed and the host has been killed: the same answers.
    let sealed = try store.run("seal")
    #expect(sealed.status == 0, "\(sealed.errors)")
    store.kill()
    try store.start(shards: 2, io: io)
    for index in producers.indices {
      let before = producers[index].answers
      for counter in (producers[index].counter - 20)...producers[index].counter {
        producers[index].owed.append((counter, "\(producers[index].name)-\(counter)"))
      }
      producers[index].run(store.port, count: 21)
      #expect(producers[index].owed.isEmpty)
      #expect(producers[index].answers == before)
    }
    #expect(store.stop() == 0)
    let listed = try store.run("query", "--format", "text")
    var counts: [Substring: Int] = [:]
    for line in listed.output.split(separator: "\n") {
      counts[line.split(separator: "\t").last ?? "", default: 0] += 1
    }
    for producer in producers {
      for counter in 1...producer.counter {
        let payload = "\(producer.name)-\(counter)"
        #expect(counts[payload[...]] == 1, "\(payload)")
        #expect(producer.answers[payload] != nil, "\(payload)")
      }
    }
    // A test in which nothing was lost shows nothing.
    #expect(producers.map(\.askedAgainCount).reduce(0, +) > 20)
    #expect(try store.run("verify").status == 0)
  }

  @Test func `any shard takes a request, and the producer's own keeps the counter`() throws {
    let store = try ServedStore()
    try store.start(shards: 3)
    var owners: Set<Substring> = []
    for number in 0..<12 {
      let wire = try Wire(tcp: UInt16(store.port))
      try wire.send("PRODUCER p\(number) 7\n")
      #expect(try wire.readLine()?.hasSuffix(" producer") == true)
      let body = "- app/web T\t\(number)\n"
      try wire.send("PUT \(body.utf8.count) counter=1 tag=a\n\(body)")
      let answer = try #require(try wire.readLine())
      #expect(answer.hasPrefix("OK shard=") && answer.hasSuffix(" count=1 tag=a"), "\(answer)")
      owners.insert(answer.split(separator: " ")[1])
      for shard in 0..<3 {
        let endpoint = try #require(
          try store.endpoints().first { $0.shard == shard && $0.name == "shard-unix" })
        let own = try Wire(unix: endpoint.url.replacing("line+unix://", with: ""))
        try own.send("PUT \(body.utf8.count) producer=p\(number)@7 counter=1 tag=a\n\(body)")
        #expect(try own.readLine() == answer)
        try own.send("HELLO penstock/1 moved\n")
        _ = try own.readLine()
        try own.send("PUT \(body.utf8.count) producer=p\(number)@7 counter=1\n\(body)")
        let direct = try #require(try own.readLine())
        #expect(direct.hasPrefix("MOVED ") || answer.hasPrefix(direct), "\(direct)")
      }
      // What the owner refuses is told by whoever is asked; a line may not outgrow its limit.
      try wire.send("PUT \(body.utf8.count) producer=p\(number)@6 counter=1 tag=b\n\(body)")
      #expect(try wire.readLine()?.hasPrefix("ERR fenced tag=b ") == true)
    }
    #expect(owners.count == 3)
    #expect(store.stop() == 0)
    let listed = try store.run("query", "--format", "text")
    #expect(listed.output.split(separator: "\n").count == 12)
  }
}
