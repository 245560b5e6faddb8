// Names of journals and types as numbers: which shard owns a journal, and what is remembered of it.

/// Names as numbers.
package enum JournalKey {
  /// The shard that owns the journal called `name` (escaped, as it stands in event lines), of
  /// `width` that journals are spread over. FNV-1a of 64 bits: it is part of the store's format, because all writes to a
  /// journal have to go through one shard for as long as the store lives.
  package static func owner(of name: RawSpan, width: Int) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for offset in 0..<name.byteCount {
      hash = (hash ^ UInt64(name.byte(at: offset))) &* 0x0000_0100_0000_01B3
    }
    return Int(hash % UInt64(width))
  }

  /// What is remembered of a journal as a whole. `key` is random, odd, and of this process only:
  /// nobody can choose names that collide.
  @inline(__always)
  package static func journal(_ name: RawSpan, key: UInt64) -> UInt64 { hash(name, key, key) }

  /// What is remembered of a type in the journal of this number.
  @inline(__always)
  package static func type(_ name: RawSpan, in journal: UInt64, key: UInt64) -> UInt64 {
    hash(name, key, journal ^ 0x9E37_79B9_7F4A_7C15)
  }

  @inline(__always)
  private static func hash(_ name: RawSpan, _ key: UInt64, _ seed: UInt64) -> UInt64 {
    var state = seed &+ UInt64(truncatingIfNeeded: name.byteCount)
    var offset = 0
    while offset < name.byteCount {
      let product = (name.word(at: offset) ^ state).multipliedFullWidth(by: key)
      state = product.high ^ product.low &+ 0xD6E8_FEB8_6659_FD93
      offset &+= 8
    }
    let product = state.multipliedFullWidth(by: key)
    return product.high ^ product.low
  }
}
