// Chooses how the numbers of a column are stored, and stores them.

internal import PenstockCore

/// How much time may go into making a table small.
package enum TableEffort: Sendable {
  /// As fast as events arrive: for tables written once, and merged soon.
  case fast
  /// For tables that stay.
  case thorough
}

/// Stores numbers as told in NumberColumn.swift.
package struct NumberEncoder: ~Copyable {
  private var shape = NumberShape()
  private var packed = NumberBuffer()
  private var indexes = NumberBuffer()
  private var distinct = NumberBuffer()
  private var slots = NumberBuffer()
  private var trial = ColumnBuffer(capacity: 64 << 10)
  private var packing = TrialPacking()

  package init() {}

  /// A transform, and how what it gives is packed.
  private struct Plan {
    var transform: NumberColumn.Transform
    var choice: NumberShape.Choice
    /// Bytes in front of the packed numbers.
    var headByteCount: Int
    var base: UInt64 = 0

    var byteCount: Int { choice.byteCount + headByteCount }
  }

  /// Numbers that are looked at, about, when it has to go fast.
  private static let sampleCount = 96
  /// Numbers of which a dictionary is worth a try.
  private static let dictionaryCountMin = 8
  /// Divisors of times: most clocks tick in whole seconds, milliseconds or microseconds.
  package static let timeUnits: [UInt64] = [1_000_000_000, 1_000_000, 1_000]

  /// Appends the numbers in `range` of `values` to `target`.
  /// - Parameter units: divisors the differences may have.
  /// - Returns: bytes they will take behind LZ4, about.
  @discardableResult
  package mutating func encode(
    _ values: borrowing NumberBuffer, _ range: Range<Int>, _ effort: TableEffort,
    units: [UInt64] = [], into target: inout ColumnBuffer
  ) -> Int {
    guard !range.isEmpty else { return 0 }
    let step = NumberEncoder.step(range.count, effort)
    var best = offsetPlan(values, range, step)
    if best.choice.packing != .same {
      // Differences of numbers below 2^63 have the divisors the numbers have.
      let unit =
        units.first { unit in
          range.allSatisfy { values[$0] >> 63 == 0 && values[$0] % unit == 0 }
        } ?? 1
      let other = differencePlan(values, range, unit, step)
      if other.byteCount < best.byteCount { best = other }
      // Two bits a number are not undercut by a dictionary of more than four.
      if range.count >= NumberEncoder.dictionaryCountMin, 4 * best.byteCount > range.count,
        let other = dictionaryPlan(values, range, step, limit: best.byteCount)
      {
        best = other
      }
    }
    put(values, range, best, effort, into: &target)
    return best.byteCount
  }

  /// Every how many-th number is looked at; 0 says that all are, and that packings are tried.
  private static func step(_ count: Int, _ effort: TableEffort) -> Int {
    effort == .fast ? max(1, count / sampleCount) : 0
  }

  // MARK: - Plans

  private mutating func offsetPlan(
    _ values: borrowing NumberBuffer, _ range: Range<Int>, _ step: Int
  ) -> Plan {
    var least = UInt64.max
    var most = UInt64.min
    for index in range {
      let value = values[index]
      least = min(least, value)
      most = max(most, value)
    }
    // Small numbers cost nothing more when they are left as they are.
    if least < 16, least != most { least = 0 }
    shape.removeAll()
    if least == most {
      shape.add(0)
    } else {
      for index in stride(from: range.lowerBound, to: range.upperBound, by: max(1, step)) {
        shape.add(values[index] &- least)
      }
      if shape.isSame { shape.addOther() }
      if step == 0 {
        packed.removeAll()
        for index in range { packed.append(values[index] &- least) }
      }
    }
    return Plan(
      transform: .offset, choice: choice(step, most: most &- least),
      headByteCount: 1 + varintByteCount(least), base: least)
  }

  private mutating func differencePlan(
    _ values: borrowing NumberBuffer, _ range: Range<Int>, _ unit: UInt64, _ step: Int
  ) -> Plan {
    shape.removeAll()
    if step == 0 {
      takeDifferences(values, range, unit)
      for index in 0..<packed.count { shape.add(packed[index]) }
    } else {
      for index in stride(from: range.lowerBound &+ 1, to: range.upperBound, by: max(1, step)) {
        shape.add(NumberEncoder.difference(values[index], values[index &- 1], unit))
      }
      if shape.isSame, !isSteady(values, range) { shape.addOther() }
    }
    return Plan(
      transform: .difference, choice: choice(step, most: nil),
      headByteCount: 1 + varintByteCount(values[range.lowerBound]) + varintByteCount(unit),
      base: unit)
  }

  private func isSteady(_ values: borrowing NumberBuffer, _ range: Range<Int>) -> Bool {
    guard range.count > 1 else { return true }
    let first = values[range.lowerBound &+ 1] &- values[range.lowerBound]
    for index in range.dropFirst()
    where values[index] &- values[index &- 1] != first { return false }
    return true
  }

  @inline(__always)
  private static func difference(_ value: UInt64, _ previous: UInt64, _ unit: UInt64) -> UInt64 {
    let step = Int64(bitPattern: value &- previous)
    return NumberColumn.zigzag(unit == 1 ? step : step / Int64(bitPattern: unit))
  }

  private mutating func takeDifferences(
    _ values: borrowing NumberBuffer, _ range: Range<Int>, _ unit: UInt64
  ) {
    packed.removeAll()
    var previous = values[range.lowerBound]
    for index in range.dropFirst() {
      let value = values[index]
      packed.append(NumberEncoder.difference(value, previous, unit))
      previous = value
    }
  }

  /// Nil when it would not be smaller than `limit`.
  private mutating func dictionaryPlan(
    _ values: borrowing NumberBuffer, _ range: Range<Int>, _ step: Int, limit: Int
  ) -> Plan? {
    guard takeDistinct(values, range) else { return nil }
    shape.removeAll()
    var distinctByteCount = 0
    for index in 0..<distinct.count { distinctByteCount += varintByteCount(distinct[index]) }
    for index in stride(from: 0, to: indexes.count, by: max(1, step)) { shape.add(indexes[index]) }
    if shape.isSame, distinct.count > 1 { shape.addOther() }
    if step == 0 {
      packed.removeAll()
      packed.append(contentsOf: indexes)
    }
    let plan = Plan(
      transform: .dictionary, choice: choice(step, most: UInt64(distinct.count - 1)),
      headByteCount: 2 + varintByteCount(UInt64(distinct.count)) + distinctByteCount)
    return plan.byteCount < limit ? plan : nil
  }

  /// Fills `distinct` and `indexes`; false when there are too many distinct ones.
  private mutating func takeDistinct(_ values: borrowing NumberBuffer, _ range: Range<Int>) -> Bool
  {
    let limit = range.count / 2
    var slotCount = 64
    while slotCount < 2 * limit { slotCount *= 2 }
    slots.removeAll()
    slots.append(zeros: slotCount)
    distinct.removeAll()
    indexes.removeAll()
    for index in range {
      let value = values[index]
      var slot = Int(truncatingIfNeeded: (value &* 0x9E37_79B9_7F4A_7C15) >> 32) & (slotCount &- 1)
      while slots[slot] != 0, distinct[Int(slots[slot]) &- 1] != value {
        slot = (slot &+ 1) & (slotCount &- 1)
      }
      if slots[slot] == 0 {
        guard distinct.count < limit else { return false }
        // Hardly anything repeats: the rest will not either.
        if distinct.count & 63 == 63, index &- range.lowerBound < distinct.count &* 5 / 4 {
          return false
        }
        distinct.append(value)
        slots[slot] = UInt64(distinct.count)
      }
      indexes.append(slots[slot] &- 1)
    }
    return true
  }

  /// How numbers of which every `step`-th is in `shape` are packed best. With 0 they all are, and in
  /// `packed` too, and packings are tried.
  /// - Parameter most: the largest of them, where it is known.
  private mutating func choice(_ step: Int, most: UInt64?) -> NumberShape.Choice {
    var guessed = shape.best(planes: most.map { (NumberColumn.bitCount($0) + 7) / 8 })
    guessed.byteCount *= max(1, step)
    guard step == 0, guessed.packing != .same else { return guessed }
    let bits = shape.bestBits(planes: nil)
    trial.removeAll()
    for index in 0..<packed.count { trial.append(varint: packed[index]) }
    var best = bits
    let varints = packing.byteCount(trial)
    if varints < best.byteCount {
      best = NumberShape.Choice(packing: .varints, byteCount: varints)
    }
    let count = max(1, (shape.largestBitCount + 7) / 8)
    guard count > 1 else { return best }
    trial.removeAll()
    trial.appendPlanes(packed, count)
    let planes = packing.byteCount(trial) + 1
    if planes < best.byteCount {
      best = NumberShape.Choice(packing: .planes, width: count, byteCount: planes)
    }
    return best
  }

  private func varintByteCount(_ value: UInt64) -> Int {
    max(1, (NumberColumn.bitCount(value) + 6) / 7)
  }

  // MARK: - Storing

  private mutating func put(
    _ values: borrowing NumberBuffer, _ range: Range<Int>, _ plan: Plan, _ effort: TableEffort,
    into target: inout ColumnBuffer
  ) {
    target.append(plan.transform.rawValue << 4 | plan.choice.packing.rawValue)
    switch plan.transform {
    case .offset:
      target.append(varint: plan.base)
      packed.removeAll()
      for index in range { packed.append(values[index] &- plan.base) }
    case .difference:
      target.append(varint: values[range.lowerBound])
      target.append(varint: plan.base)
      takeDifferences(values, range, plan.base)
    case .dictionary:
      target.append(varint: distinct.count)
      putDistinct(effort, into: &target)
      packed.removeAll()
      packed.append(contentsOf: indexes)
    }
    putPacked(plan.choice, into: &target)
  }

  private mutating func putDistinct(_ effort: TableEffort, into target: inout ColumnBuffer) {
    packed.removeAll()
    packed.append(contentsOf: distinct)
    // The plans use `packed` themselves.
    let values = NumberBuffer(copyOf: packed)
    let range = 0..<values.count
    let step = NumberEncoder.step(range.count, effort)
    var best = offsetPlan(values, range, step)
    let other = differencePlan(values, range, 1, step)
    if other.byteCount < best.byteCount { best = other }
    put(values, range, best, effort, into: &target)
  }

  private mutating func putPacked(
    _ choice: NumberShape.Choice, into target: inout ColumnBuffer
  ) {
    switch choice.packing {
    case .varints: for index in 0..<packed.count { target.append(varint: packed[index]) }
    case .bits:
      target.append(UInt8(choice.width))
      target.appendBits(packed, choice.width)
    case .planes:
      target.append(UInt8(choice.width))
      target.appendPlanes(packed, choice.width)
    case .same: target.append(varint: packed.count > 0 ? packed[0] : 0)
    }
  }
}

extension ColumnBuffer {
  /// Appends numbers as bits, told in NumberColumn.swift.
  fileprivate mutating func appendBits(_ numbers: borrowing NumberBuffer, _ width: Int) {
    let limit: UInt64 = (1 << UInt64(width)) &- 1
    reserve((numbers.count * width + 7) / 8 + 16)
    var offset = count
    var pending: UInt64 = 0
    var pendingCount = 0
    var hasExceptions = false
    for index in 0..<numbers.count {
      let number = numbers[index]
      hasExceptions = hasExceptions || number >= limit
      pending |= min(number, limit) &<< UInt64(truncatingIfNeeded: pendingCount)
      pendingCount &+= width
      // Whole bytes go; fewer than eight bits stay.
      put(pending, at: offset)
      offset &+= pendingCount &>> 3
      pending &>>= UInt64(truncatingIfNeeded: pendingCount & ~7)
      pendingCount &= 7
    }
    setCount(offset + (pendingCount > 0 ? 1 : 0))
    guard hasExceptions else { return }
    for index in 0..<numbers.count where numbers[index] >= limit {
      append(varint: numbers[index] &- limit)
    }
  }

  /// Appends the lowest bytes of all numbers, then the next ones.
  fileprivate mutating func appendPlanes(_ numbers: borrowing NumberBuffer, _ count: Int) {
    for plane in 0..<count {
      let shift = UInt64(8 * plane)
      for index in 0..<numbers.count {
        append(UInt8(truncatingIfNeeded: numbers[index] >> shift))
      }
    }
  }
}
