// The columns of the block that is being filled, and what becomes of them.

internal import PenstockCore

/// The open block of a table.
struct BlockColumns: ~Copyable {
  private let effort: TableEffort
  private var names = ColumnBuffer(capacity: 16 << 10)
  private var counts = ColumnBuffer(capacity: 16 << 10)
  private var logs = ColumnBuffer(capacity: 4 << 10)
  private var sequences = NumberBuffer(capacity: 8 << 10)
  private var types = TextRows(capacity: 64 << 10)
  private var attributes = TextRows(capacity: 256 << 10)
  private var payloads = TextRows(capacity: 512 << 10)
  /// Nanoseconds since 1970, as long as 64 bits hold those of every row.
  private var nearTimes = NumberBuffer(capacity: 8 << 10)
  /// Every time, once 64 bits do not.
  private var farTimes = ColumnBuffer(capacity: 4 << 10)
  private var hasFarTimes = false

  private var texts = TextEncoder()
  private var numbers = NumberEncoder()

  private(set) var rowCount = 0
  private(set) var earliest = Timestamp.latest
  private(set) var latest = Timestamp.earliest
  /// Numbers of the block's first and last stream in the directory.
  private(set) var firstStream: UInt64 = 0
  private(set) var lastStream: UInt64 = 0
  private var lineByteCount = 0
  private var nameByteCount = 0
  private var previousName: [UInt8] = []
  private var previousFarTime = Timestamp(seconds: 0, nanoseconds: 0)
  private var rowsOfName: UInt64 = 0
  private var log: LogNumber?
  private var rowsOfLog: UInt64 = 0

  /// Columns of a block.
  private static let columnCount = 8

  init(_ effort: TableEffort) { self.effort = effort }

  var isFull: Bool {
    lineByteCount >= TableFormat.blockByteCount(effort) || rowCount == TableFormat.rowCountMax
  }

  /// Begins the rows of the stream with this name and number.
  mutating func begin(name: [UInt8], number: UInt64) {
    endName()
    if rowCount == 0 { firstStream = number }
    lastStream = number
    names.append(name: name, after: previousName)
    previousName = name
    nameByteCount = name.count
  }

  @inline(__always)
  mutating func add(_ row: TableRow, _ bytes: RawSpan) {
    if log != row.log { begin(row.log) }
    rowsOfName &+= 1
    rowsOfLog &+= 1
    add(row.time)
    sequences.append(row.sequence.value)
    types.append(bytes.extracting(row.type))
    attributes.append(bytes.extracting(row.attributes))
    payloads.append(bytes.extracting(row.payload))
    rowCount &+= 1
    lineByteCount &+=
      LineSizes.streamStart &+ 4 &+ nameByteCount &+ row.type.count &+ row.attributes.count
      &+ row.payload.count
  }

  @inline(__always)
  private mutating func add(_ time: Timestamp) {
    if time < earliest { earliest = time }
    if latest < time { latest = time }
    guard !hasFarTimes, let near = time.nearNanoseconds(since: BlockColumns.epoch) else {
      return addFar(time)
    }
    nearTimes.append(UInt64(bitPattern: near))
  }

  private static let epoch = Timestamp(seconds: 0, nanoseconds: 0)

  private mutating func addFar(_ time: Timestamp) {
    if !hasFarTimes {
      hasFarTimes = true
      for row in 0..<nearTimes.count {
        let near = Timestamp(
          nanosecondsSince1970: Int128(Int64(bitPattern: nearTimes[row])))
        farTimes.append(near, since: previousFarTime)
        previousFarTime = near
      }
    }
    farTimes.append(time, since: previousFarTime)
    previousFarTime = time
  }

  private mutating func begin(_ log: LogNumber) {
    endLog()
    self.log = log
  }

  private mutating func endName() {
    guard rowsOfName > 0 else { return }
    counts.append(varint: rowsOfName)
    rowsOfName = 0
  }

  private mutating func endLog() {
    guard let log, rowsOfLog > 0 else { return }
    logs.append(varint: UInt64(log.value))
    logs.append(varint: rowsOfLog)
    rowsOfLog = 0
  }

  /// Puts the block together and begins the next.
  /// - Returns: bytes of its columns when decoded.
  mutating func finish(_ part: inout PartBuilder) -> Int {
    endName()
    endLog()
    part.begin(.block, rowCount: rowCount, columnCount: BlockColumns.columnCount)
    part.put(.names, &names)
    part.put(.counts, &counts)
    putTimes(&part)
    part.put(.logs, &logs)
    numbers.encode(sequences, 0..<rowCount, effort, into: &part.pool)
    part.end(.sequences, encoding: TableFormat.numbers)
    putTexts(&part)
    part.finish(effort)
    let byteCount = types.byteCount + attributes.byteCount + payloads.byteCount
    removeAll()
    return byteCount
  }

  /// Taking texts apart costs more than LZ4 does, and archiving has to keep up with ingest: in a hurry
  /// only ids leave their text, of which LZ4 makes nothing.
  private mutating func putTexts(_ part: inout PartBuilder) {
    let isHurried = effort == .fast
    let hasIdentifiers = attributes.firstHolds("_id=")
    let type = texts.encode(types, effort, isRaw: isHurried, into: &part.pool)
    part.end(.types, encoding: type)
    let attribute = texts.encode(
      attributes, effort, isRaw: isHurried && !hasIdentifiers, into: &part.pool)
    part.end(.attributes, encoding: attribute)
    let payload = texts.encode(payloads, effort, isRaw: isHurried, into: &part.pool)
    part.end(.payloads, encoding: payload)
  }

  private mutating func putTimes(_ part: inout PartBuilder) {
    guard !hasFarTimes else { return part.put(.times, &farTimes) }
    numbers.encode(
      nearTimes, 0..<rowCount, effort, units: NumberEncoder.timeUnits, into: &part.pool)
    part.end(.times, encoding: TableFormat.numbers)
  }

  private mutating func removeAll() {
    sequences.removeAll()
    types.removeAll()
    attributes.removeAll()
    payloads.removeAll()
    nearTimes.removeAll()
    hasFarTimes = false
    previousFarTime = BlockColumns.epoch
    rowCount = 0
    lineByteCount = 0
    earliest = .latest
    latest = .earliest
    previousName = []
    log = nil
  }
}
