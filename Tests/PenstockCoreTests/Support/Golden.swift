// Files whose bytes are the format.

import Foundation

/// The bytes of the file `name` in Tests/Golden.
func golden(_ name: String, from file: String = #filePath) throws -> [UInt8] {
  let tests = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  return try [UInt8](Data(contentsOf: tests.appendingPathComponent("Golden/" + name)))
}
