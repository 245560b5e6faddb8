// The command line of a role, as the host writes it.
//
//     role     = name *( key SP value )
//     key      = "--" letters                   ; may be given more than once
//
// A parser of its own, because the one for people costs a role more memory than its work.

/// What a role was started with.
package struct RoleArguments: Equatable {
  /// Why a role cannot be started with these words.
  package enum Fault: Error, Equatable, CustomStringConvertible {
    case noName
    case notAKey(String)
    case noValue(String)
    case missing(String)
    case notANumber(key: String, value: String)

    package var description: String {
      switch self {
      case .noName: "no role is named"
      case .notAKey(let word): "'\(word)' is not a key: expected --key value"
      case .noValue(let key): "\(key) has no value"
      case .missing(let key): "\(key) is missing"
      case .notANumber(let key, let value): "\(key) takes a number, not '\(value)'"
      }
    }
  }

  /// Which role.
  package let name: String
  private var values: [String: [String]] = [:]

  package init(_ words: [String]) throws(Fault) {
    guard let first = words.first else { throw .noName }
    name = first
    var index = 1
    while index < words.count {
      let key = words[index]
      guard key.hasPrefix("--"), key.utf8.count > 2 else { throw .notAKey(key) }
      guard index + 1 < words.count else { throw .noValue(key) }
      values[key, default: []].append(words[index + 1])
      index += 2
    }
  }

  /// The last value of a key that has to be there.
  package func text(_ key: String) throws(Fault) -> String {
    guard let value = values[key]?.last else { throw .missing(key) }
    return value
  }

  /// All values of a key, in their order.
  package func all(_ key: String) -> [String] { values[key] ?? [] }

  /// The number a key that has to be there gives.
  package func number(_ key: String, in range: ClosedRange<Int> = 0...Int.max) throws(Fault) -> Int
  {
    let value = try text(key)
    guard let number = Int(value), range.contains(number) else {
      throw .notANumber(key: key, value: value)
    }
    return number
  }

  /// The number of a key that may be left out.
  package func numberIfGiven(_ key: String) throws(Fault) -> Int? {
    values[key] == nil ? nil : try number(key)
  }
}
