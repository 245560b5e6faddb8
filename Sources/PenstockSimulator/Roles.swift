// The other roles of a store, as processes of the simulation: they use the production code on the
// same disk and are killed in the middle of it.

internal import PenstockArchive
internal import PenstockCore

/// The preparer and the archiver.
struct Roles {
  private var random: SeededRandom
  private let layout: StoreLayout
  private(set) var passCount = 0
  private(set) var killedCount = 0

  /// Prepared segments kept ahead of the shard.
  private static let aheadCount = 2
  /// Memory of an archiver's run, in bytes: several runs make a pass.
  private static let runByteCount = 64 << 10

  init(random: SeededRandom, layout: StoreLayout) {
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
    let name = SegmentName(
      log: LogNumber(0), number: SegmentNumber(max(all.max() ?? 0, active) + 1))
    let isFilled = random.chance(60)
    let byteCount = 4096 * random.within(8...32)
    do throws(FileError) {
      _ = try SegmentPreparation.prepare(
        files, layout, name: name, store: store, byteCount: byteCount, isFilled: isFilled)
    } catch {
      // Killed: what it left is a file without a header, which counts as empty.
      killedCount += 1
    }
    world.disk.kill(process)
  }

  /// One pass of the archiver.
  mutating func archive(_ world: World, _ store: StoreIdentifier, process: Int) throws(Finding) {
    let files = SimulatedFiles(world.disk, process: process)
    let isKilled = random.chance(40)
    if isKilled { world.disk.kill(process, afterOperations: random.within(1...200)) }
    do throws(ArchiveError) {
      var archiver = try Archiver(
        files, layout, store: store, runByteCountMax: Roles.runByteCount)
      let pass = try archiver.pass()
      if pass.segmentCount > 0 { passCount += 1 }
      if let loss = pass.damage.first(where: { $0.isLoss && !$0.isTail }) {
        throw ArchiveError.file(FileError(.read, "\(loss)", code: 0))
      }
    } catch {
      guard isKilled, "\(error)".contains(System.message(for: SimulatedFiles.killedCode)) else {
        world.disk.kill(process)
        throw Finding("archiving failed: \(error)")
      }
      killedCount += 1
    }
    world.disk.kill(process)
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
