import Testing

@testable import PenstockCore

/// What is remembered of journals, compared with a dictionary that forgets nothing.
@Suite struct JournalMemoryTests {
  @Test("what is found is right, what is not found is older than the floor", arguments: 1...12)
  func agreesWithDictionary(_ seed: UInt64) {
    var random = TestRandom(seed: seed)
    let entryCountMax = 1 << Int.random(in: 4...13, using: &random)
    let keyCount = UInt64.random(in: 1...(3 * UInt64(entryCountMax)), using: &random)
    var memory = JournalMemory(entryCountMax: entryCountMax)
    var known: [UInt64: UInt64] = [:]
    var sequence: UInt64 = 0
    for _ in 0..<40_000 {
      let first = sequence + 1
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        sequence += 1
        // Neighbouring keys fall into neighbouring places of the index.
        let key = UInt64.random(in: 0..<keyCount, using: &random)
        memory.remember(key, sequence, commit: first)
        known[key] = sequence
      }
      let asked = UInt64.random(in: 0..<keyCount, using: &random)
      switch memory.last(asked) {
      case .at(let last): #expect(last == known[asked])
      case .before: #expect(known[asked] ?? 0 <= memory.floor)
      }
    }
    for (key, last) in known {
      switch memory.last(key) {
      case .at(let found): #expect(found == last)
      case .before: #expect(last <= memory.floor)
      }
    }
  }

  @Test("as many of the newest entries as there may be are remembered")
  func remembersNewest() {
    let entryCountMax = 1 << 14
    var memory = JournalMemory(entryCountMax: entryCountMax)
    for sequence in 1...UInt64(5 * entryCountMax) {
      memory.remember(sequence &* 0x9E37_79B9_7F4A_7C15, sequence, commit: sequence)
    }
    #expect(memory.floor == UInt64(4 * entryCountMax))
    for sequence in UInt64(4 * entryCountMax + 1)...UInt64(5 * entryCountMax) {
      #expect(memory.last(sequence &* 0x9E37_79B9_7F4A_7C15) == .at(sequence))
    }
  }

  @Test("a journal that is written to again and again takes no memory")
  func hotJournal() {
    var memory = JournalMemory()
    let atStart = memory.byteCount
    for sequence in 1...200_000 as ClosedRange<UInt64> {
      memory.remember(sequence % 100, sequence, commit: sequence)
    }
    #expect(memory.byteCount == atStart)
    #expect(memory.floor == 0)
  }

  @Test("a million journals of one type take 48 MiB")
  func million() {
    var memory = JournalMemory()
    for sequence in 1...1_000_000 as ClosedRange<UInt64> {
      memory.remember(sequence &* 0x9E37_79B9_7F4A_7C15, sequence, commit: sequence)
      memory.remember(sequence &* 0xD6E8_FEB8_6659_FD93, sequence, commit: sequence)
    }
    #expect(memory.floor == 0)
    #expect(memory.byteCount <= 48 << 20)
  }
}
