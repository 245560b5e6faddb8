import CShims
import Foundation
import PenstockCore
import Testing

/// The shard through its sockets, on every backend.
@Suite struct ShardTests {
  private func put(_ body: String) -> String { "PUT \(body.utf8.count)\n\(body)" }

  /// Reads answers until there are `count` lines or the connection ends.
  private func answers(_ descriptor: Int32, _ count: Int) -> [String] {
    var bytes: [UInt8] = []
    while bytes.count(where: { $0 == Byte.lineFeed }) < count {
      let more = Wire.read(descriptor)
      if more.isEmpty { break }
      bytes += more
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test(arguments: Backend.available)
  func `an answered PUT is durable, numbered as answered, and read back`(_ backend: Backend) throws
  {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    #expect(Wire.write(client, "HELLO penstock/1\n" + put("- a T k=v\tone\n- a T\ttwo\n")))
    let said = answers(client, 2)
    #expect(said.first == "OK penstock/1 shard=0 shards=1")
    let first = try #require(
      said.last.flatMap { UInt64($0.split(separator: "=")[2].split(separator: " ")[0]) })
    #expect(said.last == "OK shard=0 first=\(first) count=2")
    let lines = try shard.lines()
    #expect(lines.map(\.sequence) == [first, first + 1])
    #expect(lines[0].text.hasSuffix("Z a T k=v\tone"))
    #expect(shard.stop() == .stopped)
    #expect(try shard.payloads() == ["one", "two"])
    _ = penstock_close(client)
  }

  @Test(arguments: Backend.available)
  func `pipelined requests are answered in their order`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    let count = 3000
    let sender = Thread {
      var text = ""
      for index in 0..<count {
        text += index % 7 == 3 ? "NONSENSE\n" : self.put("- s T\t\(index)\n")
      }
      _ = Wire.write(client, text)
    }
    sender.start()
    let said = answers(client, count)
    #expect(said.count == count)
    for (index, answer) in said.enumerated() {
      #expect(answer.hasPrefix(index % 7 == 3 ? "ERR unknown-command" : "OK shard=0 first="))
    }
    shard.stop()
    #expect(try shard.payloads() == (0..<count).filter { $0 % 7 != 3 }.map { "\($0)" })
    _ = penstock_close(client)
  }

  @Test(arguments: Backend.available)
  func `requests may come in any pieces`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    let large = String(repeating: "y", count: 9000)
    let text =
      put("- s T\tfirst\n- s T\tsecond\n") + put("- s T\t\(large)\n") + put("- s T\tlast\n")
    let bytes = Array(text.utf8)
    var offset = 0
    var size = 1
    while offset < bytes.count {
      let end = min(bytes.count, offset + size)
      #expect(Wire.write(client, Array(bytes[offset..<end])))
      offset = end
      size = size % 977 + 1
      if size < 40 { usleep(500) }
    }
    #expect(answers(client, 3).allSatisfy { $0.hasPrefix("OK shard=0") })
    shard.stop()
    #expect(try shard.payloads() == ["first", "second", large, "last"])
    _ = penstock_close(client)
  }

  @Test(arguments: Backend.available)
  func `a refused request leaves the session and its neighbours alone`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    let tooLarge = (1 << 20) + 1
    #expect(Wire.write(client, put("- s T\tgood\n- /j T\tbad\n") + "PUT \(tooLarge)\n"))
    let filler = Thread {
      _ = Wire.write(client, [UInt8](repeating: 0x61, count: tooLarge))
      _ = Wire.write(client, self.put("- s T\tafter\n"))
    }
    filler.start()
    let said = answers(client, 3)
    #expect(said.count == 3)
    #expect(said[0].hasPrefix("ERR journal line 2: "))
    #expect(said[1].hasPrefix("ERR too-large "))
    #expect(said[2].hasPrefix("OK "))
    #expect(shard.counter(.line, .refused) == 1)
    #expect(shard.counter(.line, .refusedSize) == 1)
    shard.stop()
    #expect(try shard.payloads() == ["after"])
    _ = penstock_close(client)
  }

  @Test(arguments: Backend.available)
  func `a request line that never ends is answered and closed`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    #expect(Wire.write(client, String(repeating: "x", count: 5000)))
    #expect(answers(client, 2).first?.hasPrefix("ERR line-too-long ") == true)
    #expect(Wire.read(client).isEmpty)
    _ = penstock_close(client)
  }

  @Test(arguments: Backend.available)
  func `large requests share the large slots and the rest is told to try again`(_ backend: Backend)
    throws
  {
    let shard = try TestShard(backend)
    // Two slots; three clients each begin a large request and stop in its middle.
    let body = "- s T\t\(String(repeating: "z", count: 300_000))\n"
    let clients = (0..<3).map { _ in shard.connect(.line) }
    for client in clients {
      #expect(Wire.write(client, "PUT \(body.utf8.count)\n" + String(body.prefix(100_000))))
      usleep(50_000)
    }
    #expect(answers(clients[2], 1).first?.hasPrefix("ERR busy ") == true)
    for client in clients {
      let rest = String(body.dropFirst(100_000))
      #expect(Wire.write(client, rest))
    }
    #expect(answers(clients[0], 1).first?.hasPrefix("OK ") == true)
    #expect(answers(clients[1], 1).first?.hasPrefix("OK ") == true)
    #expect(Wire.write(clients[2], put(body)))
    #expect(answers(clients[2], 1).first?.hasPrefix("OK ") == true)
    for client in clients { _ = penstock_close(client) }
  }

  // MARK: - Syslog

  @Test(arguments: Backend.available)
  func `syslog frames cut at every place are whole`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let counted = Array("13 <13>counted 111 <13>counted".utf8)
    let lines = Array("<13>line one\n<13>line two\r\n<13>no end".utf8)
    for stream in [counted, lines] {
      for cut in stride(from: 1, to: stream.count, by: 2) {
        let client = shard.connect(.syslogStream)
        #expect(Wire.write(client, Array(stream[..<cut])))
        usleep(1500)
        #expect(Wire.write(client, Array(stream[cut...])))
        _ = penstock_close(client)
      }
    }
    let rounds = (counted.count / 2, lines.count / 2)
    let expected = rounds.0 * 2 + rounds.1 * 3
    shard.wait("all are stored") { shard.counter(.eventsStored) == UInt64(expected) }
    shard.stop()
    let payloads = try shard.payloads()
    #expect(payloads.count(where: { $0 == "counted 1" }) == rounds.0)
    #expect(payloads.count(where: { $0 == "counted" }) == rounds.0)
    for text in ["line one", "line two", "no end"] {
      #expect(payloads.count(where: { $0 == text }) == rounds.1, "\(text)")
    }
  }

  @Test(arguments: Backend.available)
  func `a message beyond the limit is cut, marked and counted`(_ backend: Backend) throws {
    var limits = Limits.small
    limits.eventByteCountMax = 10_000
    let shard = try TestShard(backend, limits: limits)
    let client = shard.connect(.syslogStream)
    let text = "<13>" + String(repeating: "m", count: 50_000)
    #expect(Wire.write(client, "\(text.utf8.count) \(text)9 <13>after\n"))
    let other = shard.connect(.syslogStream)
    #expect(Wire.write(other, "\(text)\n<13>after\n"))
    _ = penstock_close(client)
    _ = penstock_close(other)
    shard.wait("all are stored") { shard.counter(.eventsStored) == 4 }
    #expect(shard.counter(.syslogStream, .truncated) == 2)
    shard.stop()
    let lines = try shard.lines().map(\.text)
    #expect(lines.count(where: { $0.hasSuffix("\tafter") }) == 2)
    #expect(lines.count(where: { $0.contains(" _truncated=50004\t") }) == 2)
    #expect(lines.allSatisfy { $0.utf8.count < 10_200 })
  }

  @Test(arguments: Backend.available)
  func `datagrams become events, also empty and malformed ones`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.syslogDatagram)
    for text in ["<13>1 - h a - - - one\n", "<13>two", "", "no priority", "<13>1 broken"] {
      #expect(unsafe penstock_send(client, text, text.utf8.count) >= 0)
    }
    shard.wait("all are stored") { shard.counter(.eventsStored) == 5 }
    #expect(shard.counter(.syslogDatagram, .malformed) == 3)
    #expect(shard.counter(.syslogDatagram, .received) == shard.counter(.syslogDatagram, .stored))
    shard.stop()
    #expect(try shard.payloads() == ["one", "two", "", "no priority", "<13>1 broken"])
    _ = penstock_close(client)
  }

  // MARK: - Many and hostile

  @Test(arguments: Backend.available)
  func `more connections than buffers are all served`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let clients = (0..<40).map { _ in shard.connect(.syslogStream) }
    for round in 0..<20 {
      for (index, client) in clients.enumerated() {
        #expect(Wire.write(client, "<13>\(round)/\(index)\n"))
      }
    }
    shard.wait("all are stored") { shard.counter(.eventsStored) == 800 }
    for client in clients { _ = penstock_close(client) }
    shard.stop()
    #expect(Set(try shard.payloads()).count == 800)
  }

  @Test(arguments: Backend.available)
  func `a client that never reads its answers does not stop the others`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let deaf = shard.connect(.line)
    let flood = Thread {
      let request = Array(String(repeating: "BAD\n", count: 20_000).utf8)
      for _ in 0..<50 where !Wire.write(deaf, request) { break }
    }
    flood.start()
    usleep(200_000)
    let client = shard.connect(.line)
    #expect(Wire.write(client, put("- s T\tstill served\n")))
    #expect(answers(client, 1).first?.hasPrefix("OK ") == true)
    _ = penstock_close(client)
    penstock_shut_down(deaf)
    usleep(50_000)
    _ = penstock_close(deaf)
  }

  @Test(arguments: Backend.available)
  func `without a segment nothing is acknowledged, with one everything is`(_ backend: Backend)
    throws
  {
    let shard = try TestShard(backend, segmentCount: 1)
    let client = shard.connect(.line)
    let body = "- s T\t\(String(repeating: "f", count: 100_000))\n"
    let count = 120
    let sender = Thread {
      for _ in 0..<count { _ = Wire.write(client, self.put(body)) }
    }
    sender.start()
    shard.wait("it stalls") { shard.counter(.isStalled) == 1 }
    let others = [shard.connect(.syslogStream), shard.connect(.syslogDatagram)]
    for descriptor in others { #expect(Wire.write(descriptor, "<14>1 - h a - - - waits\n")) }
    usleep(200_000)
    let before = shard.counter(.eventsStored)
    usleep(200_000)
    #expect(shard.counter(.eventsStored) == before)
    for kind in [ListenerKind.syslogStream, .syslogDatagram] {
      #expect(shard.counter(kind, .stored) == 0, "no protocol gets through")
    }
    #expect(before < UInt64(count))
    for number in 3...6 as ClosedRange<UInt64> {
      _ = try SegmentPreparation.prepare(
        LinuxFileSystem(), shard.layout,
        name: SegmentName(log: LogNumber(0), number: SegmentNumber(number)), store: shard.store,
        byteCount: 4 << 20, isFilled: true)
    }
    #expect(answers(client, count).count(where: { $0.hasPrefix("OK ") }) == count)
    shard.wait("the others get through") {
      shard.counter(.syslogStream, .stored) == 1 && shard.counter(.syslogDatagram, .stored) == 1
    }
    shard.stop()
    #expect(try shard.payloads().count == count + 2)
    for descriptor in others + [client] { _ = penstock_close(descriptor) }
  }

  // MARK: - Seal, stop, start

  @Test(arguments: Backend.available)
  func `a seal switches segments and proves what was before`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    #expect(Wire.write(client, put("- s T\tbefore\n")))
    #expect(answers(client, 1).count == 1)
    let segment = shard.counter(.activeSegment)
    shard.send("S")
    shard.wait("the segment is sealed") { shard.counter(.seals) == 1 }
    #expect(shard.counter(.activeSegment) > segment)
    #expect(Wire.write(client, put("- s T\tafter\n")))
    #expect(answers(client, 1).count == 1)
    let view = try LogView.read(
      LinuxFileSystem(), shard.layout, log: LogNumber(0), after: .none, frontier: nil,
      store: shard.store)
    let sealed = try #require(view.segments.first { $0.name.number.value == segment })
    #expect(sealed.isSettled)
    shard.stop()
    #expect(try shard.payloads() == ["before", "after"])
    _ = penstock_close(client)
  }

  @Test(arguments: Backend.available)
  func `a clean stop takes what was sent, and the next start goes on behind it`(_ backend: Backend)
    throws
  {
    let folder = try TestFolder()
    var expected: [String] = []
    var last: UInt64 = 0
    for round in 0..<3 {
      let shard = try TestShard(backend, folder: folder)
      let client = shard.connect(.syslogStream)
      let text = (0..<500).map { "\(round)-\($0)" }
      #expect(Wire.write(client, text.map { "<13>\($0)\n" }.joined()))
      #expect(shard.stop() == .stopped)
      _ = penstock_close(client)
      expected += text
      let lines = try shard.lines()
      #expect(lines.map { String($0.text.split(separator: "\t").last ?? "") } == expected)
      #expect((lines.last?.sequence ?? 0) > last)
      last = lines.last?.sequence ?? 0
    }
  }

  @Test(arguments: Backend.available)
  func `what was received and not found after a crash is booked as lost`(_ backend: Backend) throws
  {
    let folder = try TestFolder()
    let first = try TestShard(backend, folder: folder)
    let client = first.connect(.line)
    #expect(Wire.write(client, put("- s T\tone\n- s T\ttwo\n")))
    #expect(answers(client, 1).first?.hasPrefix("OK ") == true)
    _ = penstock_close(client)
    first.stop()
    // As if ten more had been received, and a kill had come before any of them was written.
    let row = ListenerKind.allCases.firstIndex(of: .line) ?? 0
    var statistics = Statistics(
      try SharedPage(
        creating: first.layout.statisticsPage(first.store, LogNumber(0)),
        magic: Statistics.magic, boot: System.bootIdentifier(), epoch: 1,
        valueCount: Statistics.valueCount))
    statistics[row, .received] += 10
    let second = try TestShard(backend, folder: folder)
    #expect(second.counter(.line, .received) == 12)
    #expect(second.counter(.line, .stored) == 2)
    #expect(second.counter(.line, .lost) == 10)
    second.stop()
    #expect(first.store == second.store)
  }

  /// On a connection that counts octets a frame without a count ends at its LF, wherever it was cut.
  @Test(arguments: Backend.available)
  func `a frame without a count loses its CR however it was cut`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    for pieces in [["8 <13>one\nlost\r\n7 <13>two"], ["8 <13>one\nlo", "st\r", "\n7 <13>two"]] {
      let client = shard.connect(.syslogStream)
      for piece in pieces {
        #expect(Wire.write(client, piece))
        usleep(20_000)
      }
      _ = penstock_close(client)
    }
    shard.wait("all are received") { shard.counter(.syslogStream, .received) >= 6 }
    shard.stop()
    #expect(try shard.payloads() == ["one", "lost", "two", "one", "lost", "two"])
  }

  @Test func `a second shard on the same log is refused with the holder's number`() throws {
    let shard = try TestShard(.poll)
    let lease = #expect(throws: Lease.Failure.self) {
      _ = try Lease.acquire(LinuxFileSystem(), shard.layout, LogNumber(0), waiting: 10)
    }
    guard case .held(_, let holder)? = lease else {
      Issue.record("the lease is held")
      return
    }
    #expect(holder == Int(System.processIdentifier))
  }
}
