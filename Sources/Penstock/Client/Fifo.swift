// A queue that is taken from at its front.

/// Values in their order; taking the first costs no move of the others.
struct Fifo<Element> {
  /// Those taken already are nil, up to `start`.
  private var elements: [Element?] = []
  private var start = 0

  var count: Int { elements.count - start }
  var isEmpty: Bool { start == elements.count }
  var first: Element? { isEmpty ? nil : elements[start] }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func popFirst() -> Element? {
    guard let first else { return nil }
    elements[start] = nil
    start += 1
    if start * 2 > elements.count {
      elements.removeFirst(start)
      start = 0
    }
    return first
  }

  /// Takes all of them.
  mutating func popAll() -> [Element] {
    defer { self = Fifo() }
    return elements[start...].compactMap { $0 }
  }

  /// Puts elements in front of the others.
  mutating func prepend(_ earlier: [Element]) {
    elements.replaceSubrange(..<start, with: earlier)
    start = 0
  }

  mutating func removeAll(where isMeant: (Element) -> Bool) {
    elements = elements[start...].filter { element in element.map { !isMeant($0) } ?? false }
    start = 0
  }
}
