import Foundation
import PenstockCore
import Testing

/// Random transactions over random journals and types, through Everstore's protocol: a sequential
/// model says who wins.
@Suite struct EverstoreModelTests {
  private struct Open {
    var name: String
    var transaction: UInt32
    /// Events the journal had.
    var seen: Int
    var client: Int
  }

  private struct Journal {
    var events: [String] = []
    /// The types of each commit, and how many events there were before it.
    var commits: [(before: Int, types: Set<String>)] = []

    var size: UInt32 { UInt32(events.reduce(0) { $0 + 25 + $1.utf8.count }) }

    func conflicts(_ types: Set<String>, since seen: Int) -> Bool {
      let later = commits.filter { $0.before >= seen }
      return types.isEmpty
        ? !later.isEmpty : types.isSubset(of: later.reduce(into: []) { $0.formUnion($1.types) })
    }
  }

  @Test("commits win and lose by Everstore's rule, whoever asks", arguments: 1...3)
  func model(_ seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let store = try ServedStore()
    try store.start(
      shards: 2, listeners: [ServedStore.lineListener, ServedStore.everstoreListener])
    let clients = try (0..<3).map { _ in try store.everstore() }
    var journals: [String: Journal] = [:]
    var open: [Open] = []
    var wins = 0
    var losses = 0
    for step in 0..<1500 {
      let client = Int.random(in: 0..<3, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        let name = "/m/\(Int.random(in: 0..<4, using: &random))"
        let (size, transaction) = try clients[client].open(name)
        #expect(size == journals[name]?.size ?? 0, "seed \(seed), step \(step)")
        open.append(
          Open(
            name: name, transaction: transaction, seen: journals[name]?.events.count ?? 0,
            client: client))
      case 4..<8:
        guard !open.isEmpty else { continue }
        let chosen = open.remove(at: Int.random(in: 0..<open.count, using: &random))
        var types: Set<String> = []
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          types.insert("T\(Int.random(in: 0..<5, using: &random))")
        }
        let events = (0...Int.random(in: 0..<3, using: &random)).map { "\(step)-\($0)" }
        let isLost =
          journals[chosen.name]?.conflicts(types, since: chosen.seen) ?? false
        let answer = try clients[chosen.client].commit(
          chosen.name, chosen.transaction, types.joined(separator: "\n"),
          events.joined(separator: "\n"))
        #expect(answer.success == !isLost, "seed \(seed), step \(step), \(types)")
        if isLost {
          losses += 1
          try clients[chosen.client].rollback(chosen.name, chosen.transaction)
        } else {
          wins += 1
          let before = journals[chosen.name, default: Journal()].events.count
          journals[chosen.name, default: Journal()].commits.append((before, types))
          journals[chosen.name]?.events += events
        }
        #expect(answer.size == journals[chosen.name]?.size ?? 0, "seed \(seed), step \(step)")
      case 8:
        guard let name = journals.keys.sorted().randomElement(using: &random),
          let journal = journals[name]
        else { continue }
        #expect(try clients[client].read(name, to: journal.size) == journal.events)
      default:
        guard step % 100 == 9 else { continue }
        #expect(try store.run("seal").status == 0)
      }
    }
    #expect(wins > 100 && losses > 20, "seed \(seed): \(wins) won, \(losses) lost")
    #expect(store.stop() == 0)
  }
}
