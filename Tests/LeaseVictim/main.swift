// A process to be killed: holds a log's lease as a shard does and keeps many large direct writes
// on their way, until somebody ends it.
//
//     LeaseVictim (ring | poll) (kept | ordinary) ROOT DATA COUNT KIBIBYTES
//
// `kept` moves the lease's descriptor into the backend's table as a shard does; `ordinary` leaves it
// open like any other file, to show what that would cost. DATA is a file of COUNT parts of so many KiB that
// is written over and over, one write on its way to each of its parts, the first block of each write
// of another byte than that of the write before. The file DATA.ready says that all are.

internal import CShims
internal import PenstockCore

/// What the command line says.
private struct Victim {
  var isKept: Bool
  var layout: StoreLayout
  var data: String
  var count: Int
  var partByteCount: Int

  /// It ends by itself after so long, in nanoseconds: whoever was to kill it is gone.
  private static let lifeNanoseconds: Int64 = 60_000_000_000

  init?(_ words: [String]) {
    guard words.count == 7, let count = Int(words[5]), let size = Int(words[6]) else { return nil }
    isKept = words[2] == "kept"
    layout = StoreLayout(root: words[3])
    data = words[4]
    self.count = count
    partByteCount = size << 10
  }

  var limits: Limits {
    var limits = Limits()
    limits.batchSlotCount = count
    limits.batchSlotByteCount = partByteCount
    limits.connectionCountMax = 16
    return limits
  }

  func run<Machine: IO & ~Copyable>(_ io: inout Machine, _ memory: inout ShardMemory) throws {
    let lease = try Lease.acquire(io.files, layout, LogNumber(0), waiting: 5000)
    if isKept { try io.keep(lease.file, in: FileSlot(0)) }
    try io.keep(try io.files.open(data, .writeDirect), in: FileSlot(1))
    for part in 0..<count { write(part, &io, &memory) }
    try io.submitAndWait(count: 0, timeoutNanoseconds: 0)
    io.files.close(try io.files.open(data + ".ready", .createIfMissing))
    let end = io.monotonicNanoseconds() + Victim.lifeNanoseconds
    while io.monotonicNanoseconds() < end {
      try io.submitAndWait(count: 1, timeoutNanoseconds: 10_000_000)
      while let completion = io.nextCompletion() {
        precondition(completion.result >= 0, "a write failed")
        write(completion.token.slot, &io, &memory)
      }
    }
  }

  private func write<Machine: IO & ~Copyable>(
    _ part: Int, _ io: inout Machine, _ memory: inout ShardMemory
  ) {
    let start = part * partByteCount
    let life = memory.commits.bytes(start..<(start + 1)).byte(at: 0)
    memory.commits.fill(start..<(start + AlignedBuffer.pageByteCount), with: life &+ 1)
    io.commit(
      FileSlot(1), start..<(start + partByteCount), at: start,
      token: Token(.commit, slot: part))
  }
}

private func run(_ words: [String]) throws {
  guard let victim = Victim(words) else { penstock_exit(64) }
  var memory = ShardMemory(victim.limits)
  memory.commits.fill(0..<memory.commits.byteCount, with: UInt8(ascii: "v"))
  if words[1] == "ring" {
    var ring = try Ring(memory, victim.limits)
    try victim.run(&ring, &memory)
  } else {
    var poller = try Poller(memory, victim.limits)
    try victim.run(&poller, &memory)
  }
}

try run(CommandLine.arguments)
