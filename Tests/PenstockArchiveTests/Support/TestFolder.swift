// A folder of its own for one test, gone with it.

import Foundation

/// A temporary folder.
final class TestFolder {
  let path: String

  init() throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func bytes(of name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + "/" + name)))
  }
}

/// Removes a folder and what is in it.
func removeFolder(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
