// The real file system with one fault: the N-th verb that changes something, or opens a file,
// fails, once or from then on until it is healed.

import PenstockCore
import Synchronization

/// What fails, and how.
struct Fault: Sendable, CustomStringConvertible {
  /// What a verb has done when it fails.
  enum Effect: String, Sendable {
    /// Nothing.
    case nothing
    /// All of it: only the answer is wrong. Of a write, the first half.
    case done
  }
  var code: Int32
  var isLasting: Bool
  var effect = Effect.nothing

  var description: String {
    "errno \(code), \(isLasting ? "for good" : "once"), having done "
      + (effect == .nothing ? "nothing" : "it")
  }
}

/// A file system whose N-th changing verb fails.
final class FaultyFiles: LinkingFileSystem {
  typealias Operation = FileError.Operation

  private struct State {
    var number = 0
    var isHealed = false
    var injected: [Operation: Int] = [:]
    var openCount = 0
  }

  private let files = LinuxFileSystem()
  private let state = Mutex(State())
  private let failing: Int
  private let fault: Fault

  /// - Parameter failing: the number of the first verb that fails, counted from 1.
  init(at failing: Int, _ fault: Fault) {
    self.failing = failing
    self.fault = fault
  }

  /// Ends the fault.
  func heal() { state.withLock { $0.isHealed = true } }

  /// Faults so far, by verb.
  var injected: [Operation: Int] { state.withLock { $0.injected } }

  /// Files that are open.
  var openCount: Int { state.withLock { $0.openCount } }

  /// Whether the next changing verb is to fail.
  private func fails(_ operation: Operation) -> Bool {
    state.withLock { state in
      state.number += 1
      guard !state.isHealed,
        state.number == failing || fault.isLasting && state.number > failing
      else { return false }
      state.injected[operation, default: 0] += 1
      return true
    }
  }

  /// Does a verb, or fails it.
  private func change(
    _ operation: Operation, _ path: String, _ verb: () throws(FileError) -> Void
  ) throws(FileError) {
    guard fails(operation) else { return try verb() }
    if fault.effect == .done { try verb() }
    throw FileError(operation, path, code: fault.code)
  }

  func makeDirectory(_ path: String) throws(FileError) {
    try change(.makeDirectory, path) { () throws(FileError) in try files.makeDirectory(path) }
  }
  func rename(_ path: String, to other: String) throws(FileError) {
    try change(.rename, path) { () throws(FileError) in try files.rename(path, to: other) }
  }
  func unlink(_ path: String) throws(FileError) {
    try change(.unlink, path) { () throws(FileError) in try files.unlink(path) }
  }
  func link(_ path: String, to other: String) throws(FileError) {
    try change(.link, path) { () throws(FileError) in try files.link(path, to: other) }
  }
  func removeDirectory(_ path: String) throws(FileError) {
    try change(.unlink, path) { () throws(FileError) in try files.removeDirectory(path) }
  }
  func syncDirectory(_ path: String) throws(FileError) {
    try change(.syncDirectory, path) { () throws(FileError) in try files.syncDirectory(path) }
  }
  func syncData(_ file: File) throws(FileError) {
    try change(.sync, name(file)) { () throws(FileError) in try files.syncData(file) }
  }
  func syncFile(_ file: File) throws(FileError) {
    try change(.sync, name(file)) { () throws(FileError) in try files.syncFile(file) }
  }
  func allocate(_ file: File, byteCount: Int) throws(FileError) {
    try change(.allocate, name(file)) { () throws(FileError) in
      try files.allocate(file, byteCount: byteCount)
    }
  }
  func truncate(_ file: File, byteCount: Int) throws(FileError) {
    try change(.truncate, name(file)) { () throws(FileError) in
      try files.truncate(file, byteCount: byteCount)
    }
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    if fails(.open) {
      // The answer is lost, the file it made is not.
      if fault.effect == .done { files.close(try files.open(path, mode)) }
      throw FileError(.open, path, code: fault.code)
    }
    let file = try files.open(path, mode)
    state.withLock { $0.openCount += 1 }
    return file
  }
  func close(_ file: File) {
    state.withLock { $0.openCount -= 1 }
    files.close(file)
  }
  func write(
    _ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) {
    guard fails(.write) else {
      return try files.write(file, from: memory, range, at: offset)
    }
    let block = AlignedBuffer.pageByteCount
    let half = range.count / 2 / block * block
    if fault.effect == .done, half > 0 {
      try files.write(
        file, from: memory, range.lowerBound..<(range.lowerBound + half), at: offset)
    }
    throw FileError(.write, name(file), code: fault.code)
  }

  func list(_ path: String) throws(FileError) -> [String] { try files.list(path) }
  func space(_ path: String) throws(FileError) -> (free: Int, total: Int) { try files.space(path) }
  func byteCount(_ file: File) throws(FileError) -> Int { try files.byteCount(file) }
  func read(
    _ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) -> Int {
    try files.read(file, into: &memory, range, at: offset)
  }
  func dropCache(_ file: File) { files.dropCache(file) }
  func directAlignment(_ file: File) -> Int { files.directAlignment(file) }
  func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    try files.lock(file, waiting: milliseconds)
  }

  private func name(_ file: File) -> String {
    System.path(ofDescriptor: file.descriptor) ?? "a file"
  }
}
