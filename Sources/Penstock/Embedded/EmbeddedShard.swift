// A shard inside this program: the loop of PenstockCore on a thread, and a preparer on another.
//
//     program ─ socket pair ─▶ shard ─▶ log       pipes: "T" stop, "S" seal, "L" look again
//                                ▲
//             preparer ─ segments┘
//
// The lease is acquired before the threads are started and is the shard's from then on. The shard
// is stopped after the program's end of the socket pair has been shut down: what had been sent is
// made durable first.

internal import CShims
internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// A shard that runs on threads of this program.
final class EmbeddedShard: Sendable {
  let log: LogNumber
  /// The program's end of the connection; whoever takes it closes it.
  let socket: Int32
  private let control: Pipe
  private let preparerControl: Pipe
  private let threads = Mutex<[LibraryThread]>([])
  private let report: Report

  /// What became of the shard, and what it said last.
  private final class Report: Sendable {
    private let words = Mutex("")
    private let notices: @Sendable (String) -> Void

    init(_ notices: @escaping @Sendable (String) -> Void) { self.notices = notices }

    func tell(_ name: String, _ text: String) {
      words.withLock { $0 = text }
      notices("\(name): \(text)")
    }
    var last: String { words.withLock { $0 } }
  }

  /// Two ends of a pipe, both closed with it.
  private final class Pipe: Sendable {
    let readEnd: Int32
    let writeEnd: Int32

    init() throws(StoreError) {
      var ends: (Int32, Int32) = (-1, -1)
      let result = unsafe penstock_pipe(&ends.0, &ends.1)
      guard result == 0 else { throw .failed("no pipe: \(System.message(for: -result))") }
      readEnd = ends.0
      writeEnd = ends.1
    }

    deinit {
      _ = penstock_close(readEnd)
      _ = penstock_close(writeEnd)
    }

    func send(_ byte: UInt8) {
      var value = byte
      _ = unsafe penstock_write(writeEnd, &value, 1)
    }
  }

  /// Starts a shard on a log that was leased. It closes the lease's file, also when this throws.
  init(_ place: StorePlace, _ log: LogNumber, _ lease: Lease) throws(StoreError) {
    self.log = log
    let report = Report(place.options.notices)
    self.report = report
    var ends: [Int32] = [-1, -1]
    let opened: (Pipe, Pipe, ShardConfiguration)
    do throws(StoreError) {
      opened = (try Pipe(), try Pipe(), try place.configuration(log, lease))
      let result = unsafe penstock_socket_pair(&ends)
      guard result == 0 else { throw .failed("no socket pair: \(System.message(for: -result))") }
    } catch {
      LinuxFileSystem().close(lease.file)
      throw error
    }
    (control, preparerControl) = (opened.0, opened.1)
    socket = ends[0]
    var configuration = opened.2
    configuration.connections = [Socket(descriptor: ends[1])]
    configuration.tell = { report.tell($0, $1) }
    try start(configuration, place)
  }

  private func start(_ started: ShardConfiguration, _ place: StorePlace) throws(StoreError) {
    let pipe = Socket(descriptor: control.readEnd)
    let shard: LibraryThread
    do throws(StoreError) {
      shard = try LibraryThread { _ = ShardProcess.run(started, control: pipe) }
    } catch {
      if let lease = started.lease { LinuxFileSystem().close(lease.file) }
      for end in started.connections + [Socket(descriptor: socket)] {
        _ = penstock_close(end.descriptor)
      }
      throw error
    }
    threads.withLock { $0 = [shard] }
    let preparerPipe = preparerControl.readEnd
    do throws(StoreError) {
      let preparer = try LibraryThread {
        var preparer = Preparer(
          started.layout, started.store, logs: [started.log],
          fixedByteCount: place.options.segmentByteCount, tell: started.tell)
        _ = preparer.run(control: preparerPipe)
      }
      threads.withLock { $0.append(preparer) }
    } catch {
      _ = penstock_close(socket)
      stop()
      throw error
    }
  }

  /// What the shard said last: why it ended, when it has.
  var lastWords: String { report.last }

  /// The shard serves: segments are prepared without waiting for the preparer's next look.
  func noteServing() { preparerControl.send(ControlByte.look) }

  /// Asks for the active segment to be sealed.
  func seal() { control.send(ControlByte.seal) }

  /// Ends the threads. The program's end of the connection was shut down before.
  func stop() {
    control.send(ControlByte.stop)
    preparerControl.send(ControlByte.stop)
    let ending = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in ending { thread.join() }
  }
}

/// A store's folder, name and options, and which of its logs this process holds.
struct StorePlace: Sendable {
  let layout: StoreLayout
  let store: StoreIdentifier
  let journalHashWidth: Int
  let options: Store.Options

  /// Opens the store, making what is missing.
  init(_ path: String, _ options: Store.Options) throws(StoreError) {
    precondition((1...StoreDescription.journalHashWidthMax).contains(options.journalLogCount))
    // A segment has to hold the largest batch.
    precondition(
      options.segmentByteCount.map { (4 << 20...SegmentPreparation.byteCountMax).contains($0) }
        ?? true)
    self.options = options
    do throws(PenstockCore.StoreError) {
      let description = try StoreDescription.open(
        LinuxFileSystem(), StoreLayout(root: path), journalHashWidth: options.journalLogCount)
      store = description.store
      journalHashWidth = description.journalHashWidth
    } catch {
      throw .failed(error.description)
    }
    layout = StoreLayout(root: try StorePlace.realPath(path))
  }

  /// The path from the root on and without links: a program may go to another folder, and what it holds
  /// of a store has one name.
  private static func realPath(_ path: String) throws(StoreError) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe penstock_real_path(path, bytes.baseAddress, bytes.count)
    }
    guard count >= 0 else {
      throw .failed("the folder \(path) cannot be found: \(System.message(for: -count))")
    }
    guard let found = String(validating: bytes[..<Int(count)], as: UTF8.self) else {
      throw .failed("the folder \(path) lies in one whose name is not UTF-8: move it")
    }
    return found
  }

  /// What a shard on `log` is told.
  func configuration(_ log: LogNumber, _ lease: Lease) throws(StoreError) -> ShardConfiguration {
    let manifest: Manifest
    do throws(ManifestError) {
      manifest = try Manifest.read(LinuxFileSystem(), layout)
    } catch {
      throw .failed("the archive's manifest cannot be read: \(error)")
    }
    var configuration = ShardConfiguration(
      layout: layout, store: store, log: log, shardCount: 1, limits: Limits.embedded,
      backend: options.io.choice, archivedThrough: manifest.archivedThrough(log))
    configuration.journalHashWidth = journalHashWidth
    configuration.coveredThrough = manifest.coveredThrough(log)
    configuration.lease = lease
    return configuration
  }

  /// Logs this process holds, by the path of their locks: a lock that is not free is waited for
  /// when its holder is gone, or has closed it, and passed over otherwise.
  private static let held = Mutex<Set<String>>([])

  static func release(_ place: StorePlace, _ log: LogNumber) {
    _ = held.withLock { $0.remove(place.layout.lock(log)) }
  }

  /// Leases a log; nil when another holds it, or it is a running daemon's.
  func lease(_ log: LogNumber) throws(StoreError) -> Lease? {
    let path = layout.lock(log)
    guard try !isServed(log), StorePlace.held.withLock({ $0.insert(path).inserted }) else {
      return nil
    }
    var isLeased = false
    defer { if !isLeased { StorePlace.release(self, log) } }
    let holder = LeaseHolder(ofLog: log, layout)?.process
    let isEnding =
      holder.map { $0 == System.processIdentifier || !ProcessTable.isAlive($0) } ?? false
    let lease: Lease
    do throws(Lease.Failure) {
      lease = try Lease.acquire(
        LinuxFileSystem(), layout, log,
        waiting: isEnding ? ShardProcess.leaseWaitMilliseconds : 0)
    } catch {
      if case .failed(let cause) = error { throw .failed(cause.description) }
      return nil
    }
    defer { if !isLeased { LinuxFileSystem().close(lease.file) } }
    isLeased = try !isServed(log)
    return isLeased ? lease : nil
  }

  /// Whether a daemon that runs serves the log, its shard being between two starts, maybe.
  private func isServed(_ log: LogNumber) throws(StoreError) -> Bool {
    do throws(FileError) {
      return try HostLock.serves(log, of: layout)
    } catch {
      throw .failed("nobody can tell whether a daemon serves the store: \(error)")
    }
  }
}

extension Limits {
  /// A shard with one connection, whose program it trusts to read its answers.
  static var embedded: Limits {
    var limits = Limits()
    limits.connectionCountMax = 8
    limits.datagramBufferCount = 1
    limits.largeSlotCount = 2
    // A program that is stopped in a debugger, or swapped out, is not a stuck sender.
    limits.progressDeadlineNanoseconds = .max / 2
    limits.silenceDeadlineNanoseconds = .max / 2
    limits.crowdedDeadlineNanoseconds = .max / 2
    // A thread that waits for each of its events writes a block for every one: 256 MiB are some
    // 65,000 of them a second, and the program's own choice.
    limits.paddingByteRate = 256 << 20
    return limits
  }
}
