import PenstockCore
import Testing

@Suite struct ReceiptsTests {
  @Test func `answers of a connection leave in their order and records are used again`() {
    var pool = AnswerPool(capacity: 4)
    var first = AnswerList()
    var second = AnswerList()
    for round in 0..<100 as Range<UInt64> {
      #expect(pool.append(Answer(kind: .stored, first: 2 * round), to: &first))
      #expect(pool.append(Answer(kind: .stored, first: 9), to: &second))
      #expect(pool.append(Answer(kind: .stored, first: 2 * round + 1), to: &first))
      #expect(pool.first(of: first)?.first == 2 * round)
      pool.removeFirst(of: &first)
      #expect(pool.first(of: first)?.first == 2 * round + 1)
      pool.removeFirst(of: &first)
      #expect(pool.first(of: first) == nil)
      pool.removeAll(of: &second)
    }
    #expect(first.count == 0)
    #expect(second.count == 0)
  }

  @Test func `a pool that is used up says so`() {
    var pool = AnswerPool(capacity: 2)
    var list = AnswerList()
    #expect(pool.append(Answer(kind: .hello), to: &list))
    #expect(pool.append(Answer(kind: .hello), to: &list))
    #expect(!pool.append(Answer(kind: .hello), to: &list))
    pool.removeFirst(of: &list)
    #expect(pool.append(Answer(kind: .hello), to: &list))
    #expect(list.count == 2)
  }

  @Test func `one connection cannot take the places of all texts`() {
    var pool = AnswerPool(capacity: 4096)
    var greedy = AnswerList()
    var other = AnswerList()
    let text = Array("READ app/web".utf8)
    var kept = 0
    while pool.append(Answer(kind: .read), text: text.rawSpan, to: &greedy) == .kept { kept += 1 }
    #expect(kept == 128)
    #expect(pool.append(Answer(kind: .read), text: text.rawSpan, to: &other) == .kept)
    // What is answered makes room.
    pool.removeFirst(of: &greedy)
    #expect(pool.append(Answer(kind: .read), text: text.rawSpan, to: &greedy) == .kept)
    // A conflict is told without its names then.
    #expect(pool.append(Answer(kind: .conflict), naming: text.rawSpan, text.rawSpan, to: &greedy))
    pool.removeAll(of: &greedy)
    #expect(pool.append(Answer(kind: .read), text: text.rawSpan, to: &greedy) == .kept)
  }
}
