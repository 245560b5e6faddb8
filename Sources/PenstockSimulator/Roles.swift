// The other roles of a store, as processes of the simulation: they use the production code on the
// same disk and are killed in the middle of it.

internal import PenstockArchive
internal import PenstockCore

/// The preparer and the archiver.
struct Roles {
  private var random: SeededRandom
  private let layout: StoreLayout
  private(set) var passCount = 0
  private(set) var joinCount = 0
  private(set) var killedCount = 0
  /// Whether bits were turned at rest: damage is reported then.
  private(set) var rottenIsExpected = false

  /// Prepared segments kept ahead of the shard.
  private static let aheadCount = 2
  /// Memory of an archiver's run, in bytes: several runs make a pass.
  private static let runByteCount = 64 << 10
  /// Steps of joining tables after a pass, at most.
  private static let joinStepCountMax = 200
  private let tableByteCountMax: Int
  private var readFinding: Finding?

  init(random: SeededRandom, layout: StoreLayout) {
    var random = random
    tableByteCountMax = random.chance(50) ? 1 << 30 : random.within(4 << 10...32 << 10)
    self.random = random
    self.layout = layout
  }

  private func numbers(_ world: World) -> [UInt64] {
    world.disk.paths.compactMap { path in
      guard path.hasPrefix(layout.live + "/00-"), path.hasSuffix(".log") else { return nil }
      return UInt64(path.dropFirst(layout.live.utf8.count + 4).dropLast(4), radix: 16)
    }
  }

  /// Makes one more segment ready when too few are.
  mutating func prepare(_ world: World, _ store: StoreIdentifier, process: Int) {
    let all = numbers(world)
    let active = world.activeNumber
    guard all.count(where: { $0 > active }) < Roles.aheadCount else { return }
    let files = SimulatedFiles(world.disk, process: process)
    if random.chance(15) { world.disk.kill(process, afterOperations: random.within(1...40)) }
    if random.chance(10) { world.disk.fail(process, afterOperations: random.within(1...40)) }
    let name = SegmentName(
      log: LogNumber(0), number: SegmentNumber(max(all.max() ?? 0, active) + 1))
    let isFilled = random.chance(60)
    let byteCount = 4096 * random.within(8...32)
    do throws(FileError) {
      _ = try SegmentPreparation.prepare(
        files, layout, name: name, store: store, byteCount: byteCount, isFilled: isFilled)
    } catch {
      // Killed, without room or on a broken device: what it left counts as empty, unless its
      // header was written.
      killedCount += 1
    }
    world.disk.kill(process)
  }

  /// One pass of the archiver, and what there is to be joined.
  /// - Parameter read: what a reader does meanwhile.
  mutating func archive(
    _ world: World, _ store: StoreIdentifier, process: Int, read: () throws(Finding) -> Void
  ) throws(Finding) {
    let files = SimulatedFiles(world.disk, process: process)
    let isKilled = random.chance(35)
    let isBroken = !isKilled && random.chance(20)
    if isKilled { world.disk.kill(process, afterOperations: random.within(1...200)) }
    if isBroken { world.disk.fail(process, afterOperations: random.within(1...200)) }
    do throws(ArchiveError) {
      var archiver = try Archiver(
        files, layout, store: store, settings: settings, runByteCountMax: Roles.runByteCount)
      let pass = try archiver.pass(now: Roles.now)
      if pass.segmentCount > 0 { passCount += 1 }
      if random.chance(30) { try join(&archiver, read) }
      // A segment nobody used may have lost its name with the power.
      if !rottenIsExpected,
        let loss = pass.damage.first(where: {
          $0.isLoss && !$0.isTail && $0.kind != .missingSegment
        })
      {
        throw ArchiveError.file(FileError(.read, "\(loss)", code: 0))
      }
    } catch {
      if let readFinding {
        world.disk.kill(process)
        throw readFinding
      }
      let isExpected = isKilled || isBroken || "\(error)".contains("No space")
      guard isExpected else {
        world.disk.kill(process)
        throw Finding("archiving failed: \(error)")
      }
      killedCount += 1
    }
    world.disk.kill(process)
  }

  /// Every bucket is closed and settled: whatever can be joined is.
  private static let now = Timestamp(seconds: 4_000_000_000, nanoseconds: 0)

  private var settings: ArchiveSettings {
    var settings = ArchiveSettings()
    settings.settleNanoseconds = 0
    settings.tableByteCountMax = tableByteCountMax
    return settings
  }

  private mutating func join(
    _ archiver: inout Archiver<SimulatedFiles>, _ read: () throws(Finding) -> Void
  ) throws(ArchiveError) {
    for _ in 0..<Roles.joinStepCountMax {
      if random.chance(5) {
        do throws(Finding) {
          try read()
        } catch {
          readFinding = error
          throw ArchiveError.file(FileError(.read, "\(error)", code: 0))
        }
      }
      switch try archiver.merge(now: Roles.now) {
      case .nothing: return
      case .joined: joinCount += 1
      case .working, .refused: continue
      }
    }
  }

  // MARK: - Rot

  /// Turns a bit in a batch, or in the header, of a segment that others follow.
  /// - Returns: the marks of the events that may be gone.
  mutating func rot(_ world: World) -> [Mark] {
    let paths = numbers(world).sorted().map {
      layout.segment(SegmentName(log: LogNumber(0), number: SegmentNumber($0)))
    }.filter { path in
      world.disk.bytes(path).map { bytes in
        stride(from: 4096, to: bytes.count, by: 4096).contains { SeenBatch(bytes, at: $0) != nil }
      } ?? false
    }
    // What the newest segments hold may not be proved, and then it is a tail.
    guard paths.count > 3 else { return [] }
    let path = paths[random.below(paths.count - 3)]
    guard let bytes = world.disk.bytes(path) else { return [] }
    rottenIsExpected = true
    if random.chance(20) {
      world.disk.flipBit(of: path, at: random.below(SegmentHeader.textByteCount))
      return []
    }
    let batches = stride(from: 4096, to: bytes.count, by: 4096).compactMap { offset in
      SeenBatch(bytes, at: offset).map { (offset, $0) }
    }
    let (offset, batch) = batches[random.below(batches.count)]
    let end = min(bytes.count, offset + batch.lineByteCount + batch.byteCount)
    world.disk.flipBit(of: path, at: random.within(offset...(end - 1)))
    return bytes[(offset + batch.lineByteCount)..<end].split(separator: 0x0A).compactMap { line in
      guard let tab = line.firstIndex(of: 0x09) else { return nil }
      return Mark(Array(line[(tab + 1)...]))
    }
  }

  /// How far the archive covers the log, by the manifest.
  func coverage(_ files: SimulatedFiles) throws(FileError) -> Coverage {
    do throws(ManifestError) {
      let manifest = try Manifest.read(files, layout)
      return Coverage(
        segment: manifest.archivedThrough(LogNumber(0)),
        sequence: manifest.coveredThrough(LogNumber(0)))
    } catch {
      throw World.died
    }
  }

  /// The newest segment before `name` that holds a batch, and where its last one ends.
  func endOfOlderSegment(_ world: World, before name: SegmentName)
    -> (header: SegmentHeader, offset: Int)?
  {
    for number in numbers(world).sorted().reversed() where number < name.number.value {
      let older = SegmentName(log: name.log, number: SegmentNumber(number))
      guard let bytes = world.disk.bytes(layout.segment(older)),
        case .header(let header) = SegmentHeader.read(bytes.rawSpan)
      else { continue }
      var end = 0
      for offset in stride(from: header.alignment, to: bytes.count, by: header.alignment) {
        guard let batch = SeenBatch(bytes, at: offset) else { continue }
        let whole = batch.lineByteCount + batch.byteCount
        end = offset + (whole + header.alignment - 1) / header.alignment * header.alignment
      }
      if end > 0, end < header.byteCount { return (header, end) }
    }
    return nil
  }
}
