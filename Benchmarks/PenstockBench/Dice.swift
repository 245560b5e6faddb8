// Numbers that look random and are the same in every run, so that what is measured is.

/// Throws dice: xorshift, good enough for lines and gaps, not for secrets.
struct Dice {
  private var state: UInt64

  /// - Parameter state: not 0.
  init(state: UInt64) {
    precondition(state != 0)
    self.state = state
  }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func below(_ limit: Int) -> Int { Int(next() >> 11) % limit }

  mutating func hexadecimal(_ count: Int) -> String {
    let text = String(next(), radix: 16)
    return String(String(repeating: "0", count: 16) + text).suffix(count).description
  }
}
