// A store inside this program, without a daemon.
//
//     let store = try Store.open("events")
//     let writer = try store.writer()
//     try writer.put(stream: "app/web", type: "Login", payload: "anna")          // durable
//     try writer.transaction { tx in … }
//     for event in try store.read(stream: "app/*", limit: 10) { … }
//
// Any number of processes, and of writers in one, write at once: each writer leases a log of its
// own. What a process that was killed has left behind is recovered by whoever leases its log next.
// Reading needs no lease and sees what is durable, in all logs.
//
// Of the program, opening a writer changes one thing: SIGPIPE and SIGXFSZ are ignored from then on,
// so that a full disk quota is an error of the write that met it. A forked child that does not
// execute another program keeps its parent's logs leased for as long as it lives.

internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// A store that is opened in this process.
public final class Store: Sendable {
  /// How a shard talks to the kernel.
  public enum InputOutput: Sendable {
    /// io_uring where it is allowed, else epoll.
    case automatic
    case ring
    case poll

    var choice: BackendChoice {
      switch self {
      case .automatic: .auto
      case .ring: .ring
      case .poll: .poll
      }
    }
  }

  /// What a store is opened with.
  public struct Options: Sendable {
    /// Logs the store's journals are spread over, 1 to 256; fixed when the store is made. With 1
    /// every journal belongs to log 0, and one writer can commit to any of them.
    public var journalLogCount = 1
    public var io = InputOutput.automatic
    /// Size of the segments that are prepared, in bytes, 4 to 512 MiB; nil to size them by the rate
    /// of writing.
    public var segmentByteCount: Int?
    /// Live segments are archived before they exceed so many bytes, and then tables are joined and
    /// expire by the store's settings; nil for on request only.
    public var liveByteCountMax: Int? = 512 << 20
    /// Takes what there is to say to people: recoveries, shortages, damage.
    public var notices: @Sendable (String) -> Void = { _ in }
    public init() {}
  }

  /// Which log a writer leases.
  public enum LogChoice: Equatable, Sendable {
    /// The first that is free; a new one when none is.
    case any
    /// This one, 0 to 255.
    case number(Int)
    /// The one that a journal belongs to.
    case owner(of: String)
  }

  let place: StorePlace
  let shards = Mutex<[Int: EmbeddedShard]>([:])
  let archiver: StoreArchiver
  private let keeper = Mutex<ArchiveKeeper?>(nil)
  private let isClosed = Atomic(false)

  private init(_ place: StorePlace) {
    self.place = place
    archiver = StoreArchiver(place)
  }

  deinit { endKeeping() }

  /// Opens the store in a folder, making it when there is none.
  /// - Throws: `failed` when the folder cannot be used.
  public static func open(_ path: String, _ options: Options = Options()) throws(StoreError)
    -> Store
  {
    Store(try StorePlace(path, options))
  }

  /// The store's folder, from the root on and without links.
  public var path: String { place.layout.root }

  // MARK: - Writers

  /// Leases a log and recovers it.
  /// - Parameters:
  ///   - choice: which log.
  ///   - milliseconds: how long a log that was asked for by number or journal is waited for while
  ///     another process holds it; nil for as long as it takes.
  /// - Throws: `leaseHeld` when there is no free log, `failed` when it cannot be recovered.
  public func writer(_ choice: LogChoice = .any, waiting milliseconds: Int? = nil)
    throws(StoreError) -> Writer
  {
    var waited = 0
    while true {
      if let writer = try tryWriter(choice) { return writer }
      guard choice != .any, milliseconds.map({ waited < $0 }) ?? true else {
        throw .leaseHeld("every log of \(path) that may be taken is held by another writer")
      }
      System.sleep(nanoseconds: Int64(Store.leasePauseMilliseconds) * 1_000_000)
      waited += Store.leasePauseMilliseconds
    }
  }

  /// Leases a log and recovers it, suspending the task meanwhile.
  public func writer(_ choice: LogChoice = .any, waiting milliseconds: Int? = nil)
    async throws(StoreError) -> Writer
  {
    try await LibraryThread.run { [self] in
      do throws(StoreError) {
        return .success(try blockingWriter(choice, milliseconds))
      } catch {
        return .failure(error)
      }
    }
  }

  private func blockingWriter(_ choice: LogChoice, _ milliseconds: Int?) throws(StoreError)
    -> Writer
  {
    try writer(choice, waiting: milliseconds)
  }

  /// Leases a log and recovers it, or gives nil when others hold those it may take.
  public func tryWriter(_ choice: LogChoice = .any) throws(StoreError) -> Writer? {
    if isClosed.load(ordering: .acquiring) { throw .closed }
    let numbers: ClosedRange<UInt8>
    switch choice {
    case .any: numbers = 0...UInt8.max
    case .number(let number):
      precondition((0...255).contains(number))
      numbers = UInt8(number)...UInt8(number)
    case .owner(let journal):
      let owner = UInt8(
        JournalKey.owner(
          of: Escape.encode(Array(journal.utf8).rawSpan, .word).rawSpan,
          width: place.journalHashWidth))
      numbers = owner...owner
    }
    for number in numbers {
      let log = LogNumber(number)
      guard let lease = try place.lease(log) else { continue }
      return try Writer(self, start(log, lease))
    }
    return nil
  }

  private func start(_ log: LogNumber, _ lease: Lease) throws(StoreError) -> EmbeddedShard {
    do throws(StoreError) {
      let shard = try EmbeddedShard(place, log, lease)
      shards.withLock { $0[Int(log.value)] = shard }
      startKeeping()
      return shard
    } catch {
      StorePlace.release(place, log)
      throw error
    }
  }

  /// A writer has ended; once for each.
  func forget(_ shard: EmbeddedShard) {
    let wasHeld = shards.withLock { shards in
      guard shards[Int(shard.log.value)] === shard else { return false }
      shards[Int(shard.log.value)] = nil
      return true
    }
    if wasHeld { StorePlace.release(place, shard.log) }
  }

  private static let leasePauseMilliseconds = 10

  // MARK: - The archive

  private func startKeeping() {
    guard let byteCountMax = place.options.liveByteCountMax else { return }
    keeper.withLock { keeper in
      if keeper == nil { keeper = try? ArchiveKeeper(archiver, byteCountMax: byteCountMax) }
    }
  }

  private func endKeeping() {
    let ending = keeper.withLock { keeper in
      defer { keeper = nil }
      return keeper
    }
    ending?.stop()
  }

  /// Ends archiving by itself. Writers are closed by themselves; no more can be opened.
  public func close() {
    isClosed.store(true, ordering: .releasing)
    endKeeping()
  }
}
