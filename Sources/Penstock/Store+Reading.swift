// Reading a store: its files directly, beside its writers or without any.

internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// Events being read one after the other, as the store stood when the read began. Used by one
/// thread at a time.
public final class EventCursor {
  private var cursor: StoreCursor<LinuxFileSystem>
  private var event = StoredEvent()

  init(_ cursor: consuming StoreCursor<LinuxFileSystem>) { self.cursor = cursor }

  /// The next event; nil at the end.
  /// - Throws: `failed` when the store cannot be read.
  public func next() throws(StoreError) -> Event? {
    do throws(ReadError) {
      return try cursor.next(&event) ? Event(event) : nil
    } catch {
      throw .failed(error.description)
    }
  }

  /// Places whose bytes were damaged and left out so far, as texts.
  public var damage: [String] { cursor.report.damage }
}

/// The events of a store as they become durable. Used by one thread or task at a time.
///
/// Each is given out once while the store is only written to; when a log is recovered meanwhile one
/// may come twice, and none is left out.
public final class EventFollower: AsyncSequence, AsyncIteratorProtocol {
  public typealias Element = Event
  private let follower: Follower<LinuxFileSystem>
  private var waiting: [Event] = []
  private var next = 0
  private var quietCount = 0

  /// Time between two looks, in nanoseconds: short while events come.
  private static let busyNanoseconds: Int64 = 1_000_000
  private static let idleNanoseconds: Int64 = 4_000_000
  /// Bytes of events that are held for who takes them slowly, but for what is left of a batch.
  private static let waitingByteCountMax = 1 << 20
  /// Looks without an event after which it is idle.
  private static let looksUntilIdle = 200

  init(_ follower: Follower<LinuxFileSystem>) { self.follower = follower }

  /// The next event; nil when none has become durable within so many milliseconds.
  /// - Throws: `failed` when the store cannot be read.
  public func next(waiting milliseconds: Int) throws(StoreError) -> Event? {
    let deadline = System.monotonicNanoseconds() + Milliseconds.nanoseconds(milliseconds)
    while true {
      if let event = try poll() { return event }
      if System.monotonicNanoseconds() >= deadline { return nil }
      System.sleep(nanoseconds: pauseNanoseconds)
    }
  }

  /// The next event, once there is one. Ends, by throwing, with its task.
  public func next() async throws -> Event? {
    while true {
      if let event = try poll() { return event }
      try await Task.sleep(nanoseconds: UInt64(pauseNanoseconds))
    }
  }

  public func makeAsyncIterator() -> EventFollower { self }

  /// The next event that has come already.
  private func poll() throws(StoreError) -> Event? {
    if next == waiting.count {
      waiting.removeAll(keepingCapacity: waiting.count < 4096)
      next = 0
      var byteCount = 0
      do {
        try follower.poll(while: { byteCount < EventFollower.waitingByteCountMax }) { event in
          waiting.append(Event(event))
          byteCount += event.bytes.count
        }
      } catch {
        throw .failed("\(error)")
      }
      quietCount = waiting.isEmpty ? quietCount + 1 : 0
      guard !waiting.isEmpty else { return nil }
    }
    next += 1
    return waiting[next - 1]
  }

  private var pauseNanoseconds: Int64 {
    quietCount < EventFollower.looksUntilIdle
      ? EventFollower.busyNanoseconds : EventFollower.idleNanoseconds
  }
}

extension Store {
  /// Begins to read events, ordered by time, then by log and sequence. Those of a journal have its
  /// order.
  /// - Parameters:
  ///   - stream: a pattern with "*", "?" and "[a-z]" for the names of streams; nil for all.
  ///   - from: not before this time, in nanoseconds since 1970.
  ///   - to: before this time.
  ///   - limit: so many at most.
  ///   - reverse: the newest first.
  /// - Throws: `invalid` for a pattern that is none, `failed` when the store cannot be read.
  public func iterate(
    stream: String? = nil, from: Int64? = nil, to: Int64? = nil, limit: Int? = nil,
    reverse: Bool = false
  ) throws(StoreError) -> EventCursor {
    var query = Query(try Store.selection(stream, from, to))
    query.limit = limit
    query.direction = reverse ? .reverse : .forward
    query.leavesProvisionalOut = true
    do throws(ReadError) {
      return EventCursor(try reader().read(query))
    } catch {
      throw .failed(error.description)
    }
  }

  /// Reads events into an array. The parameters are those of `iterate`.
  public func read(
    stream: String? = nil, from: Int64? = nil, to: Int64? = nil, limit: Int? = nil,
    reverse: Bool = false
  ) throws(StoreError) -> [Event] {
    let cursor = try iterate(stream: stream, from: from, to: to, limit: limit, reverse: reverse)
    var events: [Event] = []
    while let event = try cursor.next() { events.append(event) }
    return events
  }

  /// Follows what becomes durable from now on, in all logs.
  /// - Parameter stream: a pattern for the names of streams; nil for all.
  public func follow(stream: String? = nil) throws(StoreError) -> EventFollower {
    let selection = try Store.selection(stream, nil, nil)
    do throws(ReadError) {
      let reader = try reader()
      var query = Query(selection)
      query.limit = 0
      query.leavesProvisionalOut = true
      let places = try reader.read(query).places
      return EventFollower(Follower(reader, selection, from: places))
    } catch {
      throw .failed(error.description)
    }
  }

  private func reader() throws(ReadError) -> StoreReader<LinuxFileSystem> {
    try StoreReader(LinuxFileSystem(), place.layout)
  }

  private static func selection(_ stream: String?, _ from: Int64?, _ to: Int64?)
    throws(StoreError) -> Selection
  {
    var selection = Selection()
    if let stream {
      do throws(Glob.Fault) {
        selection.streams = [try Glob(stream)]
      } catch {
        throw .invalid(error.description)
      }
    }
    selection.since = from.map { Timestamp(nanosecondsSince1970: Int128($0)) }
    selection.until = to.map { Timestamp(nanosecondsSince1970: Int128($0)) }
    return selection
  }

  // MARK: - Archiving

  /// Archives everything this process's writers have stored so far, and what is settled of other
  /// logs: sealed segments become compressed, indexed tables. While there is time left, tables are
  /// then joined; those go whose time has come by the store's settings (`penstock serve --retain`).
  /// - Parameter milliseconds: how long it may take.
  /// - Returns: whether all that was stored is in the archive.
  /// - Throws: `archiveHeld` when another process archives the store, `failed`.
  @discardableResult
  public func archive(within milliseconds: Int = 60_000) throws(StoreError) -> Bool {
    var wanted: [LogNumber: SequenceNumber] = [:]
    let positions: [LogNumber: SequenceNumber]
    do {
      positions = try DurablePositions.read(LinuxFileSystem(), place.layout, place.store)
    } catch {
      throw .failed("\(error)")
    }
    for shard in shards.withLock({ Array($0.values) }) {
      wanted[shard.log] = positions[shard.log]
      shard.seal()
    }
    return try archiver.archive(until: wanted, milliseconds: milliseconds)
  }
}
