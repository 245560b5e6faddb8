// Files that may stand beside the package: bytes real clients sent, conformance vectors, corpora.

import Foundation

/// The folder `shared` beside the package, when it is there.
enum SharedFiles {
  static let root: URL? = {
    let package = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let shared = package.deletingLastPathComponent().appendingPathComponent("shared")
    return FileManager.default.fileExists(atPath: shared.path) ? shared : nil
  }()

  /// A JSON file as dictionaries; nil when it is not there.
  static func json(_ path: String) throws -> [String: Any]? {
    guard let root else { return nil }
    let data = try Data(contentsOf: root.appendingPathComponent(path))
    return try JSONSerialization.jsonObject(with: data) as? [String: Any]
  }

  /// A file's bytes; nil when it is not there.
  static func bytes(_ path: String) -> [UInt8]? {
    root.flatMap { try? Data(contentsOf: $0.appendingPathComponent(path)) }.map { [UInt8]($0) }
  }

  /// The datagrams of a capture: each behind its size, four bytes, highest first.
  static func datagrams(_ path: String) -> [[UInt8]] {
    guard let all = bytes(path) else { return [] }
    var out: [[UInt8]] = []
    var offset = 0
    while offset + 4 <= all.count {
      let count = all[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) }
      out.append(Array(all[(offset + 4)..<(offset + 4 + count)]))
      offset += 4 + count
    }
    return out
  }
}
