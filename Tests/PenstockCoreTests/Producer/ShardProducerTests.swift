import Foundation
import PenstockCore
import Testing

/// Named producers over the line protocol, against a shard that runs.
@Suite struct ShardProducerTests {
  private func put(_ payload: String, _ options: String, verb: String = "PUT") -> String {
    let body = verb == "PUT" ? "- app/web T\t\(payload)\n" : "- /j T\t\(payload)\n"
    return "\(verb) \(body.utf8.count) \(options)\n\(body)"
  }

  private func ask(_ client: CommitTests.Client, _ text: String) -> String {
    client.send(text)
    return client.answer()
  }

  private func seal(_ shard: TestShard) {
    let before = shard.counter(.seals)
    shard.send("S")
    shard.wait("the segment is sealed") { shard.counter(.seals) > before }
  }

  @Test("the transcript of a PUT that comes twice", arguments: Backend.available)
  func transcript(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = CommitTests.Client(shard)
    #expect(client.ask("PRODUCER web-1 1795232872123 tag=p") == "OK shard=0 producer tag=p")
    let request = "PUT 31 counter=7\n- app/web Login\t{\"ok\":true}...\n"
    #expect(ask(client, request) == "OK shard=0 first=1 count=1")
    #expect(ask(client, request) == "OK shard=0 first=1 count=1")
    let other = CommitTests.Client(shard)
    let named = request.replacing("counter=7", with: "producer=web-1@1795232872123 counter=7 tag=x")
    #expect(ask(other, named) == "OK shard=0 first=1 count=1 tag=x")
    #expect(ask(other, request).hasPrefix("ERR no-producer "))
    // A commit that comes again does not meet its own condition.
    #expect(
      ask(client, put("c", "since=0 counter=8", verb: "COMMIT")) == "OK shard=0 first=2 count=1")
    #expect(
      ask(client, put("c", "counter=8 since=0", verb: "COMMIT")) == "OK shard=0 first=2 count=1")
    #expect(
      ask(client, put("d", "counter=9 since=0", verb: "COMMIT")).hasPrefix("CONFLICT shard=0 "))
    // A conflict, or a refusal, has not used its counter up.
    #expect(
      ask(client, put("d", "counter=9 since=2", verb: "COMMIT")) == "OK shard=0 first=3 count=1")
    #expect(ask(client, "PUT 9 counter=10\nnot valid").hasPrefix("ERR unterminated "))
    #expect(ask(client, put("e", "counter=10")) == "OK shard=0 first=4 count=1")
    #expect(ask(client, put("f", "counter=10 producer=web-1@1")).hasPrefix("ERR fenced "))
    #expect(
      ask(client, put("f", "counter=10 producer=web-1@1")).hasSuffix(", epoch=1795232872123"))
    #expect(
      ask(client, put("f", "counter=1 producer=web-1@9223372036854775807"))
        .hasPrefix("ERR epoch-ahead "))
    shard.stop()
    #expect(try shard.payloads() == ["{\"ok\":true}...", "c", "d", "e"])
  }

  @Test("what is malformed is refused, and the session goes on")
  func malformed() throws {
    let shard = try TestShard(.poll)
    let client = CommitTests.Client(shard)
    let long = String(repeating: "n", count: 65)
    for line in [
      "PRODUCER", "PRODUCER a", "PRODUCER a b", "PRODUCER a 1 2", "PRODUCER \(long) 1",
      "PRODUCER a 9223372036854775808", "PRODUCER é 1", "PRODUCER  1",
    ] {
      #expect(client.ask(line).hasPrefix("ERR bad-producer "), "\(line)")
    }
    for options in [
      "counter=0", "counter=", "counter=x", "counter=9223372036854775808", "producer=a@1",
      "counter=1 counter=2", "counter=1 producer=a", "counter=1 producer=@1",
      "counter=1 producer=a@", "counter=1 producer=a@1 producer=a@1",
      "counter=1 producer=\(long)@1",
    ] {
      for verb in ["PUT", "COMMIT"] {
        #expect(
          ask(client, put("x", options, verb: verb)).hasPrefix("ERR bad-producer "),
          "\(verb) \(options)")
      }
    }
    #expect(client.ask("PUT 5 since=1").hasPrefix("ERR bad-count "))
    #expect(ask(client, put("x", "counter=1 producer=a@b@2")) == "OK shard=0 first=1 count=1")
    shard.stop()
    #expect(try shard.payloads() == ["x"])
  }

  @Test("a connection's producer goes with it")
  func nextConnection() throws {
    let shard = try TestShard(.poll)
    for _ in 0..<3 {
      let client = CommitTests.Client(shard)
      #expect(ask(client, put("x", "counter=1")).hasPrefix("ERR no-producer "))
      #expect(client.ask("PRODUCER a 1") == "OK shard=0 producer")
      #expect(ask(client, put("x", "counter=1")) == "OK shard=0 first=1 count=1")
    }
    shard.stop()
  }

  @Test("a PUT with a counter may come in any pieces, and be as large as any")
  func pieces() throws {
    let shard = try TestShard(.poll)
    let client = CommitTests.Client(shard)
    for (number, size) in [10, 3000, 60_000, 900_000].enumerated() {
      let request = put(
        String(repeating: "x", count: size), "counter=\(number + 1) producer=a@1")
      for _ in 0..<2 {
        let bytes = Array(request.utf8)
        for cut in [9, 20, 31, bytes.count] {
          let start = cut == 9 ? 0 : cut == bytes.count ? 31 : cut - 11
          client.send(String(decoding: bytes[start..<cut], as: UTF8.self))
          usleep(2000)
        }
        #expect(client.answer() == "OK shard=0 first=\(number + 1) count=1")
      }
    }
    shard.stop()
    #expect(try shard.lines().count == 4)
  }

  @Test(
    "restarts, seals and archiving forget nothing", arguments: Backend.available, [true, false])
  func restarts(_ backend: Backend, _ isArchived: Bool) throws {
    let folder = try TestFolder()
    var requests: [String] = []
    for round in 0..<4 {
      let shard = try TestShard(backend, folder: folder)
      let client = CommitTests.Client(shard)
      for (index, request) in requests.enumerated() {
        #expect(ask(client, request) == "OK shard=0 first=\(firsts[index]) count=1")
      }
      for step in 0..<3 {
        let request = put(
          "r\(round)-\(step)", "counter=\(requests.count + 1) producer=a@7",
          verb: step == 1 ? "COMMIT" : "PUT")
        let answer = ask(client, request)
        #expect(answer.hasPrefix("OK shard=0 first="))
        requests.append(request)
        firsts.append(String(answer.split(separator: "=")[2].prefix { $0.isNumber }))
        if step == round { seal(shard) }
      }
      shard.stop()
      guard isArchived else { continue }
      // As if the archiver had taken all it may: every segment before the last in use.
      let view = try LogView.read(
        LinuxFileSystem(), shard.layout, log: LogNumber(0), after: .none, frontier: nil,
        store: shard.store, acceptsHoles: true)
      let last = view.segments.lastIndex { !$0.batches.isEmpty } ?? 0
      for segment in view.segments[..<last] { try LinuxFileSystem().unlink(segment.path) }
    }
  }

  /// Where each request's event is.
  private var firsts: [String] {
    get { box.firsts }
    nonmutating set { box.firsts = newValue }
  }
  private final class Box { var firsts: [String] = [] }
  private let box = Box()

  /// Random requests of several producers over several connections, sent again at random, through
  /// restarts, with room for three producers.
  @Test("through all of it a counter is stored once", arguments: 1...4)
  func model(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let folder = try TestFolder()
    var limits = Limits.small
    limits.producerCountMax = 3
    var epochs: [Int: UInt64] = [:]
    var counters: [Int: UInt64] = [:]
    var sent: [(producer: Int, text: String, payload: String)] = []
    var told: [String: String] = [:]
    var counts: [String: Int] = [:]
    for _ in 0..<5 {
      let shard = try TestShard(
        Backend.available.randomElement(using: &random) ?? .poll, limits: limits, segmentCount: 20,
        folder: folder)
      let clients = (0..<3).map { _ in CommitTests.Client(shard) }
      for _ in 0..<200 {
        let request: (producer: Int, text: String, payload: String)
        if random.chance(50) || sent.isEmpty {
          let producer = Int.random(in: 0..<(random.chance(10) ? 5 : 3), using: &random)
          if random.chance(3) {
            epochs[producer, default: 1] += 1
            counters[producer] = 0
          }
          counters[producer, default: 0] += UInt64.random(in: 1...2, using: &random)
          let payload = "p\(sent.count)"
          let name = "p\(producer)@\(epochs[producer] ?? 1)"
          let text = put(
            payload, "counter=\(counters[producer] ?? 0) producer=\(name)",
            verb: random.chance(50) ? "PUT" : "COMMIT")
          request = (producer, text, payload)
          sent.append(request)
        } else {
          request = sent[max(0, sent.count - Int.random(in: 1...90, using: &random))]
        }
        let answer = ask(clients[Int.random(in: 0..<3, using: &random)], request.text)
        counts[String(answer.prefix { $0 != "=" }), default: 0] += 1
        if answer.hasPrefix("OK ") {
          if let before = told[request.payload] {
            #expect(answer == before, "seed \(seed): \(request.text)")
            counts["again", default: 0] += 1
          } else if random.chance(4) {
            // There is something to be sealed.
            seal(shard)
          }
          told[request.payload] = answer
        } else if answer.hasPrefix("ERR unknown-producer "),
          let floor = UInt64(answer.split(separator: "=").last ?? "")
        {
          guard (epochs[request.producer] ?? 1) <= floor else { continue }
          epochs[request.producer] = floor + 1
          counters[request.producer] = 0
        } else {
          let isKnown = answer.hasPrefix("ERR fenced ") || answer.hasPrefix("ERR counter-too-old ")
          #expect(isKnown, "seed \(seed): \(request.text) \(answer)")
        }
      }
      shard.stop()
      let payloads = try shard.payloads()
      #expect(Set(payloads).count == payloads.count, "seed \(seed)")
      #expect(Set(payloads) == Set(told.keys), "seed \(seed)")
    }
    #expect(counts["again", default: 0] > 50, "seed \(seed): \(counts)")
  }
}
