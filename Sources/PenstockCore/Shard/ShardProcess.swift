// The shard as a process: takes the lease, recovers the log, chooses a backend, runs the loop.

internal import CShims

/// Runs one shard in this process.
package enum ShardProcess {
  /// Exit statuses of the shard role.
  package enum Status: Int32, Sendable {
    case stopped = 0
    /// The kernel or the file system refused something at start (EX_IOERR).
    case failed = 74
    /// Another process holds the log (EX_TEMPFAIL).
    case leaseHeld = 75
    /// A write or sync failed while serving. A status of its own: the host counts these.
    case durabilityLost = 70
  }

  /// How long a start waits for a killed predecessor's last writes, in milliseconds: they were
  /// measured to retire within 79 ms; a slow device may need seconds.
  package static let leaseWaitMilliseconds = 5_000

  /// Runs the shard until it is told to stop. Messages go to stderr, one line each.
  package static func run(_ configuration: ShardConfiguration, control: Socket) -> Status {
    configuration.limits.check()
    penstock_ignore_write_signals()
    _ = penstock_set_nonblocking(control.descriptor, true)
    var configuration = configuration
    configuration.limits.shardCount = configuration.shardCount
    let memory = ShardMemory(configuration.limits)
    let name = "shard \(configuration.log.value)"
    switch configuration.backend {
    case .auto:
      do throws(BackendError) {
        let ring = try Ring(memory, configuration.limits)
        configuration.tell(name, "io_uring (\(ring.flagsDescription))")
        return serve(ring, memory, configuration, control, backend: 1)
      } catch {
        return fallBack(memory, configuration, control, because: error.description)
      }
    case .ring:
      do throws(BackendError) {
        let ring = try Ring(memory, configuration.limits)
        configuration.tell(name, "io_uring (\(ring.flagsDescription)), as asked")
        return serve(ring, memory, configuration, control, backend: 1)
      } catch {
        configuration.tell(name, "\(error); without --io ring the epoll backend would be used")
        abandon(configuration, lease: configuration.lease?.file)
        return .failed
      }
    case .poll:
      return fallBack(memory, configuration, control, because: "as asked")
    }
  }

  private static func fallBack(
    _ memory: consuming ShardMemory, _ configuration: ShardConfiguration, _ control: Socket,
    because reason: String
  ) -> Status {
    let name = "shard \(configuration.log.value)"
    do throws(BackendError) {
      let poller = try Poller(memory, configuration.limits)
      configuration.tell(name, "epoll and a writer thread, \(reason)")
      return serve(poller, memory, configuration, control, backend: 2)
    } catch {
      configuration.tell(name, "the epoll backend failed: \(System.message(for: error.code))")
      abandon(configuration, lease: configuration.lease?.file)
      return .failed
    }
  }

  private static func serve<Machine: IO & ~Copyable>(
    _ io: consuming Machine, _ memory: consuming ShardMemory, _ configuration: ShardConfiguration,
    _ control: Socket, backend: UInt64
  ) -> Status {
    let name = "shard \(configuration.log.value)"
    var io = io
    var unkept: File?
    do {
      let lease =
        try configuration.lease
        ?? Lease.acquire(
          io.files, configuration.layout, configuration.log, waiting: leaseWaitMilliseconds)
      unkept = lease.file
      try io.files.makeFolderIfMissing(StoreLayout.pages(configuration.store))
      var statistics = try openStatistics(configuration, epoch: lease.epoch)
      var frontier = try openFrontier(configuration, epoch: lease.epoch)
      statistics[.backend] = backend
      statistics[.isServing] = 0
      let publishedBefore = frontier.sequence
      let recovered = try Recovery.run(
        io.files, configuration.layout, store: configuration.store, log: configuration.log,
        archivedThrough: configuration.archivedThrough,
        coveredThrough: configuration.coveredThrough,
        frontier: publishedBefore > .none ? publishedBefore : nil,
        segmentByteCount: configuration.segmentByteCount,
        producerCountMax: configuration.limits.producerCountMax)
      for damage in recovered.damage { configuration.tell(name, "recovery: \(damage)") }
      frontier.reset()
      unkept = nil
      try io.keep(lease.file, in: FileSlot(0))
      var shard = try Shard(
        io: io, memory: memory, configuration: configuration, control: control,
        statistics: statistics, frontier: frontier, recovered: recovered)
      configuration.tell(
        name,
        "serving from segment \(recovered.header.name.fileName), "
          + "durable up to \(recovered.lastDurableSequence.value), recovery took "
          + "\(recovered.durationNanoseconds / 1_000_000) ms")
      return end(shard.run(), name, configuration.tell)
    } catch let error as Lease.Failure {
      configuration.tell(name, error.description)
      abandon(configuration, lease: nil)
      return .leaseHeld
    } catch {
      configuration.tell(name, "cannot start: \(error)")
      abandon(configuration, lease: unkept)
      return .failed
    }
  }

  /// Closes what was given to a shard that does not start.
  private static func abandon(_ configuration: ShardConfiguration, lease: File?) {
    for socket in configuration.connections { _ = penstock_close(socket.descriptor) }
    if let lease { LinuxFileSystem().close(lease) }
  }

  private static func openStatistics(_ configuration: ShardConfiguration, epoch: UInt64)
    throws(FileError) -> Statistics
  {
    Statistics(
      try SharedPage(
        creating: configuration.layout.statisticsPage(configuration.store, configuration.log),
        magic: Statistics.magic, boot: System.bootIdentifier(), epoch: epoch,
        valueCount: Statistics.valueCount))
  }

  private static func openFrontier(_ configuration: ShardConfiguration, epoch: UInt64)
    throws(FileError) -> Frontier
  {
    Frontier(
      try SharedPage(
        creating: configuration.layout.frontierPage(configuration.store, configuration.log),
        magic: Frontier.magic, boot: System.bootIdentifier(), epoch: epoch,
        valueCount: Frontier.valueCount))
  }

  private static func end(_ end: ShardEnd, _ name: String, _ say: Notices) -> Status {
    switch end {
    case .stopped:
      say(name, "stopped: everything received is durable and answered")
      return .stopped
    case .stoppedShort:
      say(
        name,
        "stopped at the deadline: what had been received and was not durable by then is neither "
          + "stored nor acknowledged, and counts as lost at the next start")
      return .stopped
    case .orphaned:
      say(name, "the host is gone")
      return .stopped
    case .durabilityLost(let batch, let code):
      say(
        name,
        "durability lost: writing batch \(batch.value) failed: \(System.message(for: -code)); "
          + "nothing was acknowledged after it, recovery decides what is there")
      return .durabilityLost
    case .failed(let error):
      say(name, "the loop failed: \(error)")
      return .failed
    }
  }

  /// One line to stderr, written at once. On a terminal it takes the place of the host's live line.
  package static func say(_ name: String, _ text: String) {
    let erasure = penstock_is_terminal(2) ? "\r\u{1B}[K" : ""
    let line = Array("\(erasure)penstock: \(name): \(text)\n".utf8)
    _ = unsafe line.withUnsafeBytes {
      unsafe penstock_write_line($0.baseAddress, $0.count)
    }
  }
}

extension FileSystem {
  /// Makes a folder; one that is there already is fine.
  package func makeFolderIfMissing(_ path: String) throws(FileError) {
    do throws(FileError) {
      try makeDirectory(path)
    } catch {
      if error.code != System.exists { throw error }
    }
  }
}
