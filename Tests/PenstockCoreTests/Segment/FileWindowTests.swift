import PenstockCore
import Testing

struct FileWindowTests {
  private let path = "f"

  private func files(_ count: Int, alignment: Int = 4096) -> (MemoryFileSystem, [UInt8]) {
    let files = MemoryFileSystem(alignment: alignment)
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
    files.put(path, bytes)
    return (files, bytes)
  }

  @Test(arguments: [0, 4096, 65536], [true, false])
  func `any part of a file is read, in any order`(_ alignment: Int, _ pastCache: Bool) throws {
    let (files, bytes) = files(3_000_001, alignment: alignment)
    var window = FileWindow(files, readsPastCache: pastCache)
    try window.open(path)
    #expect(window.fileByteCount == bytes.count)
    for offset in [0, 1, 4095, 1 << 20, (1 << 20) - 1, 2_999_999, 17, 3_000_000] {
      let end = try window.hold(offset, count: 2)
      let wanted = min(offset + 2, bytes.count)
      #expect(end >= wanted)
      let got = window.bytes(offset..<wanted).array()
      #expect(got == Array(bytes[offset..<wanted]))
    }
    #expect(try window.hold(5_000_000) <= bytes.count)
  }

  @Test func `blocks the medium refuses read as a byte nothing is made of`() throws {
    let (files, bytes) = files(100_000)
    files.breakMedium(path, 8192..<20000)
    var window = FileWindow(files, readsPastCache: true)
    try window.open(path)
    _ = try window.hold(0)
    let got = window.bytes(0..<100_000).array()
    #expect(Array(got[..<8192]) == Array(bytes[..<8192]))
    #expect(got.isAll(0xFF, in: 8192..<20480))
    #expect(Array(got[20480...]) == Array(bytes[20480...]))
    try window.checkReadable()
  }

  @Test func `a file of which nothing can be read is an error`() throws {
    let (files, _) = files(100_000)
    files.breakMedium(path, 0..<100_000)
    var window = FileWindow(files, readsPastCache: true)
    try window.open(path)
    _ = try window.hold(0)
    var failed = false
    do throws(FileError) { try window.checkReadable() } catch { failed = error.operation == .read }
    #expect(failed)
  }

  @Test func `a file that shrinks while it is read ends where it ends`() throws {
    let (files, bytes) = files(3 << 20)
    var window = FileWindow(files, readsPastCache: false)
    try window.open(path)
    files.put(path, Array(bytes[..<10_000]))
    #expect(try window.hold(9_000) == 10_000)
    #expect(try window.hold(2 << 20) <= 2 << 20)
    #expect(window.fileByteCount <= 2 << 20)
  }

  @Test func `an empty file holds nothing`() throws {
    let files = MemoryFileSystem()
    files.put(path, [])
    var window = FileWindow(files, readsPastCache: true)
    try window.open(path)
    #expect(try window.hold(0) == 0)
    try window.checkReadable()
    window.close()
    #expect(files.openCount == 0)
  }
}
