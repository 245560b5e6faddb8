import PenstockCore
import Testing

struct SegmentFileTests {
  private let header = SegmentHeader(
    name: SegmentName(log: LogNumber(0x0c), number: SegmentNumber(0x17)),
    store: StoreIdentifier(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff),
    salt: 0x9a8b_7c6d_5e4f_3a2b, alignment: 4096, byteCount: 4 << 20)

  private func read(_ bytes: [UInt8]) -> SegmentHeader.Reading { SegmentHeader.read(bytes.rawSpan) }

  /// A header line sealed as any version seals it.
  private func sealed(_ line: String) -> [UInt8] {
    let sum = Array(line.utf8).rawSpan.checksum()
    return Array((line + " crc=" + Hexadecimal.text(UInt64(sum), digits: 8) + "\n").utf8)
  }

  @Test func `the header is the text of the grammar, and reads back`() {
    #expect(header.text.utf8.count == SegmentHeader.textByteCount)
    #expect(
      header.text.hasPrefix(
        "#penstock segment=0000000000000017 log=0c version=1 "
          + "store=00112233445566778899aabbccddeeff salt=9a8b7c6d5e4f3a2b align=00001000 "
          + "size=0000000000400000 crc="))
    #expect(read(Array(header.text.utf8)) == .header(header))
    #expect(read(Array(header.text.utf8) + [10, 10, 35]) == .header(header))
  }

  @Test func `every flipped bit and every truncation is damage`() {
    let bytes = Array(header.text.utf8)
    for index in bytes.indices {
      #expect(read(Array(bytes[..<index])) == .damaged)
      for bit in 0..<8 {
        var flipped = bytes
        flipped[index] ^= 1 << UInt8(bit)
        #expect(read(flipped) == .damaged, "byte \(index), bit \(bit)")
      }
    }
    #expect(read([]) == .damaged)
    #expect(read([UInt8](repeating: 10, count: 4096)) == .damaged)
  }

  @Test func `a newer version is known by its checksum, whatever else its line holds`() {
    let prefix = "#penstock segment=0000000000000017 log=00 version="
    #expect(read(sealed(prefix + "2 whatever=else")) == .newerVersion(2))
    #expect(read(sealed(prefix + "12345 x")) == .newerVersion(12345))
    #expect(read(sealed(prefix + "2")) == .newerVersion(2))
    #expect(read(sealed(prefix + "123456 x")) == .damaged)
    #expect(read(sealed(prefix + "0 x")) == .damaged)
    var broken = sealed(prefix + "2 whatever=else")
    broken[55] ^= 1
    #expect(read(broken) == .damaged)
  }

  @Test func `sizes no segment can have are refused though the checksum holds`() {
    func line(_ align: String, _ size: String) -> [UInt8] {
      sealed(
        "#penstock segment=0000000000000017 log=0c version=1 "
          + "store=00112233445566778899aabbccddeeff salt=9a8b7c6d5e4f3a2b align=\(align) size=\(size)"
      )
    }
    #expect(read(line("00001000", "0000000000400000")) == .header(header))
    for (align, size) in [
      ("00000000", "0000000000400000"), ("00000800", "0000000000400000"),
      ("00001800", "0000000000400000"), ("00200000", "0000000000400000"),
      ("ffffffff", "0000000000400000"), ("00001000", "0000000000400001"),
      ("00001000", "fffffffffffff000"),
    ] { #expect(read(line(align, size)) == .damaged, "\(align) \(size)") }
  }

  @Test func `file names read back, and nothing else does`() {
    let name = header.name
    #expect(name.fileName == "0c-0000000000000017.log")
    #expect(SegmentName(fileName: name.fileName) == name)
    for other in [
      "", "0c-0000000000000017", "0C-0000000000000017.log", "0c_0000000000000017.log",
      "0c-000000000000017.log", "0c-0000000000000017.lox", "0c-0000000000000017.log ",
      "0c-000000000000001G.log", "00.lock", "é-0000000000000017.log",
    ] { #expect(SegmentName(fileName: other) == nil, "\(other)") }
  }

  @Test func `segments sort by log and number`() {
    let names = [(1, 1), (0, 9), (0, 10)].map {
      SegmentName(log: LogNumber(UInt8($0.0)), number: SegmentNumber(UInt64($0.1)))
    }
    #expect(names.sorted() == [names[1], names[2], names[0]])
  }

  @Test func `a store's name is 32 lower-case digits`() {
    #expect(StoreIdentifier(text: header.store.text) == header.store)
    for text in ["", "00", header.store.text + "0", header.store.text.uppercased()] {
      #expect(StoreIdentifier(text: text) == nil)
    }
  }
}
