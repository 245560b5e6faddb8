// What must be true of requests with a counter.
//
//     sent any number of times     there once at most: its events are found like those of any other
//     answered more than once      under the same numbers each time
//     forgotten                    said so, and only up to the floor that is told
//     in the window                never refused as too old

internal import PenstockCore

extension Oracle {
  /// Whose counter a request has.
  struct Stamp: Equatable {
    var name: String
    var epoch: UInt64
    var counter: UInt64
    /// Whether the request line says whose; else its session does.
    var isInLine: Bool

    /// The options of the request.
    var options: String {
      " counter=\(counter)" + (isInLine ? " producer=\(name)@\(epoch)" : "")
    }
  }

  /// What a producer has to do after an answer to one of its requests.
  enum Advice: Equatable {
    /// It goes on.
    case none
    /// It asks again later.
    case again
    /// It goes on with a higher epoch than this.
    case begin(after: UInt64)
  }

  /// Takes a refusal that is about a producer; nil when it is about something else.
  func advice(_ line: String, _ number: Int) throws(Finding) -> Advice? {
    guard let stamp = puts[number].stamp else { return nil }
    let told = line.split(separator: "=").last.flatMap { UInt64($0) }
    if line.hasPrefix("ERR unknown-producer ") {
      guard let floor = told, stamp.epoch <= floor else {
        throw Finding("PUT \(number) of epoch \(stamp.epoch) got the answer \(line)")
      }
      return .begin(after: floor)
    }
    if line.hasPrefix("ERR epoch-ahead ") { return .again }
    if line.hasPrefix("ERR fenced ") {
      guard let epoch = told, stamp.epoch < epoch else {
        throw Finding("PUT \(number) of epoch \(stamp.epoch) got the answer \(line)")
      }
      return Advice.none
    }
    if line.hasPrefix("ERR counter-too-old ") {
      // Clients ask again at once for what had no answer: that is always in the window.
      guard puts[number].first != nil || puts[number].isRefused else {
        throw Finding("PUT \(number) with counter \(stamp.counter) is too old: \(line)")
      }
      return Advice.none
    }
    return nil
  }

  /// Takes the receipt of a request; it is the same whenever it comes.
  mutating func takeReceipt(_ number: Int, first: UInt64) throws(Finding) {
    if let before = puts[number].first {
      guard before == first else {
        throw Finding("PUT \(number) was acknowledged as \(before), and again as \(first)")
      }
      repeatedAnswerCount += 1
    }
    puts[number].first = first
  }
}
