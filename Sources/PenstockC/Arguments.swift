// What C gives to a call, and where it wants the answer: the only place where its pointers are
// followed.
//
// Proof of bounds: the header's contract is that a pointer with a count stands for so many
// elements, and one without for one. NULL, counts that no store takes, negative ones and pointers
// that are not aligned are refused before anything is read.

internal import CPenstock
internal import Penstock

enum Arguments {
  /// Bytes of one text or payload at most: what is stored together has no more.
  private static let byteCountMax = 1 << 20
  /// Elements of one list at most: each has a byte on its way at least.
  static let elementCountMax = 1 << 20
  /// Attributes of one event at most: so many a store takes.
  static let attributeCountMax = 256

  /// Bytes, where they are.
  static func bytes(_ given: penstock_bytes, _ name: String) throws(StoreError)
    -> UnsafeRawBufferPointer
  {
    let count = unsafe given.count
    guard count >= 0, count <= byteCountMax else {
      throw .tooLarge(byteCountMax: byteCountMax)
    }
    guard let start = unsafe given.data else {
      guard count == 0 else { throw .invalid("\(name) is NULL and has \(count) bytes") }
      return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return unsafe UnsafeRawBufferPointer(start: start, count: count)
  }

  /// A text.
  static func text(_ given: penstock_bytes, _ name: String) throws(StoreError) -> String {
    let bytes = try unsafe bytes(given, name)
    guard let text = unsafe String(validating: bytes, as: UTF8.self) else {
      throw .invalid("\(name) is not UTF-8")
    }
    return text
  }

  /// The elements of a list, where they are.
  static func list<Element: BitwiseCopyable>(
    _ start: UnsafePointer<Element>?, _ count: Int, _ name: String,
    atMost countMax: Int = elementCountMax
  ) throws(StoreError) -> UnsafeBufferPointer<Element> {
    guard count >= 0, count <= countMax else {
      throw .invalid("\(name) are 0 to \(countMax), not \(count)")
    }
    guard count > 0 else { return unsafe UnsafeBufferPointer(start: nil, count: 0) }
    let place = try unsafe place(start, name)
    return unsafe UnsafeBufferPointer(start: place, count: count)
  }

  /// The place of one value that is read.
  static func place<Value>(_ place: UnsafePointer<Value>?, _ name: String) throws(StoreError)
    -> UnsafePointer<Value>
  {
    guard let place = unsafe place else { throw .invalid("the place of \(name) is NULL") }
    guard Int(bitPattern: place) % MemoryLayout<Value>.alignment == 0 else {
      throw .invalid("the place of \(name) is not aligned to its type")
    }
    return unsafe place
  }

  /// The place where one value is wanted.
  static func place<Value>(_ place: UnsafeMutablePointer<Value>?, _ name: String)
    throws(StoreError) -> UnsafeMutablePointer<Value>
  {
    let place = try unsafe self.place(UnsafePointer(place), name)
    return unsafe UnsafeMutablePointer(mutating: place)
  }

  /// The place where one value is wanted, if it is.
  static func optionalPlace<Value>(_ place: UnsafeMutablePointer<Value>?, _ name: String)
    throws(StoreError) -> UnsafeMutablePointer<Value>?
  {
    unsafe place == nil ? nil : try unsafe self.place(place, name)
  }
}

/// An event to be stored, its payload left where it is.
@safe
struct GivenEvent {
  let stream: String
  let type: String
  let attributes: [(key: String, value: String)]
  let id: UInt32?
  private let bytes: UnsafeRawBufferPointer

  init(_ event: penstock_new_event) throws(StoreError) {
    stream = try unsafe Arguments.text(event.stream, "the stream's name")
    type = try unsafe Arguments.text(event.type, "the type")
    unsafe bytes = try Arguments.bytes(event.payload, "the payload")
    id = unsafe event.has_id ? event.id : nil
    var attributes: [(key: String, value: String)] = []
    let pairs = try unsafe Arguments.list(
      event.attributes, event.attribute_count, "attributes",
      atMost: Arguments.attributeCountMax)
    for index in 0..<pairs.count {
      let attribute = unsafe pairs[index]
      attributes.append(
        (
          try unsafe Arguments.text(attribute.key, "an attribute's key"),
          try unsafe Arguments.text(attribute.value, "an attribute's value")
        ))
    }
    self.attributes = attributes
  }

  /// The payload; it is the caller's, and there until the call returns.
  var payload: RawSpan {
    @_lifetime(borrow self) get {
      let span = unsafe RawSpan(_unsafeBytes: bytes)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }
}
