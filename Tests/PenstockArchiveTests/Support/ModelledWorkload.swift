// Random events and questions that meet often: few streams, values and ids, times at the edges of
// buckets, and events that came before.

import PenstockArchive
import PenstockCore

/// Makes events and questions of one seed.
struct ModelledWorkload {
  var random: TestRandom
  private var times: [Timestamp] = []
  private var lines: [[UInt8]] = []
  private var serial = 0

  private static let streams = [
    "syslog/web-1", "syslog/web-2", "syslog/web-10", "app\\sone", "m", "/orders/1", "/orders/2",
  ]
  private static let types = ["-", "sshd", "Order\\sPlaced"]
  /// What may stand in a question for a stream: the start of a name or all of it.
  private static let patterns = [
    "syslog/", "syslog/web-1", "app one", "app ", "m", "/orders/", "/orders/2", "nobody",
  ]

  init(_ random: TestRandom) { self.random = random }

  // MARK: - Events

  /// Lines of events; the first is like no other.
  mutating func lines(_ count: Int, now: Timestamp, _ bucket: BucketLength) -> [[UInt8]] {
    (0..<count).map { index in
      if index > 0, random.chance(12), let known = lines.randomElement(using: &random) {
        return known
      }
      let line = line(now, bucket, hasId: index > 0 && random.chance(30))
      if lines.count < 400 { lines.append(line) }
      return line
    }
  }

  private mutating func line(_ now: Timestamp, _ bucket: BucketLength, hasId: Bool) -> [UInt8] {
    serial += 1
    let time = time(now, bucket)
    if times.count < 400 { times.append(time) }
    var text = "\(time.text) \(pick(ModelledWorkload.streams)) \(pick(ModelledWorkload.types))"
    if random.chance(60) { text += " host=h\(number(0...3))" }
    if hasId { text += " _id=\(Hexadecimal.text(UInt64(number(0...5)), digits: 8))" }
    if random.chance(50) { text += " user=u\(number(0...30))" }
    if random.chance(10) { text += " k=a k=\(pick(["a", "b"]))" }
    let payload =
      switch number(0...5) {
      case 0: ""
      case 1: "same"
      case 2: String(repeating: "long \(number(0...9)) ", count: pick([2, 20, 300, 300, 9_000]))
      default: "event \(serial) took \(number(0...9999)) ms at 10.0.0.\(number(0...255))"
      }
    // Equal events are equal in all they have: which of two that differ is kept, nobody says.
    let end = !hasId && random.chance(20) ? "" : " #\(serial)"
    return Array((text + "\t" + payload + end).utf8)
  }

  /// A time: one that came before, next to the edge of a bucket, or anywhere in a month.
  private mutating func time(_ now: Timestamp, _ bucket: BucketLength) -> Timestamp {
    if random.chance(15), let known = times.randomElement(using: &random) { return known }
    let number = bucket.number(of: now)
    if random.chance(50) {
      let edge = bucket.start(of: number + Int64(self.number(-4...1)))
      return moved(edge, by: Int128(self.number(-1...1)))
    }
    let span = random.chance(70) ? 3_600 : 30 * 86_400
    return moved(
      now, by: -Int128(self.number(0...span)) * 1_000_000_000 + Int128(self.number(0...9)))
  }

  private func moved(_ time: Timestamp, by nanoseconds: Int128) -> Timestamp {
    Timestamp(nanosecondsSince1970: time.nanosecondsSince1970 + nanoseconds)
  }

  // MARK: - Questions

  mutating func question(_ bucket: BucketLength) -> ModelQuery {
    var question = ModelQuery()
    question.direction = random.chance(50) ? .forward : .reverse
    if random.chance(40) {
      question.stream = (pick(ModelledWorkload.patterns), random.chance(50))
    }
    if random.chance(50) { question.since = edge(bucket) }
    if random.chance(50) { question.until = edge(bucket) }
    if random.chance(15) { question.type = pick(["sshd", "-"]) == "-" ? "" : "sshd" }
    if random.chance(25) { question.attributes.append(("host", "h\(number(0...4))")) }
    if random.chance(20) { question.attributes.append(("user", "u\(number(0...30))")) }
    if random.chance(10) { question.attributes.append(("k", pick(["a", "b"]))) }
    if random.chance(10) { question.contained = pick(["same", "took 1", "#", "long"]) }
    if random.chance(40) { question.limit = pick([0, 1, 2, 7, 30, 200]) }
    return question
  }

  /// An instant at, right before or right behind one of an event, or the edge of a bucket.
  private mutating func edge(_ bucket: BucketLength) -> Timestamp {
    guard let time = times.randomElement(using: &random) else { return .earliest }
    let start = random.chance(30) ? bucket.start(of: bucket.number(of: time)) : time
    return moved(start, by: Int128(number(-1...1)))
  }

  /// The start of streams' names, as an order to erase may name it.
  mutating func prefix() -> String { pick(["syslog/web-1", "app one", "m", "/orders/", ""]) }

  /// An instant before which an order may erase.
  mutating func instant(_ bucket: BucketLength) -> Timestamp { edge(bucket) }

  // MARK: - Choices

  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[Int.random(in: choices.indices, using: &random)]
  }
}
