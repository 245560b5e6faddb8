// The first inputs for columns and for imports.

import PenstockArchive
import PenstockCore

enum ColumnSeeds {
  static let statements = [
    "Failed password for root from 10.0.0.7 port 40022 ssh2", "[4711] took 17ms at 03:47:52.125",
    "Jul  1 09:00:55 host kernel: [0x1f] oom", "2026-11-21T03:47:52.123456789Z id=deadbeef1",
    "GET /item/123e4567-e89b-12d3-a456-426614174000 200 1024", "_id=0123abcd k=A1B2C3 01.2.3.4",
    "03:47:52,123 03:47:52:123 99:59:59 Jul 01 09:00:55", "", "x",
  ]

  /// Columns of each encoding, the rows they are made of, and numbers.
  static func text() throws -> [[UInt8]] {
    var inputs: [[UInt8]] = []
    for count in [1, 3, 9, 40] {
      let rows = (0..<count).map { Array("\(statements[$0 % statements.count]) \($0 * 37)".utf8) }
      for effort in [TableEffort.fast, .thorough] {
        var collected = TextRows(capacity: 64)
        for row in rows { collected.append(row.rawSpan) }
        var encoder = TextEncoder()
        var buffer = ColumnBuffer(capacity: 64)
        let encoding = encoder.encode(collected, effort, into: &buffer)
        inputs.append(
          [UInt8(truncatingIfNeeded: encoding) | UInt8(count - 1) << 2]
            + buffer.bytes.array())
      }
      inputs.append([2] + rows.joined(separator: [Byte.lineFeed]))
    }
    inputs += statements.flatMap { [[2] + Array($0.utf8), [14] + Array($0.utf8)] }
    let kinds: [(Int) -> UInt64] = [
      { _ in 7 }, { UInt64($0) }, { UInt64($0 % 3) << 40 }, { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 },
      { UInt64(1_000_000_000) - UInt64($0) * 1000 },
    ]
    for kind in kinds {
      for effort in [TableEffort.fast, .thorough] {
        var numbers = NumberBuffer()
        for index in 0..<40 { numbers.append(kind(index)) }
        var encoder = NumberEncoder()
        var buffer = ColumnBuffer(capacity: 64)
        encoder.encode(numbers, 0..<40, effort, into: &buffer)
        inputs.append([3 | 40 << 2] + buffer.bytes.array())
      }
    }
    return inputs
  }

  /// Files of every format.
  static func `import`() -> [[UInt8]] {
    let exported = """
      {"time":"2026-11-21T03:47:52.125000000Z","stream":"app/a","type":"T","id":"0000002a",\
      "attributes":{"k":["a","b"],"n":"\\u00e9"},"payload":"x\\ny","shard":0,"sequence":1}
      {"time":"2026-11-21T03:47:51.000000000Z","stream":"b","attributes":{},"payload_base64":"/wA=",\
      "shard":255,"sequence":2}
      """
    let objects = """
      {"t":1795232872.125,"s":"one","y":"T","i":"0000002a","g":"x","a":true,"b":{"c":-1.5e3}}
      {"t":"2026-11-21 03:47:52","s":"\\ud83d\\ude00 two","i":"no id","g":null,"b":{"c":[1,{}]}}
      {"t":1795232872125250125,"s":"one","y":"","i":"0000002a","g":"y","a":"\\u0000\\"\\\\"}
      """
    let records =
      "\u{FEFF}t,s,y,i,g,a,\"the, \"\"name\"\"\"\r\n2026-11-21,one,T,0000002a,x,1,2\r\n\r\n"
      + "2026-11-21T00:00:02Z,\"b\"\"c\",\"x\r\ny\",i,g,a,z\n1795232872,it\"s,,,,,\n"
    let lines =
      "2026-11-21T03:47:52.5Z one\r\n2026-11-21 03:47:52 two\0\n2026-11-21\tthree\n\nnone\n"
    let files: [(UInt8, String)] = [
      (0, exported), (1, objects), (17, objects), (2, records), (18, records), (3, lines),
      (7, lines),
    ]
    var inputs: [[UInt8]] = [[1] + Array("{\"t\":1,\"a\":[[[[[[[[{\"b\":[]}]]]]]]]]}".utf8)]
    for (flags, text) in files {
      inputs.append([flags] + Array(text.utf8))
      inputs.append([flags | 8] + Array(text.utf8))
      inputs.append([flags | 32] + Array(text.utf8))
    }
    return inputs
  }
}
