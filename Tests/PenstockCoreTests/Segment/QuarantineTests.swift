import PenstockCore
import Testing

struct QuarantineTests {
  private let name = SegmentName(log: LogNumber(0), number: SegmentNumber(1))

  private func damage(_ range: Range<Int>) -> Damage {
    Damage(.rot, name, range: range, hasBytes: true)
  }

  @Test func `damaged bytes are copied under their segment and offset`() throws {
    let small = SmallLog()
    let copied = try Quarantine.copy(small.log.files, small.log.layout, damage(5000..<9001))
    let path = try #require(copied.copy)
    #expect(path == "store/quarantine/00-0000000000000001-0000000000001388.bytes")
    #expect(small.log.files.bytes(path) == Array(small.log.bytes(1)[5000..<9001]))
    #expect(small.log.restarted(.dropsAll).files.bytes(path) == small.log.files.bytes(path))
    #expect(copied.description.contains("copied to " + path))
  }

  @Test func `a copy that is there is not written again`() throws {
    let small = SmallLog()
    let path = Quarantine.path(small.log.layout, name, offset: 5000)
    small.log.files.put(path, [1])
    let copied = try Quarantine.copy(small.log.files, small.log.layout, damage(5000..<6000))
    #expect(copied.copy == path)
    #expect(small.log.files.bytes(path) == [1])
  }

  @Test func `a finding without bytes is not copied`() throws {
    let small = SmallLog()
    let lost = Damage(.rot, name, range: 4096..<4096)
    #expect(try Quarantine.copy(small.log.files, small.log.layout, lost) == lost)
    let foreign = Damage(foreign: "x")
    #expect(try Quarantine.copy(small.log.files, small.log.layout, foreign) == foreign)
  }

  @Test func `a copy cut short is made again, and never has its name before it is whole`() throws {
    for operation in 1... {
      let small = SmallLog()
      small.log.files.fail(.from(operation))
      let copied = try? Quarantine.copy(small.log.files, small.log.layout, damage(4096..<9000))
      let after = small.log.restarted(.random(seed: UInt64(operation)))
      let path = Quarantine.path(after.layout, name, offset: 4096)
      if let bytes = after.files.bytes(path) {
        #expect(bytes == Array(small.log.bytes(1)[4096..<9000]))
      }
      _ = try Quarantine.copy(after.files, after.layout, damage(4096..<9000))
      #expect(after.files.bytes(path) == Array(small.log.bytes(1)[4096..<9000]))
      #expect(after.files.openCount == 0)
      if copied != nil, small.log.files.operationCount < operation { return }
    }
  }

  @Test func `a range behind the end of the file is copied as far as it goes`() throws {
    let small = SmallLog()
    let copied = try Quarantine.copy(
      small.log.files, small.log.layout, damage(20_000..<(1 << 40)))
    let path = try #require(copied.copy)
    #expect(small.log.files.bytes(path) == Array(small.log.bytes(1)[20_000...]))
  }
}
