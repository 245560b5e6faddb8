// The thread of a client: it alone touches sockets, and waits for all of them at once.
//
//     callers ─▶ submitted ─▶ routes ─▶ sockets
//     callers ◀─ answers   ◀─ routes ◀─ sockets

internal import CShims
internal import PenstockCore
internal import Synchronization

/// What a client was made with, checked.
struct ClientSettings: Sendable {
  var addresses: [LineAddress]
  var requestsInFlightMax: Int
  var bytesInFlightMax: Int
  var patienceNanoseconds: Int64
  var connectNanoseconds: Int64
  var pauseNanosecondsMax: Int64
  var routesToOwners: Bool
  var token: String?
  var producer: ClientProducer?
}

/// What callers and the thread share, and the thread's own.
final class ClientLoop: @unchecked Sendable {
  private struct Shared {
    var submitted: [ClientRequest] = []
    /// Whether the thread looks here again without being woken once more.
    var isWoken = false
    var hasCancelled = false
    var isClosing = false
  }

  private let shared = Mutex(Shared())
  private let waker: WakePipe
  private let settings: ClientSettings

  // Touched by the thread only.
  private let plain: ClientRoute
  private var shards: [Int: ClientRoute] = [:]

  /// Most shards a server can have: logs are numbered in two hex digits. A route each, and the plain
  /// one, and the pipe are what is waited for.
  private static let shardCountMax = 256

  init(_ settings: ClientSettings) throws(StoreError) {
    precondition(ClientLoop.shardCountMax + 2 <= Int(PENSTOCK_AWAIT_MAX))
    waker = try WakePipe()
    self.settings = settings
    plain = ClientRoute(settings)
  }

  // MARK: - Callers

  func submit(_ request: ClientRequest) {
    let isTaken = change { shared in
      guard !shared.isClosing else { return false }
      shared.submitted.append(request)
      return true
    }
    if !isTaken { request.fail(.closed) }
  }

  /// A request was cancelled: what holds it lets go of it.
  func noteCancellation() {
    _ = change { shared in
      shared.hasCancelled = true
      return true
    }
  }

  /// Makes the thread settle everything and end.
  func close() {
    _ = change { shared in
      shared.isClosing = true
      return true
    }
  }

  /// Changes what is shared, and wakes the thread when it has to know; false when nothing was changed.
  private func change(_ body: (inout Shared) -> Bool) -> Bool {
    let (isChanged, wakes) = shared.withLock { shared in
      guard body(&shared) else { return (false, false) }
      defer { shared.isWoken = true }
      return (true, !shared.isWoken)
    }
    if wakes { waker.wake() }
    return isChanged
  }

  // MARK: - The thread

  func run() {
    while true {
      let taken = shared.withLock { shared in
        defer {
          shared.submitted = []
          shared.isWoken = false
          shared.hasCancelled = false
        }
        return shared
      }
      for request in taken.submitted { route(for: request).append(request) }
      if taken.hasCancelled { forEachRoute { $0.dropAbandoned() } }
      if taken.isClosing { return forEachRoute { $0.end() } }
      let now = System.monotonicNanoseconds()
      forEachRoute { $0.advance(now) }
      wait()
    }
  }

  private func forEachRoute(_ body: (ClientRoute) -> Void) {
    body(plain)
    for route in shards.values { body(route) }
  }

  /// Journals go straight to the shard they belong to, if they are spread over those that are served:
  /// a store whose number of shards was changed has others, and then shards pass requests on.
  private func route(for request: ClientRequest) -> ClientRoute {
    let width = plain.shardCount
    guard settings.routesToOwners, let journal = request.journal,
      (2...ClientLoop.shardCountMax).contains(width)
    else { return plain }
    let owner = JournalKey.owner(of: journal.rawSpan, width: width)
    if let route = shards[owner] { return route }
    let route = ClientRoute(settings, shard: owner, journal: journal)
    shards[owner] = route
    return route
  }

  /// Waits until a socket is ready, something was submitted, or the time for something has come.
  private func wait() {
    var routes: [ClientRoute] = []
    var descriptors = [waker.descriptor]
    var wantsWrite = [false]
    var wakeAt = Int64.max
    let now = System.monotonicNanoseconds()
    forEachRoute { route in
      wakeAt = min(wakeAt, route.wakeAt(now))
      guard let connection = route.connection else { return }
      routes.append(route)
      descriptors.append(connection.descriptor)
      wantsWrite.append(route.wantsWrite)
    }
    var ready = [Int32](repeating: 0, count: descriptors.count)
    let milliseconds = (min(wakeAt - now, ClientLoop.waitNanosecondsMax) + 999_999) / 1_000_000
    let result = unsafe penstock_await_any(
      descriptors, wantsWrite, &ready, Int32(descriptors.count), Int32(max(0, milliseconds)))
    guard result == 0 else { return }
    if ready[0] != 0 { waker.take() }
    let then = System.monotonicNanoseconds()
    for (route, state) in zip(routes, ready.dropFirst()) where state != 0 {
      route.takeReadiness(
        readable: state & Int32(PENSTOCK_READABLE) != 0,
        writable: state & Int32(PENSTOCK_WRITABLE) != 0, then)
    }
  }

  private static let waitNanosecondsMax: Int64 = 60_000_000_000
}
