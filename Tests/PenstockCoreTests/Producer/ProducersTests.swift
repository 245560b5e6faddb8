import Testing

@testable import PenstockCore

/// What a shard remembers of producers: against a model that remembers everything.
@Suite struct ProducersTests {
  @Test("each verdict, at the edges of the window")
  func verdicts() {
    var producers = Producers(countMax: 2)
    #expect(producers.judge("a", 10, 1) == .new)
    for counter in 1...64 {
      producers.remember(
        "a", ProducerStamp(epoch: 10, counter: UInt64(2 * counter)), first: UInt64(counter),
        count: 1)
    }
    #expect(producers.judge("a", 10, 2) == .repeated(first: 1, count: 1))
    #expect(producers.judge("a", 10, 128) == .repeated(first: 64, count: 1))
    #expect(producers.judge("a", 10, 1) == .refused(.counterTooOld, 2))
    #expect(producers.judge("a", 10, 3) == .new)
    #expect(producers.judge("a", 10, 129) == .new)
    producers.remember("a", ProducerStamp(epoch: 10, counter: 3), first: 70, count: 2)
    #expect(producers.judge("a", 10, 2) == .refused(.counterTooOld, 3))
    #expect(producers.judge("a", 10, 3) == .repeated(first: 70, count: 2))
    #expect(producers.judge("a", 9, 500) == .refused(.fenced, 10))
    #expect(producers.judge("a", 11, 1) == .new)
    #expect(producers.judge("a", 11, 1, epochMax: 10) == .refused(.epochAhead, 10))
    producers.remember("a", ProducerStamp(epoch: 11, counter: 1), first: 80, count: 1)
    #expect(producers.judge("a", 10, 3) == .refused(.fenced, 11))
    #expect(producers.judge("a", 11, 3) == .new)
  }

  @Test("the one that was silent longest is forgotten, and told so")
  func eviction() {
    var producers = Producers(countMax: 2)
    producers.remember("a", ProducerStamp(epoch: 30, counter: 1), first: 1, count: 1)
    producers.remember("b", ProducerStamp(epoch: 20, counter: 1), first: 2, count: 1)
    producers.remember("a", ProducerStamp(epoch: 30, counter: 2), first: 1, count: 1)
    // A repetition is nothing new: the log does not tell it.
    #expect(producers.judge("b", 20, 1) == .repeated(first: 2, count: 1))
    producers.remember("c", ProducerStamp(epoch: 40, counter: 1), first: 3, count: 1)
    #expect(producers.floor == 20)
    #expect(producers.judge("a", 30, 1) == .repeated(first: 1, count: 1))
    #expect(producers.judge("b", 20, 1) == .refused(.unknownProducer, 20))
    #expect(producers.judge("d", 20, 1) == .refused(.unknownProducer, 20))
    #expect(producers.judge("b", 21, 1) == .new)
  }

  /// Everything that was ever stored.
  struct Model {
    struct Key: Hashable {
      var name: String
      var epoch: UInt64
      var counter: UInt64
    }
    var stored: [Key: UInt64] = [:]
    var epochs: [String: UInt64] = [:]
  }

  @Test("nothing is stored twice, and what is known is told as it was", arguments: 1...20)
  func agreesWithModel(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let countMax = Int.random(in: 1...5, using: &random)
    var producers = Producers(countMax: countMax)
    var model = Model()
    var next: UInt64 = 1
    var counts: [String: Int] = [:]
    for step in 0..<4000 {
      let name = "p\(Int.random(in: 0..<(random.chance(90) ? countMax : 8), using: &random))"
      var epoch = model.epochs[name] ?? 1
      if random.chance(2) { epoch += UInt64.random(in: 0...3, using: &random) }
      if random.chance(2), epoch > 1 { epoch -= 1 }
      let newest =
        model.stored.keys.filter { $0.name == name && $0.epoch == epoch }
        .map(\.counter).max() ?? 0
      let counter =
        random.chance(60)
        ? newest + UInt64.random(in: 1...3, using: &random)
        : max(1, newest - min(newest, UInt64.random(in: 0...90, using: &random)))
      let key = Model.Key(name: name, epoch: epoch, counter: counter)
      switch producers.judge(name, epoch, counter) {
      case .new:
        counts["new", default: 0] += 1
        #expect(model.stored[key] == nil, "seed \(seed), step \(step): stored twice")
        model.stored[key] = next
        producers.remember(
          name, ProducerStamp(epoch: epoch, counter: counter), first: next, count: 1)
        model.epochs[name] = max(model.epochs[name] ?? 0, epoch)
        next += 1
      case .repeated(let first, _):
        counts["repeated", default: 0] += 1
        #expect(model.stored[key] == first, "seed \(seed), step \(step)")
      case .refused(let refusal, let number):
        counts["\(refusal)", default: 0] += 1
        // What is asked for the first time, above all that was stored, is refused only for its epoch.
        if refusal == .counterTooOld {
          #expect(counter < number && counter <= newest, "seed \(seed), step \(step)")
        }
        if refusal == .unknownProducer {
          #expect(epoch <= number)
          // It takes a new epoch.
          model.epochs[name] = number + 1
        }
      }
      // Now and then all there is is its text, as after a restart.
      if random.chance(3) {
        let text = ProducerLinesTests.text(producers)
        producers = Producers(countMax: countMax)
        producers.take(table: Array(text.utf8))
        #expect(ProducerLinesTests.text(producers) == text, "seed \(seed), step \(step)")
      }
    }
    #expect(counts["new", default: 0] > 500, "seed \(seed): \(counts)")
    #expect(counts["repeated", default: 0] > 100, "seed \(seed): \(counts)")
  }
}
