// The registered memory of a simulated shard, as its kernel sees it: addresses, read and written
// while the shard is not looking.
//
// Every access is checked against the sizes the buffers were made with. The addresses are valid for
// as long as the shard lives: the machine forgets them when it ends (`SimulatedMachine.end`).

internal import PenstockCore

/// The kernel's view of a shard's buffers.
@safe
struct KernelMemory {
  private let streams: UnsafeMutableRawPointer
  private let datagrams: UnsafeMutableRawPointer
  private let commits: UnsafeMutableRawPointer
  private let answers: UnsafeMutableRawPointer
  private let streamByteCount: Int
  private let datagramByteCount: Int
  private let commitByteCount: Int
  private let answerByteCount: Int

  init(_ memory: borrowing ShardMemory) {
    streamByteCount = memory.streams.byteCount
    datagramByteCount = memory.datagrams.byteCount
    commitByteCount = memory.commits.byteCount
    answerByteCount = memory.answers.byteCount
    unsafe streams = memory.streams.address(0..<memory.streams.byteCount)
    unsafe datagrams = memory.datagrams.address(0..<memory.datagrams.byteCount)
    unsafe commits = memory.commits.address(0..<memory.commits.byteCount)
    unsafe answers = memory.answers.address(0..<memory.answers.byteCount)
  }

  /// The bytes of a batch on its way.
  func commit(_ range: ByteRange) -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= commitByteCount)
    return unsafe [UInt8](
      UnsafeRawBufferPointer(start: commits + range.lowerBound, count: range.count))
  }

  /// The bytes of an answer.
  func answer(_ range: ByteRange) -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= answerByteCount)
    return unsafe [UInt8](
      UnsafeRawBufferPointer(start: answers + range.lowerBound, count: range.count))
  }

  /// Fills a receive buffer.
  func receive(_ bytes: ArraySlice<UInt8>, at offset: Int) {
    precondition(offset >= 0 && offset + bytes.count <= streamByteCount)
    for (index, byte) in bytes.enumerated() {
      unsafe streams.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
    }
  }

  /// Fills a datagram buffer.
  func datagram(_ bytes: [UInt8], at offset: Int) {
    precondition(offset >= 0 && offset + bytes.count <= datagramByteCount)
    for (index, byte) in bytes.enumerated() {
      unsafe datagrams.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
    }
  }
}
