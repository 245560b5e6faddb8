// Which producer each connection speaks for, and who asks with the request at hand.

/// The producers of all connections.
package struct ProducerSessions: ~Copyable {
  struct Entry: BitwiseCopyable {
    /// The connection's generation, so that the next one in the slot has no producer.
    var generation: UInt32
    var byteCount: Int32
    var epoch: UInt64
  }

  private var entries: Table<Entry>
  /// A name for each connection, then that of who asks.
  private var names: AlignedBuffer
  private var askerByteCount = 0
  /// Epoch and counter of who asks.
  package private(set) var stamp = ProducerStamp()
  /// Whether the request line says who asks; else the connection does.
  package private(set) var isInLine = false

  /// - Parameter slotCount: connections there may be.
  package init(slotCount: Int) {
    entries = Table(zeroedCount: slotCount)
    names = AlignedBuffer(byteCount: (slotCount + 1) * Producers.nameByteCountMax)
  }

  /// The name of who asks.
  package var asker: RawSpan {
    @_lifetime(borrow self) get {
      let start = entries.count * Producers.nameByteCountMax
      return names.bytes(start..<(start + askerByteCount))
    }
  }

  /// The connection in `slot` speaks for the producer whose name stands in `range`.
  package mutating func begin(
    _ slot: Int, _ generation: UInt32, _ source: borrowing AlignedBuffer, _ range: ByteRange,
    epoch: UInt64
  ) {
    names.copy(source.bytes(range), to: slot * Producers.nameByteCountMax)
    entries[slot] = Entry(generation: generation, byteCount: Int32(range.count), epoch: epoch)
  }

  /// What a request line says of its producer.
  package enum Asked: Equatable, Sendable {
    /// It has no counter.
    case nothing
    /// It has a counter, and it is known whose: `asker` and `stamp`.
    case counter
    case refused(Refusal)
  }

  /// Reads the options of a PUT or COMMIT.
  /// - Parameter line: the request line in `source`, without its tag.
  package mutating func ask(
    _ slot: Int, _ generation: UInt32, _ source: borrowing AlignedBuffer, _ line: ByteRange
  ) -> Asked {
    let options = ProducerOptions(source.bytes, line)
    guard !options.isBad else { return .refused(.badProducer) }
    guard let counter = options.counter else { return .nothing }
    let place = entries.count * Producers.nameByteCountMax
    isInLine = options.producer != nil
    if let (name, epoch) = options.producer {
      names.copy(source.bytes(name), to: place)
      askerByteCount = name.count
      stamp = ProducerStamp(epoch: epoch, counter: counter)
      return .counter
    }
    let entry = entries[slot]
    guard entry.byteCount > 0, entry.generation == generation else { return .refused(.noProducer) }
    let start = slot * Producers.nameByteCountMax
    names.move(start..<(start + Int(entry.byteCount)), to: place)
    askerByteCount = Int(entry.byteCount)
    stamp = ProducerStamp(epoch: entry.epoch, counter: counter)
    return .counter
  }

  /// Writes the line that tells that the request of who asks was stored.
  package func putProduced(
    first: UInt64, count: UInt32, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    ProducerLines.putProduced(asker, stamp, first: first, count: count, &writer, &memory)
  }

  /// Writes who asks as an option, for a shard that does not know the connection.
  package func putOption(_ writer: inout EventWriter, _ memory: inout AlignedBuffer) {
    guard !isInLine else { return }
    writer.put(" producer=", &memory)
    writer.put(verbatim: asker, &memory)
    writer.put(UInt8(ascii: "@"), &memory)
    writer.put(decimal: Int(stamp.epoch), &memory)
  }

  /// Longest such option, in bytes.
  package static let optionByteCountMax = 10 + Producers.nameByteCountMax + 1 + 19
}
