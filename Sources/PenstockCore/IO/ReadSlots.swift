// Memory that a file window reads into, in slots, and the reads on their way into them.
//
//     | headroom | chunk |  | headroom | chunk |  …       one slot when nothing is read ahead
//
// A chunk of the file is read into a slot while the ones before it are worked on; what a parser
// needs of the end of one chunk is moved into the headroom of the next, so that a window onto the
// file has no seams. All slots together are one huge page where the machine gives one: the device
// is then told of one stretch of memory a read instead of hundreds, which on the reference machine
// reads at 1.5 to 1.8 GB/s instead of 0.9 to 1.2.
//
// Owns unsafe memory: the kernel writes into the buffer after `begin` has returned. Every range is
// checked against the buffer there, a slot is not read into twice at a time, and the buffer goes
// only after the queue, whose end waits for every read.

internal import CShims

/// A window's memory.
@safe
struct ReadSlots: ~Copyable {
  private var memory: AlignedBuffer
  /// Nil when nothing is read ahead.
  private let queue: OpaquePointer?
  /// Number of slots.
  let count: Int
  /// Bytes from one slot to the next.
  private let slotByteCount: Int

  /// Bytes in front of each chunk. A multiple of every usual alignment, so that chunks stay such.
  let headroomByteCount: Int

  /// - Parameters:
  ///   - inHugePages: for what is read from front to back.
  ///   - readsAhead: four slots and a queue, where the kernel grants one.
  ///   - byteCount: the largest single read, in bytes.
  ///   - headroomByteCount: bytes in front of each chunk, which then has at least as many.
  init(inHugePages: Bool, readsAhead: Bool, byteCount: Int, headroomByteCount: Int) {
    var opened: OpaquePointer?
    if readsAhead, unsafe penstock_reader_open(&opened) != 0 { unsafe opened = nil }
    self.headroomByteCount = headroomByteCount
    count = unsafe opened != nil ? Int(PENSTOCK_READER_SLOTS) : 1
    let whole = headroomByteCount + byteCount
    memory = AlignedBuffer(
      byteCount: count > 1 ? max(whole, 2 * count * headroomByteCount) : whole,
      inHugePages: inHugePages)
    slotByteCount = unsafe opened != nil ? memory.byteCount / count : whole
    unsafe queue = opened
  }

  deinit {
    if let queue = unsafe queue { unsafe penstock_reader_close(queue) }
  }

  /// Whether reads can be begun ahead.
  var readsAhead: Bool { unsafe queue != nil }

  /// Size of a chunk, in bytes.
  var chunkByteCount: Int { slotByteCount - headroomByteCount }

  /// All memory, in bytes. It does not depend on what is read.
  var byteCount: Int { memory.byteCount }

  /// Where the chunk of `slot` begins in memory.
  func place(_ slot: Int) -> Int { slot * slotByteCount + headroomByteCount }

  /// Begins to read `count` bytes at `offset` of `file` into the chunk of `slot`; false when it
  /// cannot be begun.
  mutating func begin(_ file: File, count: Int, at offset: Int, slot: Int) -> Bool {
    precondition(slot >= 0 && slot < self.count && count > 0 && count <= chunkByteCount)
    guard let queue = unsafe queue else { return false }
    let range = place(slot)..<(place(slot) + count)
    return unsafe penstock_reader_begin(
      queue, UInt32(slot), file.descriptor, memory.address(range), UInt32(count), UInt64(offset))
      == 0
  }

  /// Waits for the read begun in `slot`; the bytes read, maybe fewer than asked for, or a negative
  /// number when it failed.
  mutating func wait(_ slot: Int) -> Int {
    guard let queue = unsafe queue else { return -1 }
    return Int(unsafe penstock_reader_wait(queue, UInt32(slot)))
  }

  /// Reads into `range`, where no read is on its way.
  mutating func read<Files: FileSystem>(
    _ files: Files, _ file: File, _ range: ByteRange, at offset: Int
  ) throws(FileError) -> Int {
    try files.read(file, into: &memory, range, at: offset)
  }

  /// Writes `range` to another file.
  func write<Files: FileSystem>(_ files: Files, _ target: File, _ range: ByteRange, at offset: Int)
    throws(FileError)
  {
    try files.write(target, from: memory, range, at: offset)
  }

  /// The bytes of `range`.
  @_lifetime(borrow self)
  func bytes(_ range: ByteRange) -> RawSpan { memory.bytes(range) }

  /// Fills `range` with one byte.
  mutating func fill(_ range: ByteRange, with byte: UInt8) { memory.fill(range, with: byte) }

  /// Moves the bytes of `range` to `offset`.
  mutating func move(_ range: ByteRange, to offset: Int) { memory.move(range, to: offset) }
}
