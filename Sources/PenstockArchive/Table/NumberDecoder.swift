// Reads the numbers of a column back from bytes that may be damaged.

internal import PenstockCore

extension NumberReader {
  /// Appends `count` numbers, stored as told in NumberColumn.swift, to `values`; false unless they
  /// are there. Takes eight bytes for each of `count`, which the caller has limited.
  package mutating func numbers(
    _ span: RawSpan, count: Int, into values: inout NumberBuffer
  ) -> Bool {
    guard count > 0 else { return true }
    return numbers(span, count: count, isDistinct: false, into: &values)
  }

  private mutating func numbers(
    _ span: RawSpan, count: Int, isDistinct: Bool, into values: inout NumberBuffer
  ) -> Bool {
    guard let range = bytes(1), case let head = span.byte(at: range.lowerBound),
      let transform = NumberColumn.Transform(rawValue: head >> 4),
      let packing = NumberColumn.Packing(rawValue: head & 15)
    else { return false }
    let start = values.count
    switch transform {
    case .offset:
      guard let base = varint(span), packed(span, packing, count: count, into: &values)
      else { return false }
      if base > 0 { values.add(base, from: start) }
    case .difference:
      guard let first = varint(span), let unit = varint(span) else { return false }
      values.append(first)
      guard packed(span, packing, count: count - 1, into: &values) else { return false }
      values.accumulate(from: start + 1, unit: unit)
    case .dictionary:
      guard !isDistinct else { return false }
      return dictionary(span, packing, count: count, into: &values)
    }
    return true
  }

  private mutating func dictionary(
    _ span: RawSpan, _ packing: NumberColumn.Packing, count: Int, into values: inout NumberBuffer
  ) -> Bool {
    guard let distinctCount = self.count(span, max: count), distinctCount > 0 else { return false }
    var distinct = NumberBuffer(capacity: distinctCount)
    guard numbers(span, count: distinctCount, isDistinct: true, into: &distinct) else {
      return false
    }
    let start = values.count
    guard packed(span, packing, count: count, into: &values) else { return false }
    for index in start..<values.count {
      let which = values[index]
      guard which < UInt64(distinctCount) else { return false }
      values[index] = distinct[Int(truncatingIfNeeded: which)]
    }
    return true
  }

  private mutating func packed(
    _ span: RawSpan, _ packing: NumberColumn.Packing, count: Int, into values: inout NumberBuffer
  ) -> Bool {
    switch packing {
    case .varints:
      for _ in 0..<count {
        guard let value = varint(span) else { return false }
        values.append(value)
      }
      return true
    case .bits: return bits(span, count: count, into: &values)
    case .planes: return planes(span, count: count, into: &values)
    case .same:
      guard let value = varint(span) else { return false }
      values.append(repeating: value, count: count)
      return true
    }
  }

  private mutating func bits(_ span: RawSpan, count: Int, into values: inout NumberBuffer) -> Bool {
    guard let head = bytes(1), case let width = Int(span.byte(at: head.lowerBound)),
      width >= 1, width <= NumberColumn.widthMax,
      let range = bytes((count * width + 7) / 8)
    else { return false }
    let limit: UInt64 = (1 << UInt64(width)) &- 1
    let start = values.count
    guard
      values.append(
        bitsOf: span, from: range.lowerBound, width: width, count: count, mark: limit)
    else { return true }
    for index in start..<values.count where values[index] == limit {
      guard let rest = varint(span) else { return false }
      values[index] = limit &+ rest
    }
    return true
  }

  private mutating func planes(
    _ span: RawSpan, count: Int, into values: inout NumberBuffer
  ) -> Bool {
    guard let head = bytes(1), case let planeCount = Int(span.byte(at: head.lowerBound)),
      planeCount >= 1, planeCount <= 8, let range = bytes(count * planeCount)
    else { return false }
    values.append(
      planesOf: span, from: range.lowerBound, planeCount: planeCount, count: count)
    return true
  }
}
