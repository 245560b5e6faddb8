import Foundation
import PenstockCore
import Testing

/// Random commits over random journals, types and snapshots; a sequential model says who must win.
@Suite struct CommitModelTests {
  /// What a sequential store would do.
  struct Model {
    var last: [String: UInt64] = [:]
    var next: UInt64 = 1

    /// The type that breaks the commit, if one does.
    func conflict(_ commit: RandomCommit) -> (position: UInt64, journal: String, type: String)? {
      switch commit.rule {
      case .unconditional: return nil
      case .own(let since):
        for event in commit.events {
          if let last = last[event.key], last > since { return (last, event.journal, event.type) }
        }
        return nil
      case .subset(let since):
        let lasts = commit.events.map { last[$0.key] ?? 0 }
        guard let newest = lasts.max(), lasts.allSatisfy({ $0 > since }),
          let event = commit.events.first(where: { last[$0.key] == newest })
        else { return nil }
        return (newest, event.journal, event.type)
      case .unchanged(let since):
        let journal = commit.events[0].journal
        guard let last = last[journal], last > since else { return nil }
        return (last, journal, "*")
      case .none(let types, let since):
        let journal = commit.events[0].journal
        for type in types {
          if let last = last[journal + " " + type], last > since { return (last, journal, type) }
        }
        return nil
      }
    }

    /// The answer to a commit.
    mutating func take(_ commit: RandomCommit) -> String {
      if let (position, journal, type) = conflict(commit) {
        return "CONFLICT shard=0 position=\(position) journal=\(journal) type=\(type)"
      }
      let first = next
      for event in commit.events {
        last[event.key] = next
        last[event.journal] = next
        next += 1
      }
      return "OK shard=0 first=\(first) count=\(commit.events.count)"
    }
  }

  struct RandomCommit {
    enum Rule {
      case unconditional
      case own(UInt64)
      case subset(UInt64)
      case unchanged(UInt64)
      case none([String], UInt64)
    }

    struct Event {
      var journal: String
      var type: String
      var key: String { journal + " " + type }
    }

    var events: [Event]
    var rule: Rule

    init(_ random: inout TestRandom, last: UInt64) {
      let journals = (0..<Int.random(in: 1...6, using: &random)).map { "/j/\($0)" }
      let types = ["A", "B", "Longer.Than.Eight", "C%40d"]
      events = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        Event(
          journal: journals.randomElement(using: &random) ?? "/j",
          type: types.randomElement(using: &random) ?? "A")
      }
      let since = last - min(last, UInt64.random(in: 0...20, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0: rule = .unconditional
      case 1: rule = .unchanged(since)
      case 2: rule = .subset(since)
      case 3: rule = .none(Array(types.shuffled(using: &random).prefix(2)), since)
      default: rule = .own(since)
      }
    }

    var request: String {
      let body = events.map { "- \($0.journal) \($0.type)\t\n" }.joined()
      let options =
        switch rule {
        case .unconditional: ""
        case .own(let since): " since=\(since)"
        case .subset(let since): " since=\(since) rule=subset"
        case .unchanged(let since): " if-unchanged@\(since)"
        case .none(let types, let since): " if-none=\(types.joined(separator: ","))@\(since)"
        }
      return "COMMIT \(body.utf8.count)\(options)\n\(body)"
    }
  }

  @Test("commits win and lose as they do one after the other", arguments: Backend.available, 1...4)
  func agreesWithModel(_ backend: Backend, _ seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let shard = try TestShard(backend)
    let client = CommitTests.Client(shard)
    var model = Model()
    var conflictCount = 0
    for _ in 0..<60 {
      // Pipelined: what a commit finds may not be durable yet.
      let commits = (0..<Int.random(in: 1...40, using: &random)).map { _ in
        RandomCommit(&random, last: model.next - 1)
      }
      client.send(commits.map(\.request).joined())
      for commit in commits {
        let wanted = model.take(commit)
        if wanted.hasPrefix("CONFLICT") { conflictCount += 1 }
        #expect(client.answer() == wanted, "\(commit.request)")
      }
    }
    #expect(conflictCount > 100)
    shard.stop()
    #expect(try UInt64(shard.lines().count) == model.next - 1)
  }
}
