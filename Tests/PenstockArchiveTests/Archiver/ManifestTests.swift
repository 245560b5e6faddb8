import PenstockArchive
import PenstockCore
import Testing

@Suite struct ManifestTests {
  private let layout = StoreLayout(root: "/store")
  private let store = StoreIdentifier(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)

  private func table(_ number: UInt64, _ folder: String = "2026-11-21") -> TableEntry {
    TableEntry(
      name: "\(folder)/\(Hexadecimal.text(number << 8, digits: 16)).table",
      eventCount: 1000 + number,
      byteCount: 4096, hash: 0x0123_4567_89ab_cdef,
      earliest: Timestamp(seconds: 1_795_232_872, nanoseconds: 1),
      latest: Timestamp(seconds: 1_795_232_900, nanoseconds: 999_999_999),
      lateCount: number == 3 ? 5 : 0,
      written: number == 1 ? nil : Timestamp(seconds: 1_795_233_000, nanoseconds: 0),
      received: number == 3 ? Timestamp(seconds: 1_795_232_999, nanoseconds: 5) : nil,
      mergeCount: number == 3 ? 1 : 0)
  }

  private func edits() throws -> [ManifestEdit] {
    var first = ManifestEdit()
    first.added = [table(1), table(2, "mixed")]
    first.covered = [
      LogNumber(0): Coverage(segment: SegmentNumber(3), sequence: SequenceNumber(77))
    ]
    var second = ManifestEdit()
    second.covered = [
      LogNumber(1): Coverage(segment: SegmentNumber(1), sequence: .none),
      LogNumber(0): Coverage(segment: SegmentNumber(4), sequence: SequenceNumber(1 << 40)),
    ]
    second.erases = [
      try Erasure(
        pattern: "a *", before: Timestamp(seconds: 1_795_000_000, nanoseconds: 0),
        through: [LogNumber(0): SequenceNumber(9), LogNumber(1): .none])
    ]
    var third = ManifestEdit()
    third.added = [table(3)]
    third.removed = [table(1).name, table(2, "mixed").name]
    return [first, second, third]
  }

  /// A manifest of all edits, and its bytes.
  private func written() throws -> [UInt8] {
    let files = MemoryFileSystem()
    var manifest = try Manifest.readDurable(files, layout)
    for edit in try edits() { try manifest.append(edit, files, layout, store: store) }
    #expect(files.openCount == 0)
    return try #require(files.bytes(layout.manifest))
  }

  private func read(_ bytes: [UInt8]) throws(ManifestError) -> Manifest {
    let files = MemoryFileSystem()
    files.put(layout.manifest, bytes)
    return try Manifest.read(files, layout)
  }

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func `its text is the golden one`() throws {
    #expect(text(try written()) == text(try golden("manifest-v2")))
  }

  @Test func `what was written is read`() throws {
    let manifest = try read(try written())
    #expect(manifest.tables == [table(3)])
    #expect(manifest.archivedThrough(LogNumber(0)) == SegmentNumber(4))
    #expect(manifest.coveredThrough(LogNumber(0)) == SequenceNumber(1 << 40))
    #expect(manifest.archivedThrough(LogNumber(1)) == SegmentNumber(1))
    #expect(manifest.archivedThrough(LogNumber(2)) == .none)
    #expect(manifest.store == store)
    #expect(manifest.nextNumber == 4)
    #expect(try Manifest.read(MemoryFileSystem(), layout).tables.isEmpty)
  }

  @Test func `a last line that was cut anywhere is no edit, and the next writer cuts it`() throws {
    let bytes = try written()
    let lines = text(bytes).split(separator: "\n", omittingEmptySubsequences: true)
    let start = bytes.count - lines[3].utf8.count - 1
    for count in start..<bytes.count {
      let files = MemoryFileSystem()
      files.put(layout.manifest, Array(bytes.prefix(count)))
      var manifest = try Manifest.read(files, layout)
      #expect(manifest.nextNumber == 3)
      #expect(manifest.tornByteCount == count - start)
      #expect(manifest.tables == [table(1), table(2, "mixed")])
      try manifest.append(try edits()[2], files, layout, store: store)
      #expect(files.bytes(layout.manifest) == bytes)
    }
  }

  @Test func `a damaged last line is no edit, damage before it is told with its line`() throws {
    let bytes = try written()
    var line = 1
    let lastStart = bytes.dropLast().lastIndex(of: Byte.lineFeed).map { $0 + 1 } ?? 0
    for offset in bytes.indices {
      var damaged = bytes
      damaged[offset] ^= 1
      if offset >= lastStart {
        #expect(try read(damaged).nextNumber == 3)
        #expect(try read(damaged).tornByteCount > 0)
      } else {
        #expect(throws: ManifestError.damaged(path: layout.manifest, line: line)) {
          try read(damaged)
        }
      }
      if bytes[offset] == Byte.lineFeed { line += 1 }
    }
  }

  @Test func `a line left out or repeated is damage`() throws {
    let lines = text(try written()).split(separator: "\n").map { String($0) + "\n" }
    for index in 1..<3 {
      var fewer = lines
      fewer.remove(at: index)
      #expect(throws: ManifestError.self) {
        try read(Array(fewer.joined().utf8) + Array(lines[3].utf8))
      }
      var more = lines
      more.insert(lines[index], at: index)
      #expect(throws: ManifestError.self) { try read(Array(more.joined().utf8)) }
    }
  }

  @Test func `only what was appended is read again, and all of it when it was written anew`() throws
  {
    let files = MemoryFileSystem()
    var writer = try Manifest.readDurable(files, layout)
    var reader = Manifest()
    try reader.refresh(files, layout)
    for edit in try edits() {
      try writer.append(edit, files, layout, store: store)
      try reader.refresh(files, layout)
      #expect(reader.tables == writer.tables && reader.nextNumber == writer.nextNumber)
      #expect(reader.coverage == writer.coverage && reader.erasures == writer.erasures)
    }
    let before = try #require(files.bytes(layout.manifest)).count
    try writer.rewrite(files, layout, store: store)
    #expect(try #require(files.bytes(layout.manifest)).count < before)
    try reader.refresh(files, layout)
    let whole = try Manifest.read(files, layout)
    for read in [reader, whole] {
      #expect(read.tables == writer.tables && read.nextNumber == writer.nextNumber)
      #expect(read.coverage == writer.coverage)
      #expect(read.erasures.map(\.key) == [2])
      #expect(read.erasures[2]?.pattern == "a *")
    }
    // No damage makes it an archive without tables: they would be taken for garbage.
    let bytes = try #require(files.bytes(layout.manifest))
    for offset in bytes.indices {
      var damaged = bytes
      damaged[offset] ^= 1
      if let read = try? self.read(damaged) { #expect(read.tables == writer.tables) }
    }
    var last = ManifestEdit()
    last.erased = [2]
    try writer.append(last, files, layout, store: store)
    try reader.refresh(files, layout)
    #expect(reader.erasures.isEmpty && reader.nextNumber == writer.nextNumber)
    #expect(files.openCount == 0)
  }

  @Test func `a manifest that was written anew survives a power cut, or the old one does`() throws {
    let files = MemoryFileSystem()
    var writer = try Manifest.readDurable(files, layout)
    for edit in try edits() { try writer.append(edit, files, layout, store: store) }
    for number in 1..<20 {
      let broken = files.restarted()
      broken.fail(.from(number), code: 5)
      var manifest = writer
      try? manifest.rewrite(broken, layout, store: store)
      broken.fail(.never)
      for seed: UInt64 in 0..<4 {
        let after = broken.restarted(.random(seed: seed))
        #expect(try Manifest.read(after, layout).tables == writer.tables)
      }
    }
  }

  @Test func `a manifest of a former version says which one it is`() throws {
    let head = "#penstock-manifest version=1 store=\(store.text)"
    let sum = Array(head.utf8).rawSpan.checksum()
    let line = "\(head) crc=\(Hexadecimal.text(UInt64(sum), digits: 8))\n"
    #expect(throws: ManifestError.formerVersion(path: layout.manifest, version: 1)) {
      try read(Array(line.utf8))
    }
  }

  @Test func `a change of a later version asks for that version`() throws {
    let bytes = try written()
    func appended(_ change: String) -> [UInt8] {
      let previous = text(bytes).suffix(9).dropLast()
      let line = "edit number=0000000000000004 \(change) prev=\(previous)"
      let seed = UInt32(previous, radix: 16) ?? 0
      let sum = Array(line.utf8).rawSpan.checksum(seed: seed)
      return bytes + Array("\(line) crc=\(Hexadecimal.text(UInt64(sum), digits: 8))\n".utf8)
    }
    #expect(throws: ManifestError.newerVersion(path: layout.manifest, line: 5)) {
      try read(appended("shine=syslog/*,before=x"))
    }
    let entry = text(bytes).split(separator: " ").last { $0.hasPrefix("add=") } ?? ""
    let more = appended(entry.replacing("0000000000000300", with: "0000000000000400") + ",late=1")
    #expect(try read(more).tables.count == 2)
    for name in ["../x", "2026/../0000000000000100.table", "/0000000000000100.table"] {
      #expect(throws: ManifestError.damaged(path: layout.manifest, line: 5)) {
        try read(appended("remove=\(name)"))
      }
    }
  }

  @Test func `an edit that did not reach the disk does not count after a restart`() throws {
    for number in 1..<40 {
      let files = MemoryFileSystem()
      files.put(layout.manifest, try written())
      var manifest = try Manifest.readDurable(files, layout)
      var edit = ManifestEdit()
      edit.added = [table(9)]
      files.fail(.from(number))
      let isDone = (try? manifest.append(edit, files, layout, store: store)) != nil
      for cut in [MemoryFileSystem.PowerCut.keepsAll, .dropsAll, .random(seed: UInt64(number))] {
        let after = try Manifest.readDurable(files.restarted(cut), layout)
        #expect(after.tables.count == 1 || after.tables.count == 2)
        if isDone { #expect(after.tables.count == 2) }
      }
      if isDone { return }
    }
    Issue.record("appending never succeeded")
  }
}
