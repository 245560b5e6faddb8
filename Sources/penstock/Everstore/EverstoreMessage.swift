// Everstore's protocol, as its published adapters speak it: binary messages over TCP, numbers in the
// byte order the server names first (here always little-endian).
//
//     greeting, by the server         0  byte order: 0 little-endian, 1 big-endian
//                                     1  version: 1
//                                     2  whether AUTH has to come first: 0, 1
//
//     message     offset  bytes
//     type             0      4       1 ERROR  3 AUTH  4 NEW_TRANSACTION  5 COMMIT  6 ROLLBACK
//                                     7 READ  8 EXISTS
//     size             4      4       of the body that follows
//     request          8      4       the client's number, which the answer repeats
//     properties      12      4       1 another part follows (answers)  4 with times (READ)
//     worker          16      4       the journal's log + 1 in answers; not looked at in requests
//
//     request          body                                                      body of the answer
//     AUTH             u32 userLength, u32 secretLength, user, secret            none
//     NEW_TRANSACTION  u32 nameLength, name                                      u32 size, u32 transaction
//     COMMIT           u32 nameLength, u32 typesLength, u32 eventsLength,
//                      u32 transaction, name, types, events                      u32 success, u32 size
//     ROLLBACK         u32 nameLength, u32 transaction, name                     u8 1
//     READ             u32 nameLength, u32 from, u32 size, name                  u32 n, n bytes of events
//     EXISTS           u32 nameLength, name                                      u8 exists
//     ERROR                                                                      u32 code
//
// Events, and types, are separated by LF; types by "," as well. Sizes and offsets are bytes of the
// journal's text (JournalText); a READ gives its events without their times unless asked for them, and
// without the last LF, in parts of up to 64 KiB.

internal import PenstockCore

/// What stands in front of every message.
struct EverstoreHeader: Equatable {
  var type: UInt32
  var byteCount: UInt32
  var request: UInt32
  var properties: UInt32 = 0
  var worker: UInt32 = 0

  static let byteCount = 20
  static let hasMore: UInt32 = 1
  static let includesTimes: UInt32 = 4

  static func greeting(wantsAuth: Bool) -> [UInt8] { [0, 1, wantsAuth ? 1 : 0] }
}

/// Types of messages.
enum EverstoreType: UInt32 {
  case error = 1
  case authenticate = 3
  case newTransaction, commit, rollback, read, exists
}

/// Why a request fails, as the adapters number and name it.
enum EverstoreError: UInt32, Error {
  case unknown = 1
  case authenticationFailed = 2
  case journalClosed = 4
  case unreadable = 5
  case noTransaction = 6
  case badPath = 8
}

/// A request's body.
enum EverstoreRequest: Equatable {
  case authenticate(user: ByteRange, secret: ByteRange)
  case newTransaction(name: ByteRange)
  case commit(name: ByteRange, types: ByteRange, events: ByteRange, transaction: UInt32)
  case rollback(transaction: UInt32)
  case read(name: ByteRange, from: UInt32, size: UInt32)
  case exists(name: ByteRange)

  /// Reads the body in `range` of a message of this type; nil when it is not one.
  init?(_ type: UInt32, _ span: RawSpan, _ range: ByteRange) {
    guard let type = EverstoreType(rawValue: type) else { return nil }
    var body = EverstoreBody(range)
    switch type {
    case .error: return nil
    case .authenticate:
      guard let userLength = body.number(span), let secretLength = body.number(span),
        let user = body.bytes(userLength), let secret = body.bytes(secretLength)
      else { return nil }
      self = .authenticate(user: user, secret: secret)
    case .newTransaction, .exists:
      guard let length = body.number(span), let name = body.bytes(length) else { return nil }
      self = type == .exists ? .exists(name: name) : .newTransaction(name: name)
    case .commit:
      guard let nameLength = body.number(span), let typesLength = body.number(span),
        let eventsLength = body.number(span), let transaction = body.number(span),
        let name = body.bytes(nameLength), let types = body.bytes(typesLength),
        let events = body.bytes(eventsLength)
      else { return nil }
      self = .commit(name: name, types: types, events: events, transaction: transaction)
    case .rollback:
      guard let length = body.number(span), let transaction = body.number(span),
        body.bytes(length) != nil
      else { return nil }
      self = .rollback(transaction: transaction)
    case .read:
      guard let length = body.number(span), let from = body.number(span),
        let size = body.number(span), let name = body.bytes(length)
      else { return nil }
      self = .read(name: name, from: from, size: size)
    }
  }
}

/// Takes a body apart.
private struct EverstoreBody {
  private var offset: Int
  private let end: Int

  init(_ range: ByteRange) {
    offset = range.lowerBound
    end = range.upperBound
  }

  mutating func number(_ span: RawSpan) -> UInt32? {
    guard offset + 4 <= end else { return nil }
    defer { offset += 4 }
    return UInt32(truncatingIfNeeded: span.word(at: offset))
  }

  mutating func bytes(_ count: UInt32) -> ByteRange? {
    guard Int(count) <= end - offset else { return nil }
    defer { offset += Int(count) }
    return offset..<(offset + Int(count))
  }
}

extension EverstoreHeader {
  /// Reads the header at `offset` of a buffer.
  init(_ memory: borrowing AlignedBuffer, at offset: Int) {
    self.init(memory.bytes, at: offset)
  }

  /// Reads the header at `offset`, where there are as many bytes.
  init(_ span: RawSpan, at offset: Int) {
    func number(_ index: Int) -> UInt32 {
      UInt32(truncatingIfNeeded: span.word(at: offset + 4 * index))
    }
    type = number(0)
    byteCount = number(1)
    request = number(2)
    properties = number(3)
    worker = number(4)
  }
}
