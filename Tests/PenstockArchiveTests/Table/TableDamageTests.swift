import PenstockArchive
import PenstockCore
import Testing

@Suite struct TableDamageTests {
  private static let path = "/table"

  private func small(_ seed: UInt64, streamCount: Int = 4) throws -> ([ModelEvent], [UInt8]) {
    var random = TestRandom(seed: seed)
    var shape = ModelShape()
    shape.eventCount = 24
    shape.streamCount = streamCount
    shape.payloadByteCountMax = 30
    let events = try ModelEvent.random(shape, &random)
    let files = MemoryFileSystem()
    _ = try ModelEvent.write(
      events, files, path: Self.path, effort: seed % 2 == 0 ? .fast : .thorough)
    return (events, try #require(files.bytes(Self.path)))
  }

  /// Whether the damage is noticed, and, unless its checksums were made right again, everything
  /// that is still given is true.
  private func isNoticed(_ bytes: [UInt8], _ events: [ModelEvent], isForged: Bool = false) throws
    -> Bool
  {
    let files = MemoryFileSystem()
    files.put(Self.path, bytes)
    defer { #expect(files.openCount == 0) }
    do throws(TableError) {
      let table = try TableReader(files, path: Self.path)
      var isNoticed = try !table.verify().isEmpty
      var block = TableBlock()
      for index in table.blocks.indices {
        do throws(TableError) {
          try table.load(index, into: &block)
          for row in 0..<block.rowCount {
            let key = block.key(row)
            if !isForged { #expect(events.contains { $0.key == key }) }
          }
        } catch {
          isNoticed = true
        }
      }
      return isNoticed
    } catch {
      return true
    }
  }

  @Test func `a truncated table is noticed and never traps`() throws {
    let (events, bytes) = try small(1)
    for count in 0..<bytes.count where count % 3 == 0 || count > bytes.count - 200 {
      #expect(try isNoticed(Array(bytes.prefix(count)), events), "cut at \(count)")
    }
    #expect(try !isNoticed(bytes, events))
    #expect(try isNoticed(bytes + [0], events))
  }

  @Test func `a flipped bit in any byte is noticed and never traps`() throws {
    let (events, bytes) = try small(2)
    var random = TestRandom(seed: 2)
    for offset in bytes.indices {
      let bit = UInt8.random(in: 0...7, using: &random)
      var flipped = bytes
      flipped[offset] ^= 1 << bit
      let isNoticed = try isNoticed(flipped, events)
      // A damaged header costs nothing: the manifest, too, says whose the table is.
      if offset >= 64 { #expect(isNoticed, "byte \(offset), bit \(bit)") }
    }
  }

  @Test func `random bytes under a right checksum never trap`() throws {
    let (events, bytes) = try small(3)
    var random = TestRandom(seed: 99)
    for _ in 0..<600 {
      var damaged = bytes
      let parts = parts(of: bytes)
      let part = try #require(parts.randomElement(using: &random))
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let offset = Int.random(in: (part.lowerBound + 4)..<part.upperBound, using: &random)
        damaged[offset] = UInt8.random(in: 0...255, using: &random)
      }
      seal(part, &damaged)
      // What is not noticed was proved by the hash of the events: nothing is lost or untrue.
      if try !isNoticed(damaged, events, isForged: true) {
        #expect(try !isNoticed(damaged, events))
      }
    }
  }

  @Test func `without its footer a table still gives every event`() throws {
    let (events, bytes) = try small(4)
    var damaged = bytes
    for offset in (bytes.count - 90)..<bytes.count { damaged[offset] ^= 0xFF }
    let files = MemoryFileSystem()
    files.put(Self.path, damaged)
    let table = try TableReader(files, path: Self.path)
    #expect(table.damage.first?.fault == .damagedFooter)
    var block = TableBlock()
    var count = 0
    for index in table.blocks.indices {
      try table.load(index, into: &block)
      count += block.rowCount
    }
    #expect(count == events.count)
  }

  @Test(arguments: [UInt64.max, 1 << 63, 1 << 32, 0])
  func `a trailer that tells an impossible number of streams is damaged`(count: UInt64) throws {
    let (events, whole) = try small(6)
    var bytes = whole
    let trailer = bytes.count - 64
    for index in 0..<8 {
      bytes[trailer + 32 + index] = UInt8(truncatingIfNeeded: count >> UInt64(8 * index))
    }
    put(Array(bytes[trailer..<(trailer + 60)]).rawSpan.checksum(), trailer + 60, &bytes)
    let files = MemoryFileSystem()
    files.put(Self.path, bytes)
    let table = try TableReader(files, path: Self.path)
    #expect(table.damage.first?.fault == .damagedFooter)
    #expect(table.eventCount == UInt64(events.count))
  }

  @Test func `a damaged block costs its events, and says which`() throws {
    var random = TestRandom(seed: 5)
    var shape = ModelShape()
    shape.eventCount = 6000
    shape.streamCount = 40
    let events = try ModelEvent.random(shape, &random)
    let files = MemoryFileSystem()
    _ = try ModelEvent.write(events, files, path: Self.path)
    var bytes = try #require(files.bytes(Self.path))
    let entry = try TableReader(files, path: Self.path).blocks[1]
    bytes[entry.place.lowerBound + 100] ^= 1
    files.put(Self.path, bytes)
    let errors = try TableReader(files, path: Self.path).verify()
    let error = try #require(errors.first)
    guard case .damagedBlock(let index, let streams, let times) = error.fault else {
      Issue.record("\(error)")
      return
    }
    #expect(index == 1)
    #expect(!streams.isEmpty && times.contains(entry.earliest.text))
    #expect(errors.count == 1)
  }

  // MARK: - Parts

  private func word(_ bytes: [UInt8], _ offset: Int) -> Int {
    (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
  }

  private func parts(of bytes: [UInt8]) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var offset = 64
    while offset + 64 < bytes.count {
      let end = offset + 24 + word(bytes, offset + 12)
      parts.append(offset..<end)
      offset = end
    }
    return parts
  }

  private func seal(_ part: Range<Int>, _ bytes: inout [UInt8]) {
    let head = Array(bytes[part.lowerBound..<(part.lowerBound + 20)]).rawSpan.checksum()
    let sum = Array(bytes[(part.lowerBound + 24)..<part.upperBound]).rawSpan.checksum(seed: head)
    put(sum, part.lowerBound + 20, &bytes)
  }

  private func put(_ sum: UInt32, _ offset: Int, _ bytes: inout [UInt8]) {
    for index in 0..<4 {
      bytes[offset + index] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * index))
    }
  }
}
