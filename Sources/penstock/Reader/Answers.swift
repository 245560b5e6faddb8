// What the reader sends for each request; ReadRequest.swift has the grammar.

internal import PenstockArchive
internal import PenstockCore

/// Answers one request at a time on connections that are lent.
struct Answers {
  let reader: StoreReader<LinuxFileSystem>
  let access: ReaderAccess?

  /// Silence of a FOLLOW or a COPY before it says that it is still there, in nanoseconds: shorter
  /// than what routers between forget a connection after.
  static let silenceNanoseconds: Int64 = 10_000_000_000
  /// Time between two looks at the frontier, in nanoseconds: short while events come, longer when
  /// none came for a while.
  static let busyNanoseconds: Int64 = 1_000_000
  static let idleNanoseconds: Int64 = 4_000_000
  /// Looks without an event after which a follower is idle.
  static let looksUntilIdle = 200
  /// Looks between two checks whether the client has left.
  static let looksPerCheck = 50

  /// Answers; false when the client could not be told everything.
  func answer(_ lent: LentConnection) -> Bool {
    do {
      let line = lent.line
      switch try ReadRequest(line.rawSpan) {
      case .read(let request): try read(request, lent, try ReadRights(access, lent))
      case .follow(let request): try follow(request, lent, try ReadRights(access, lent))
      case .copy(let request): try copy(request, lent, try ReadRights(access, lent))
      }
      return true
    } catch let fault as ReadRequest.Fault {
      return (try? lent.send("ERR \(fault.code)\(lent.tag) \(fault.text)\n")) != nil
    } catch is LentFailure {
      return false
    } catch {
      let text = "\(error)".split(separator: "\n").joined(separator: " ")
      ShardProcess.say("reader", text)
      return (try? lent.send("ERR unreadable\(lent.tag) \(text)\n")) != nil
    }
  }

  // MARK: - READ

  private func read(
    _ request: ReadRequest.Read, _ lent: LentConnection, _ granted: ReadRights
  ) throws {
    var rights = granted
    try rights.require(request.stream)
    var cursor = try reader.read(request.query)
    var chunk = AnswerChunk()
    var event = StoredEvent()
    var count = 0
    while try cursor.next(&event) {
      chunk.put(event, tellsPosition: request.tellsPositions)
      count += 1
      guard chunk.isFull else { continue }
      try rights.renew()
      try rights.require(request.stream)
      let range = chunk.seal(at: nil, tag: lent.tag)
      try lent.send(chunk.memory, range)
      chunk.reset()
    }
    if !chunk.isEmpty {
      let range = chunk.seal(at: nil, tag: lent.tag)
      try lent.send(chunk.memory, range)
    }
    let report = cursor.report
    for note in report.damage { ShardProcess.say("reader", "damaged: \(note)") }
    guard report.damageCount == 0 else {
      throw ReadRequest.Fault(
        code: "damaged",
        text: "damaged bytes were left out in \(report.damageCount) places; see 'penstock verify'")
    }
    let vector = PositionVector(cursor.places.mapValues(\.sequence))
    try lent.send("OK count=\(count) at=\(vector.text)\(lent.tag)\n")
  }

  // MARK: - FOLLOW

  private func follow(
    _ request: ReadRequest.Follow, _ lent: LentConnection, _ granted: ReadRights
  ) throws {
    var rights = granted
    var selection = Selection()
    selection.streams = [request.pattern]
    let follower =
      switch request.start {
      case .now: Follower(reader, selection, from: try reader.places())
      case .behind(let position): Follower(reader, selection, behind: position)
      }
    var chunk = AnswerChunk()
    var pace = Pace()
    // The first word says that following has begun, and from where on.
    try tell(&chunk, follower.position, lent)
    while true {
      try rights.renew()
      try follower.poll { event in
        guard rights.allow(event) else { return }
        chunk.put(event, tellsPosition: request.tellsPositions)
        guard chunk.isFull else { return }
        try rights.renew()
        try tell(&chunk, follower.position, lent)
      }
      for note in follower.takeDamage() { ShardProcess.say("reader", "damaged: \(note)") }
      let isQuiet = chunk.isEmpty
      if !isQuiet || pace.isSilent { try tell(&chunk, follower.position, lent) }
      // Reading goes on for long without finding anything, and the client may be gone.
      if isQuiet, follower.isReading, lent.isClosed { return }
      if try pace.wait(isQuiet: isQuiet, lent) { return }
    }
  }

  private func tell(
    _ chunk: inout AnswerChunk, _ position: FollowPosition, _ lent: LentConnection
  ) throws {
    let range = chunk.seal(at: position.text, tag: lent.tag)
    try lent.send(chunk.memory, range)
    chunk.reset()
  }
}

/// When to look again, and when to say that one is still there.
struct Pace {
  private var quietCount = 0
  private var lookCount = 0
  private var spokeAt = System.monotonicNanoseconds()

  var isSilent: Bool {
    System.monotonicNanoseconds() - spokeAt >= Answers.silenceNanoseconds
  }

  /// Waits until it is time to look again; whether the client has left.
  mutating func wait(isQuiet: Bool, _ lent: LentConnection) throws -> Bool {
    if !isQuiet || isSilent { spokeAt = System.monotonicNanoseconds() }
    quietCount = isQuiet ? quietCount + 1 : 0
    lookCount += 1
    if lookCount % Answers.looksPerCheck == 0, lent.isClosed { return true }
    System.sleep(
      nanoseconds: quietCount < Answers.looksUntilIdle
        ? Answers.busyNanoseconds : Answers.idleNanoseconds)
    return false
  }
}
