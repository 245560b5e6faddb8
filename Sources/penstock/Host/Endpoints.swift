// run/endpoints.json: where a running store listens, for programs.
//
//     [{"name":"syslog-udp","url":"syslog+udp://127.0.0.1:5514","shard":0}, …]
//
// One entry for each listener and shard; a shard's stand in the order of its ledger. Written aside and renamed, so that a reader sees all of
// it or the one before.

package import PenstockCore

/// One listener of one shard.
package struct Endpoint: Equatable {
  package var name: String
  package var url: String
  package var shard: Int

  package init(name: String, url: String, shard: Int) {
    self.name = name
    self.url = url
    self.shard = shard
  }
}

/// The file of endpoints.
package enum Endpoints {
  /// The file's text.
  package static func text(_ endpoints: [Endpoint]) -> String {
    let entries = endpoints.map { endpoint in
      "{\"name\":\"\(escape(endpoint.name))\",\"url\":\"\(escape(endpoint.url))\","
        + "\"shard\":\(endpoint.shard)}"
    }
    return "[" + entries.joined(separator: ",\n ") + "]\n"
  }

  private static func escape(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 0x20:
        out += "\\u" + Hexadecimal.text(UInt64(scalar.value), digits: 4)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  /// Writes the file.
  package static func write(_ endpoints: [Endpoint], _ layout: StoreLayout) throws(FileError) {
    let files = LinuxFileSystem()
    let temporary = layout.endpoints + ".new"
    _ = try? files.unlink(temporary)
    let file = try files.open(temporary, .create)
    defer { files.close(file) }
    let bytes = Array(text(endpoints).utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: 0)
    try files.rename(temporary, to: layout.endpoints)
  }
}
