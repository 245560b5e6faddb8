// A file system in memory that fails and crashes where a test wants it to.
//
// What is durable: a file's bytes and size after a sync of the file, a name after a sync of its
// folder. What is not durable survives a power cut or not, block by block, as the seed decides.
// Every verb counts as one operation, so that a test can fail the N-th, once or from then on.

import PenstockCore
import Synchronization

final class MemoryFileSystem: FileSystem {
  enum Failing: Sendable { case never, once(Int), from(Int) }

  /// What becomes of bytes and names that were not synced.
  enum PowerCut: Sendable { case keepsAll, dropsAll, random(seed: UInt64) }

  private struct Inode {
    var bytes: [UInt8] = []
    var synced: [UInt8] = []
    var isLocked = false
  }

  private struct State {
    var inodes: [Inode] = []
    var names: [String: Int] = [:]
    var syncedNames: [String: Int] = [:]
    var folders: Set<String> = []
    var openFiles: [Int32: (inode: Int, path: String, isDirect: Bool)] = [:]
    var nextDescriptor: Int32 = 3
    var operationCount = 0
    var failing = Failing.never
    var failureCode: Int32 = 5
    var freeByteCount = 1 << 40
    var readsFailing: [String: Range<Int>] = [:]
  }

  static let blockByteCount = 4096
  private let state = Mutex(State())
  private let readHook = Mutex<(@Sendable (_ path: String, _ offset: Int) -> Void)?>(nil)
  private let alignment: Int

  /// - Parameter alignment: what direct I/O asks for; 0 when it is not supported.
  init(alignment: Int = 4096) { self.alignment = alignment }

  // MARK: - What tests arrange

  /// Starts counting operations anew and fails as told.
  func fail(_ failing: Failing, code: Int32 = 5) {
    state.withLock {
      $0.operationCount = 0
      $0.failing = failing
      $0.failureCode = code
    }
  }

  var operationCount: Int { state.withLock { $0.operationCount } }

  func setFreeByteCount(_ count: Int) { state.withLock { $0.freeByteCount = count } }

  /// Makes reads that touch `range` of `path` fail as a damaged medium does.
  func breakMedium(_ path: String, _ range: Range<Int>) {
    state.withLock { $0.readsFailing[path] = range }
  }

  /// Calls `hook` before every read: what a writer does meanwhile.
  func beforeReads(_ hook: (@Sendable (_ path: String, _ offset: Int) -> Void)?) {
    readHook.withLock { $0 = hook }
  }

  /// Puts a file there, durable.
  func put(_ path: String, _ bytes: [UInt8]) {
    state.withLock { state in
      let inode = state.names[path] ?? state.inodes.count
      if inode == state.inodes.count { state.inodes.append(Inode()) }
      state.inodes[inode] = Inode(bytes: bytes, synced: bytes)
      state.names[path] = inode
      state.syncedNames[path] = inode
    }
  }

  func bytes(_ path: String) -> [UInt8]? {
    state.withLock { state in state.names[path].map { state.inodes[$0].bytes } }
  }

  func remove(_ path: String) {
    state.withLock { state in
      state.names[path] = nil
      state.syncedNames[path] = nil
    }
  }

  var paths: [String] { state.withLock { $0.names.keys.sorted() } }

  var openCount: Int { state.withLock { $0.openFiles.count } }

  /// A copy in which every open file is closed and nothing fails: the machine after a restart.
  func restarted(_ cut: PowerCut = .keepsAll) -> MemoryFileSystem {
    let copy = MemoryFileSystem(alignment: alignment)
    let old = state.withLock { $0 }
    copy.state.withLock { new in
      new.inodes = old.inodes
      new.names = old.names
      new.folders = old.folders
      new.readsFailing = old.readsFailing
      MemoryFileSystem.cutPower(&new, old.syncedNames, cut)
    }
    return copy
  }

  private static func cutPower(_ state: inout State, _ syncedNames: [String: Int], _ cut: PowerCut)
  {
    var random = TestRandom(seed: 0)
    switch cut {
    case .keepsAll: break
    case .dropsAll:
      state.names = syncedNames
      for inode in state.inodes.indices { state.inodes[inode].bytes = state.inodes[inode].synced }
    case .random(let seed):
      random = TestRandom(seed: seed)
      var names = syncedNames
      for path in state.names.keys.sorted() where names[path] == nil {
        if random.chance(50) { names[path] = state.names[path] }
      }
      // What was unlinked may be gone without a sync of its folder.
      for path in syncedNames.keys.sorted() where state.names[path] == nil {
        if random.chance(50) { names[path] = nil }
      }
      state.names = names
      for inode in state.inodes.indices { tear(&state.inodes[inode], &random) }
    }
    for inode in state.inodes.indices { state.inodes[inode].synced = state.inodes[inode].bytes }
    state.syncedNames = state.names
  }

  private static func tear(_ inode: inout Inode, _ random: inout TestRandom) {
    var bytes = random.chance(50) ? inode.bytes : inode.synced
    for start in stride(from: 0, to: bytes.count, by: blockByteCount) {
      let source = random.chance(50) ? inode.bytes : inode.synced
      for index in start..<min(start + blockByteCount, bytes.count) {
        bytes[index] = index < source.count ? source[index] : 0
      }
    }
    inode.bytes = bytes
  }

  // MARK: - Verbs

  private func operate<R: Sendable>(
    _ operation: FileError.Operation, _ path: String, _ body: (inout State) -> Result<R, FileError>
  ) throws(FileError) -> R {
    let result: Result<R, FileError> = state.withLock { state in
      state.operationCount += 1
      let fails =
        switch state.failing {
        case .never: false
        case .once(let number): state.operationCount == number
        case .from(let number): state.operationCount >= number
        }
      if fails { return .failure(FileError(operation, path, code: state.failureCode)) }
      return body(&state)
    }
    return try result.get()
  }

  private static func failure<R>(
    _ operation: FileError.Operation, _ path: String, _ code: Int32
  ) -> Result<R, FileError> { .failure(FileError(operation, path, code: code)) }

  func list(_ path: String) throws(FileError) -> [String] {
    try operate(.list, path) { state in
      let prefix = path + "/"
      return .success(
        (Array(state.names.keys) + Array(state.folders)).filter {
          $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/")
        }.map { String($0.dropFirst(prefix.count)) }.shuffled())
    }
  }

  func makeDirectory(_ path: String) throws(FileError) {
    try operate(.makeDirectory, path) { state in
      state.folders.insert(path).inserted
        ? .success(()) : Self.failure(.makeDirectory, path, System.exists)
    }
  }

  func rename(_ path: String, to other: String) throws(FileError) {
    try operate(.rename, path) { state -> Result<Void, FileError> in
      guard let inode = state.names.removeValue(forKey: path) else {
        return Self.failure(.rename, path, System.notFound)
      }
      state.names[other] = inode
      return .success(())
    }
  }

  func unlink(_ path: String) throws(FileError) {
    try operate(.unlink, path) { state in
      state.names.removeValue(forKey: path) == nil
        ? Self.failure(.unlink, path, System.notFound) : .success(())
    }
  }

  func syncDirectory(_ path: String) throws(FileError) {
    try operate(.syncDirectory, path) { state in
      // The names in it, not those in its folders.
      let isInside = { (name: String) in
        name.hasPrefix(path + "/") && !name.dropFirst(path.count + 1).contains("/")
      }
      state.syncedNames = state.syncedNames.filter { !isInside($0.key) }
      for (name, inode) in state.names where isInside(name) { state.syncedNames[name] = inode }
      return .success(())
    }
  }

  func space(_ path: String) throws(FileError) -> (free: Int, total: Int) {
    let free = try operate(.freeSpace, path) { .success($0.freeByteCount) }
    return (free, 1 << 40)
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    let isDirect = mode == .readDirect || mode == .writeDirect || mode == .createDirect
    let creates = mode == .create || mode == .createDirect
    return try operate(.open, path) { state in
      if isDirect, alignment == 0 { return Self.failure(.open, path, 22) }
      if let inode = state.names[path] {
        if creates { return Self.failure(.open, path, System.exists) }
        return .success(Self.descriptor(&state, inode, path, isDirect))
      }
      guard creates || mode == .createIfMissing else {
        return Self.failure(.open, path, System.notFound)
      }
      let inode = state.inodes.count
      state.inodes.append(Inode())
      state.names[path] = inode
      return .success(Self.descriptor(&state, inode, path, isDirect))
    }
  }

  private static func descriptor(
    _ state: inout State, _ inode: Int, _ path: String, _ isDirect: Bool
  ) -> File {
    state.openFiles[state.nextDescriptor] = (inode, path, isDirect)
    state.nextDescriptor += 1
    return File(descriptor: state.nextDescriptor - 1)
  }

  func close(_ file: File) {
    state.withLock { state in
      precondition(state.openFiles.removeValue(forKey: file.descriptor) != nil)
    }
  }

  /// Runs `body` on the open file's inode; unaligned direct access fails as the kernel's does.
  private func onFile<R: Sendable>(
    _ operation: FileError.Operation, _ file: File, _ ranges: [Int] = [],
    _ body: (inout State, Int, String) -> Result<R, FileError>
  ) throws(FileError) -> R {
    try operate(operation, "descriptor \(file.descriptor)") { state in
      guard let open = state.openFiles[file.descriptor] else {
        preconditionFailure("a closed file is used")
      }
      if open.isDirect, ranges.contains(where: { $0 % 512 != 0 }) {
        return Self.failure(operation, open.path, 22)
      }
      return body(&state, open.inode, open.path)
    }
  }

  func byteCount(_ file: File) throws(FileError) -> Int {
    try onFile(.read, file) { state, inode, _ in .success(state.inodes[inode].bytes.count) }
  }

  func read(_ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError) -> Int
  {
    if let hook = readHook.withLock({ $0 }) {
      hook(state.withLock { $0.openFiles[file.descriptor]?.path ?? "" }, offset)
    }
    let bytes: [UInt8] = try onFile(.read, file, [range.lowerBound, range.count, offset]) {
      state, inode, path in
      if let broken = state.readsFailing[path],
        broken.overlaps(offset..<(offset + range.count))
      {
        return Self.failure(.read, path, 5)
      }
      let all = state.inodes[inode].bytes
      let start = min(offset, all.count)
      return .success(Array(all[start..<min(start + range.count, all.count)]))
    }
    memory.copy(bytes.rawSpan, to: range.lowerBound)
    return bytes.count
  }

  func write(_ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError)
  {
    let bytes = memory.bytes(range).array()
    try onFile(.write, file, [range.lowerBound, range.count, offset]) { state, inode, _ in
      let end = offset + bytes.count
      let missing = end - state.inodes[inode].bytes.count
      if missing > 0 {
        state.inodes[inode].bytes.append(contentsOf: [UInt8](repeating: 0, count: missing))
      }
      state.inodes[inode].bytes.replaceSubrange(offset..<end, with: bytes)
      return .success(())
    }
  }

  func syncData(_ file: File) throws(FileError) {
    try onFile(.sync, file) { state, inode, _ in
      state.inodes[inode].synced = state.inodes[inode].bytes
      return .success(())
    }
  }

  func syncFile(_ file: File) throws(FileError) { try syncData(file) }

  func allocate(_ file: File, byteCount: Int) throws(FileError) {
    try onFile(.allocate, file) { state, inode, path -> Result<Void, FileError> in
      let missing = byteCount - state.inodes[inode].bytes.count
      guard missing <= state.freeByteCount else {
        return Self.failure(.allocate, path, System.noSpace)
      }
      state.freeByteCount -= max(0, missing)
      if missing > 0 {
        state.inodes[inode].bytes.append(contentsOf: [UInt8](repeating: 0, count: missing))
      }
      return .success(())
    }
  }

  func truncate(_ file: File, byteCount: Int) throws(FileError) {
    try onFile(.truncate, file) { state, inode, _ in
      let extra = state.inodes[inode].bytes.count - byteCount
      if extra > 0 {
        state.inodes[inode].bytes.removeLast(extra)
        state.freeByteCount += extra
      } else {
        state.inodes[inode].bytes.append(contentsOf: [UInt8](repeating: 0, count: -extra))
      }
      return .success(())
    }
  }

  func dropCache(_ file: File) {}

  func directAlignment(_ file: File) -> Int { alignment }

  func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    try onFile(.lock, file) { _, _, _ in .success(true) }
  }
}
