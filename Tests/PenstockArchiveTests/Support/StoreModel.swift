// What a store has to answer, by the simplest means: a list of events and plain filters. Shares
// with what it judges the grammar of an event line, and nothing else.

import PenstockArchive
import PenstockCore

/// A question, in words the model and the store both understand.
struct ModelQuery: CustomStringConvertible {
  /// A name, as it is typed, or the start of names.
  var stream: (text: String, isPrefix: Bool)?
  var since: Timestamp?
  var until: Timestamp?
  var type: String?
  var attributes: [(key: String, value: String)] = []
  var contained: String?
  var limit: Int?
  var direction = ReadDirection.forward

  func query() throws -> Query {
    var selection = Selection()
    if let stream { selection.streams = [try Glob(stream.text + (stream.isPrefix ? "*" : ""))] }
    selection.since = since
    selection.until = until
    if let type { selection.require(type: type) }
    selection.attributes = attributes.map { Selection.Attribute(key: $0.key, value: $0.value) }
    if let contained { selection.require(contains: contained) }
    var query = Query(selection)
    query.direction = direction
    query.limit = limit
    return query
  }

  func matches(_ event: ModelEvent) -> Bool {
    if let stream {
      let name = Escape.decode(event.stream.rawSpan) ?? []
      let text = Array(stream.text.utf8)
      guard stream.isPrefix ? name.starts(with: text) : name == text else { return false }
    }
    if let since, event.key.time < since { return false }
    if let until, until <= event.key.time { return false }
    if let type {
      let own = String(decoding: event.line[event.fields.type], as: UTF8.self)
      guard own == (type.isEmpty ? "-" : type) else { return false }
    }
    for wanted in attributes where !event.attributes(wanted.key).contains(wanted.value) {
      return false
    }
    guard let contained else { return true }
    let payload = String(decoding: event.line[event.fields.payload], as: UTF8.self)
    return payload.utf8.count >= contained.utf8.count && payload.contains(contained)
  }

  var description: String {
    var words = ["\(direction)"]
    if let stream { words.append("stream \(stream.text)\(stream.isPrefix ? "*" : "")") }
    if let since { words.append("since \(since.text)") }
    if let until { words.append("until \(until.text)") }
    if let type { words.append("type \(type)") }
    for wanted in attributes { words.append("where \(wanted.key)=\(wanted.value)") }
    if let contained { words.append("contains \(contained)") }
    if let limit { words.append("limit \(limit)") }
    return words.joined(separator: ", ")
  }
}

extension ModelEvent {
  /// Every value of an attribute.
  func attributes(_ key: String) -> [String] {
    let text = String(decoding: line[fields.attributes], as: UTF8.self)
    return text.split(separator: " ").compactMap { word in
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return parts.count == 2 && parts[0] == key ? String(parts[1]) : nil
    }
  }

  /// What makes it the same as another: everything that is equal for both, when it has an id.
  var identity: [UInt8]? {
    guard line[fields.stream.lowerBound] != UInt8(ascii: "/"), let id = attributes("_id").first
    else { return nil }
    return Array(key.time.text.utf8) + [Byte.lineFeed] + stream + [Byte.lineFeed] + Array(id.utf8)
      + [Byte.lineFeed] + Array(line[fields.payload])
  }
}

/// The events a store holds, as a list.
struct StoreModel {
  /// Those that are there to be read.
  private(set) var events: [ModelEvent] = []
  /// Equal events with an id have one number, every other event has its own.
  private var numbers: [EventKey: Int] = [:]
  private var numbersOfIdentities: [[UInt8]: Int] = [:]

  mutating func add(_ new: some Sequence<ModelEvent>) {
    for event in new {
      events.append(event)
      let own = numbers.count
      numbers[event.key] =
        event.identity.map { identity in
          if let known = numbersOfIdentities[identity] { return known }
          numbersOfIdentities[identity] = own
          return own
        } ?? own
    }
  }

  /// Erases what was there when an order was given: the first `count` events.
  mutating func erase(_ prefix: String, before: Timestamp, amongFirst count: Int) {
    var order = ModelQuery()
    order.stream = (prefix, true)
    order.until = before
    let later = events[count...]
    events = events[..<count].filter { !order.matches($0) } + later
  }

  /// Leaves out what is not `left` any more; that must not be younger than `limit`.
  mutating func expire(before limit: Timestamp, to left: [ModelEvent]) throws {
    let numbers = self.numbers
    let kept = Set(left.compactMap { numbers[$0.key] })
    events = try events.filter { event in
      if let number = numbers[event.key], kept.contains(number) { return true }
      guard event.key.time <= limit else {
        throw ModelledStore.Fault(description: "\(event) is gone, and younger than \(limit.text)")
      }
      return false
    }
  }

  /// Whether an event has an id, and there is none like it: a read that began before it came may
  /// give it or not.
  func isNew(_ event: ModelEvent) -> Bool {
    guard let identity = event.identity else { return false }
    guard let number = numbersOfIdentities[identity] else { return true }
    return !events.contains { numbers[$0.key] == number }
  }

  /// What is wrong with an answer; nil when it is right.
  ///
  /// Of equal events with an id one comes out, whichever it is: they have the same time, and tell
  /// nothing but their positions apart.
  func fault(_ answer: [ModelEvent], to question: ModelQuery) -> String? {
    let isForward = question.direction == .forward
    for (first, second) in zip(answer, answer.dropFirst())
    where isForward ? second.key <= first.key : first.key <= second.key {
      return "\(second) comes behind \(first)"
    }
    var wanted: [Int: ModelEvent] = [:]
    for event in events where question.matches(event) {
      if let number = numbers[event.key] { wanted[number] = event }
    }
    var found: Set<Int> = []
    for event in answer {
      guard let number = numbers[event.key] ?? event.identity.flatMap({ numbersOfIdentities[$0] }),
        let known = wanted[number], known.line == event.line
      else { return "\(event) was not asked for" }
      guard found.insert(number).inserted else { return "\(event) came before" }
    }
    let count = min(wanted.count, question.limit ?? .max)
    guard answer.count == count else {
      let missing = wanted.filter { !found.contains($0.key) }.values.min { $0.key < $1.key }
      return "\(answer.count) events, not \(count), without \(missing.map(\.description) ?? "any")"
    }
    // With a limit it is the first that come.
    guard let last = answer.last?.key.time else { return nil }
    for (number, event) in wanted
    where !found.contains(number) && (isForward ? event.key.time < last : last < event.key.time) {
      return "\(event) is missing"
    }
    return nil
  }
}
