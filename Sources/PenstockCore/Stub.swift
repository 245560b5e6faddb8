package struct Damage: Sendable {}
package struct Recovered: Sendable { var header: SegmentHeader; var nextOffset: Int; var lastBatch: BatchNumber; var lastChecksum: UInt32; var nextSequence: SequenceNumber; var lastDurableSequence: SequenceNumber; var eventsRecovered: Int; var damage: [Damage]; var durationNanoseconds: Int64 }
package enum Recovery { static func run<F: FileSystem>(_ f: F, _ l: StoreLayout, store: StoreIdentifier, log: LogNumber, archivedThrough: SegmentNumber, segmentByteCount: Int) throws -> Recovered { throw FileError(.open, "", code: 0) } }
