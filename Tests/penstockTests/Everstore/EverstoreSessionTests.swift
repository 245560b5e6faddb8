import CShims
import PenstockCore
import Testing

@testable import penstock

/// One client's session: how much it may hold, and for how long.
@Suite struct EverstoreSessionTests {
  /// A session and the client's end of its connection.
  private final class Client {
    let session: EverstoreSession
    let limits: EverstoreLimits
    private let socket: Int32

    init(_ limits: EverstoreLimits) throws {
      var pair: [Int32] = [0, 0]
      try #require(unsafe penstock_socket_pair(&pair) == 0)
      self.limits = limits
      session = EverstoreSession(pair[0], wantsAuth: false, limits, 0)
      socket = pair[1]
    }

    deinit { _ = penstock_close(socket) }

    func send(_ bytes: [UInt8]) -> Int {
      Int(unsafe bytes.withUnsafeBytes { unsafe penstock_send(socket, $0.baseAddress, $0.count) })
    }
  }

  private func largeHeader(_ request: UInt32 = 1) -> [UInt8] {
    EverstoreClient.bytes(5, 900_000, request, 0, 0)
  }

  /// Sends a message of 900,000 bytes but for `missing`, as far as the session takes it.
  private func sendLarge(_ client: Client, missing: Int, _ now: Int64) {
    var left = (largeHeader() + [UInt8](repeating: 0x61, count: 900_000 - missing))[...]
    while !left.isEmpty {
      let count = client.send(Array(left.prefix(32 << 10)))
      if count > 0 { left = left.dropFirst(count) }
      client.session.receive(now)
      if client.session.waitsForRoom { return }
    }
    client.session.receive(now)
  }

  @Test("only so many large messages come in at once, each within its time, and room is given back")
  func largeMessages() throws {
    let limits = EverstoreLimits(octetCountMax: 1 << 20)
    var clients: [Client] = []
    for _ in 0..<limits.largeCountMax {
      let client = try Client(limits)
      sendLarge(client, missing: 1, 1000)
      #expect(!client.session.waitsForRoom && !client.session.hasMessage)
      clients.append(client)
    }
    #expect(!limits.hasLargeRoom)
    let another = try Client(limits)
    sendLarge(another, missing: 0, 1000)
    #expect(another.session.waitsForRoom && !another.session.hasMessage)
    // A message that is whole is taken, and its room is free.
    #expect(clients[0].send([0x61]) == 1)
    clients[0].session.receive(2000)
    var byteCount = 0
    #expect(
      clients[0].session.next(2000) { header, _, body in
        byteCount = body.count
        return header.request == 1
      })
    #expect(byteCount == 900_000 && limits.hasLargeRoom)
    // One that does not come to its end is late, but not for the time nobody read it.
    let late = 1000 + EverstoreLimits.largeNanoseconds
    #expect(!clients[1].session.isLate(late - 1, readSince: 0))
    #expect(clients[1].session.isLate(late, readSince: 0))
    #expect(!clients[1].session.isLate(late, readSince: 5000))
    #expect(!clients[0].session.isLate(late, readSince: 0))
    clients.removeAll()
    #expect(limits.hasLargeRoom)
    another.session.receive(late)
    #expect(!another.session.waitsForRoom)
  }

  @Test("a message that is not taken is lent again")
  func heldMessage() throws {
    let client = try Client(EverstoreLimits(octetCountMax: 1 << 20))
    #expect(client.send(EverstoreClient.bytes(6, 4, 7, 0, 0) + EverstoreClient.bytes(3)) == 24)
    client.session.receive(1)
    for isTaken in [false, false, true] {
      var lent: UInt32 = 0
      #expect(
        client.session.next(1) { header, _, _ in
          lent = header.request
          return isTaken
        } == isTaken)
      #expect(lent == 7 && client.session.isHeld == !isTaken)
    }
    #expect(!client.session.next(1) { _, _, _ in true })
    #expect(!client.session.isHeld)
  }

  @Test("transactions are counted over all sessions, and end with theirs")
  func transactions() throws {
    let limits = EverstoreLimits(octetCountMax: 1 << 20)
    let transaction = EverstoreTransaction(journal: 1, position: SequenceNumber(1))
    var clients: [Client] = []
    for _ in 0..<4 {
      let client = try Client(limits)
      for number in 0..<UInt32(EverstoreSession.transactionCountMax) {
        #expect(client.session.open(number, transaction))
      }
      #expect(!client.session.open(.max, transaction))
      clients.append(client)
    }
    #expect(limits.transactionCount == EverstoreLimits.transactionCountMax)
    let client = try Client(limits)
    #expect(!client.session.open(1, transaction))
    #expect(clients[0].session.close(5) != nil && clients[0].session.close(5) == nil)
    #expect(client.session.open(1, transaction))
    clients.removeAll()
    #expect(limits.transactionCount == 1)
  }

  @Test("who has nothing open and says nothing is idle")
  func idle() throws {
    let client = try Client(EverstoreLimits(octetCountMax: 1 << 20))
    client.session.send()
    let late = EverstoreSession.idleNanoseconds
    #expect(!client.session.isIdle(late - 1) && client.session.isIdle(late))
    let transaction = EverstoreTransaction(journal: 1, position: SequenceNumber(1))
    #expect(client.session.open(1, transaction) && !client.session.isIdle(late))
    client.session.close(1)
    #expect(client.send([1]) == 1)
    client.session.receive(late)
    #expect(!client.session.isIdle(2 * late), "a part of a message is there")
  }
}
