// Randomness that can be had again: one seed decides a whole simulation.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose with.
package struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// True in `percent` of all cases.
  package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  /// A number from 0 up to `limit` - 1.
  package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

  /// A number of a closed range.
  package mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// A generator of its own for a part of the simulation, so that one part's choices do not shift
  /// another's.
  package mutating func split() -> SeededRandom { SeededRandom(seed: next()) }
}
