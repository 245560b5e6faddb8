// Files whose bytes are the format: what is written today must be what was written then.

import Foundation

/// The bytes of a file in `Tests/Golden`.
func golden(_ name: String, file: String = #filePath) throws -> [UInt8] {
  try [UInt8](Data(contentsOf: goldenFolder(file).appendingPathComponent(name)))
}

private func goldenFolder(_ file: String) -> URL {
  URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Golden")
}
