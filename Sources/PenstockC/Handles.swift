// The objects that C has handles of.
//
//     handle = serial number * 8 + kind        a pointer to C, never followed
//
// A number is given out once in the life of a process, and kinds are told apart: a handle that was
// closed, is of another kind or was never given out is found out, not followed. An object is
// retained while a call uses it, also when another thread closes its handle meanwhile.

internal import Penstock
internal import Synchronization

/// What the handles of one kind stand for.
final class Handles<Object: AnyObject & Sendable>: Sendable {
  private struct Table {
    var lastSerial: UInt = 0
    var objects: [UInt: Object] = [:]
  }

  private let table = Mutex(Table())
  private let kind: UInt
  private let name: String

  /// - Parameters:
  ///   - kind: 1 to 7, of no other table.
  ///   - name: what the handles are called in errors.
  init(kind: UInt, _ name: String) {
    self.kind = kind
    self.name = name
  }

  /// A new handle for an object.
  func add(_ object: Object) -> OpaquePointer? {
    let number = table.withLock { table in
      table.lastSerial += 1
      let number = table.lastSerial << 3 | kind
      table.objects[number] = object
      return number
    }
    return unsafe OpaquePointer(bitPattern: number)
  }

  /// The object of a handle.
  /// - Throws: `invalid` when there is none.
  func find(_ handle: OpaquePointer?) throws(StoreError) -> Object {
    let number = UInt(bitPattern: handle)
    guard let object = table.withLock({ $0.objects[number] }) else { throw unknown(number) }
    return object
  }

  /// The object of a handle, which is closed.
  /// - Throws: `invalid` when there is none.
  func remove(_ handle: OpaquePointer?) throws(StoreError) -> Object {
    let number = UInt(bitPattern: handle)
    guard let object = table.withLock({ $0.objects.removeValue(forKey: number) }) else {
      throw unknown(number)
    }
    return object
  }

  private func unknown(_ number: UInt) -> StoreError {
    .invalid(
      number == 0
        ? "the \(name) is NULL: open one first"
        : "this is no open \(name): it was closed before, or never opened")
  }
}

let stores = Handles<Store>(kind: 1, "store")
let writers = Handles<Writer>(kind: 2, "writer")
let cursors = Handles<Cursor>(kind: 3, "cursor")
let followers = Handles<Follower>(kind: 4, "follower")
