import PenstockArchive
import PenstockCore
import Testing

@Suite struct NumberColumnTests {
  private func encode(_ values: [UInt64], _ effort: TableEffort, units: [UInt64] = []) -> [UInt8] {
    var numbers = NumberBuffer()
    for value in values { numbers.append(value) }
    var encoder = NumberEncoder()
    var buffer = ColumnBuffer(capacity: 64)
    encoder.encode(numbers, 0..<values.count, effort, units: units, into: &buffer)
    return buffer.bytes.array()
  }

  private func decode(_ bytes: [UInt8], _ count: Int) -> [UInt64]? {
    var values = NumberBuffer()
    var reader = NumberReader(0..<bytes.count)
    guard reader.numbers(bytes.rawSpan, count: count, into: &values), reader.isAtEnd else {
      return nil
    }
    return (0..<values.count).map { values[$0] }
  }

  private func expectSame(_ values: [UInt64], _ name: String, units: [UInt64] = []) {
    for effort in [TableEffort.fast, .thorough] {
      let bytes = encode(values, effort, units: units)
      let isSame = decode(bytes, values.count) == values
      #expect(isSame, "\(name), \(values.count) numbers")
    }
  }

  /// Numbers of many kinds.
  private func random(_ kind: Int, _ count: Int, _ random: inout TestRandom) -> [UInt64] {
    var last = UInt64.random(in: 0...(.max), using: &random)
    return (0..<count).map { index in
      switch kind {
      case 0: return 7
      case 1: return UInt64.random(in: 0...(.max), using: &random)
      case 2: return UInt64.random(in: 0...9, using: &random)
      case 3:
        last &+= UInt64.random(in: 0...3, using: &random)
        return last
      case 4:
        last &-= 1_000_000
        return last
      case 5: return random.chance(3) ? .max : UInt64(index & 1)
      case 6: return [.max, 0, 1 << 63, 12_345][Int.random(in: 0..<4, using: &random)]
      case 7: return UInt64.max >> UInt64.random(in: 0...63, using: &random)
      case 8: return index == count / 2 ? 1 : 1_000
      default: return UInt64(index) * (index == count - 1 ? 3 : 2)
      }
    }
  }

  @Test(arguments: 0..<10)
  func `numbers of every kind come back`(kind: Int) {
    var random = TestRandom(seed: UInt64(kind))
    for count in [0, 1, 2, 3, 8, 9, 63, 64, 65, 500, 5000, 65_536] {
      expectSame(self.random(kind, count, &random), "kind \(kind)")
    }
  }

  @Test func `every width of bits comes back`() {
    for width in 1...64 {
      let most = UInt64.max >> UInt64(64 - width)
      expectSame((0..<100).map { $0 % 3 == 0 ? most : most / 2 + $0 }, "width \(width)")
      expectSame((0..<100).map { $0 == 50 ? most : $0 & 1 }, "one of width \(width)")
    }
  }

  @Test func `times in whole units are small`() {
    let times = (0..<1000).map { UInt64(1_795_232_872) * 1_000_000_000 + $0 * $0 % 777 * 1_000_000 }
    expectSame(times, "milliseconds", units: NumberEncoder.timeUnits)
    expectSame(times.map { 0 &- $0 }, "before 1970", units: NumberEncoder.timeUnits)
    expectSame(times + [times[0] + 1], "but one", units: NumberEncoder.timeUnits)
    let byteCount = encode(times, .fast, units: NumberEncoder.timeUnits).count
    #expect(byteCount < 1600, "\(byteCount)")
    let steady = (0..<5000).map { UInt64(1_795_232_872) * 1_000_000_000 + $0 * 1_000_000 }
    #expect(encode(steady, .fast, units: NumberEncoder.timeUnits).count < 24)
  }

  @Test func `cut short, or with a bit flipped, numbers never trap`() {
    var random = TestRandom(seed: 5)
    for kind in 0..<10 {
      let values = self.random(kind, 40, &random)
      let bytes = encode(values, kind % 2 == 0 ? .fast : .thorough)
      for count in bytes.indices { #expect(decode(Array(bytes[..<count]), 40) == nil) }
      for offset in bytes.indices {
        for bit in 0..<8 {
          var flipped = bytes
          flipped[offset] ^= 1 << UInt8(bit)
          _ = decode(flipped, 40)
        }
      }
    }
  }
}
