// What a shard is told when it starts.

/// A listener the host opened for this shard.
package struct ListenerConfiguration: Sendable {
  package var socket: Socket
  package var kind: ListenerKind
  /// Its name in the ledger and in `#listener` lines.
  package var name: String
  /// How streams are named.
  package var template: StreamTemplate
  /// What is made of the times messages carry.
  package var times: TimeRules
  /// The own address of each shard for who came by this listener, escaped; empty when none is told.
  package var shardAddresses: [[UInt8]]

  /// Bytes of an address at most: it has to fit the answers of a connection with room to spare.
  package static let addressByteCountMax = 1024

  package init(
    socket: Socket, kind: ListenerKind, name: String, template: StreamTemplate,
    times: TimeRules = TimeRules(), shardAddresses: [[UInt8]] = []
  ) {
    self.socket = socket
    self.kind = kind
    self.name = name
    self.template = template
    self.times = times
    self.shardAddresses = shardAddresses
  }
}

/// The bytes of a control pipe, from whoever started a role to the role. Its end says that the
/// other side is gone.
package enum ControlByte {
  /// Stop cleanly.
  package static let stop = UInt8(ascii: "T")
  /// Seal the active segment.
  package static let seal = UInt8(ascii: "S")
  /// Read the file of tokens again.
  package static let reload = UInt8(ascii: "R")
  /// Look again at once.
  package static let look = UInt8(ascii: "L")
}

/// Takes what is to be said to people: who says it, and what.
package typealias Notices = @Sendable (_ name: String, _ text: String) -> Void

/// When the active segment is sealed although it is not full.
package struct SealRules: Sendable {
  /// Sealed at this age, in nanoseconds, when it holds at least `byteCountMin`.
  package var ageNanoseconds: Int64 = 15 * 60 * 1_000_000_000
  /// A segment with less is not worth a table before `ageMaxNanoseconds`.
  package var byteCountMin = 4 << 20
  /// Sealed at this age whatever it holds.
  package var ageMaxNanoseconds: Int64 = 24 * 3600 * 1_000_000_000
  /// Sealed on a clean stop, so that the archive holds everything.
  package var onStop = false
  package init() {}
}

/// Which I/O backend is used.
package enum BackendChoice: String, Sendable, CaseIterable {
  /// io_uring where it is allowed, else the fallback.
  case auto
  case ring
  case poll
}

/// A shard's configuration.
package struct ShardConfiguration: Sendable {
  package var layout: StoreLayout
  package var store: StoreIdentifier
  package var log: LogNumber
  package var shardCount: Int
  /// Logs journals are spread over, as the store's description says: it never changes, while there
  /// may be more shards by now, or fewer.
  package var journalHashWidth: Int
  package var listeners: [ListenerConfiguration]
  package var limits: Limits
  package var seal: SealRules
  package var backend: BackendChoice
  /// Whether a reader answers READ, FOLLOW and COPY.
  package var hasReader = false
  /// Segments at or below this number are in the archive.
  package var archivedThrough: SegmentNumber
  /// Events at or below this number are, too.
  package var coveredThrough = SequenceNumber.none
  /// Size of the segment recovery makes, in bytes.
  package var segmentByteCount = 4 << 20
  /// Connections of the line protocol that are there from the start, beside any listeners. The
  /// shard closes them, however it ends. They are booked on the row of the first listener.
  package var connections: [Socket] = []
  /// Rows of the ledger that are in use.
  var ledgerRowCount: Int { max(listeners.count, connections.isEmpty ? 0 : 1) }
  /// A lease that was acquired already; the shard closes it when it cannot start.
  package var lease: Lease?
  /// The tokens that are asked for on the line protocol; nil asks for none.
  package var access: AccessConfiguration?
  /// Who is told what there is to say.
  package var tell: Notices = ShardProcess.say

  package init(
    layout: StoreLayout, store: StoreIdentifier, log: LogNumber, shardCount: Int,
    listeners: [ListenerConfiguration] = [], limits: Limits = Limits(),
    seal: SealRules = SealRules(), backend: BackendChoice = .auto,
    archivedThrough: SegmentNumber = .none
  ) {
    self.layout = layout
    self.store = store
    self.log = log
    self.shardCount = shardCount
    journalHashWidth = shardCount
    self.listeners = listeners
    self.limits = limits
    self.seal = seal
    self.backend = backend
    self.archivedThrough = archivedThrough
  }
}
