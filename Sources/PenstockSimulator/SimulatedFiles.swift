// One process's view of the simulated disk: the synchronous half of the I/O seam.
//
// Every verb counts as one operation of its process, which may be its last: a process that is killed
// in the middle of a write leaves a part of it behind.

package import PenstockCore

/// The file system as one process sees it.
package struct SimulatedFiles: FileSystem {
  let disk: SimulatedDisk
  /// The process whose calls these are.
  let process: Int

  /// What calls of a dead process get.
  static let killedCode: Int32 = 3
  /// What an operation gets that the device refuses.
  static let brokenCode: Int32 = 5

  package init(_ disk: SimulatedDisk, process: Int) {
    self.disk = disk
    self.process = process
  }

  // MARK: - Operations

  private enum Fate { case goesOn, dies }

  /// Counts an operation; throws when the process is dead or dies of it.
  private static func step(_ state: inout DiskState, _ process: Int) -> Fate? {
    if state.deadProcesses.contains(process) { return nil }
    guard let left = state.operationsLeft[process] else { return .goesOn }
    state.operationsLeft[process] = left - 1
    return left > 1 ? .goesOn : .dies
  }

  /// Whether this operation is the one that fails.
  private static func fails(_ state: inout DiskState, _ process: Int) -> Bool {
    guard let left = state.operationsToFailure[process] else { return false }
    state.operationsToFailure[process] = left > 1 ? left - 1 : nil
    return left <= 1
  }

  private func operate<R: Sendable>(
    _ operation: FileError.Operation, _ path: String,
    failing: (inout DiskState) -> Void = { _ in },
    _ body: (inout DiskState, _ dies: Bool) -> Result<R, FileError>
  ) throws(FileError) -> R {
    let killed = FileError(operation, path, code: SimulatedFiles.killedCode)
    let (result, died): (Result<R, FileError>, Bool) = disk.with { state in
      switch SimulatedFiles.step(&state, process) {
      case nil: return (.failure(killed), false)
      case .goesOn:
        if SimulatedFiles.fails(&state, process) {
          state.note("failed \(operation.rawValue)")
          failing(&state)
          return (SimulatedFiles.failed(operation, path, SimulatedFiles.brokenCode), false)
        }
        return (body(&state, false), false)
      case .dies:
        _ = body(&state, true)
        return (.failure(killed), true)
      }
    }
    if died { disk.kill(process) }
    return try result.get()
  }

  private static func failed<R>(
    _ operation: FileError.Operation, _ path: String, _ code: Int32
  ) -> Result<R, FileError> { .failure(FileError(operation, path, code: code)) }

  /// Runs `body` on an open file; unaligned direct access fails as the kernel's does.
  private func onFile<R: Sendable>(
    _ operation: FileError.Operation, _ file: File, _ numbers: [Int] = [],
    _ body: (inout DiskState, DiskState.OpenFile, _ dies: Bool) -> Result<R, FileError>
  ) throws(FileError) -> R {
    let failing = { (state: inout DiskState) in
      guard operation == .sync, let open = state.openFiles[file.descriptor] else { return }
      state.failSync(open.inode)
    }
    return try operate(operation, "descriptor \(file.descriptor)", failing: failing) {
      state, dies in
      guard let open = state.openFiles[file.descriptor], open.process == process else {
        preconditionFailure("a file is used that is not open")
      }
      if open.isDirect, numbers.contains(where: { $0 % 512 != 0 }) {
        return SimulatedFiles.failed(operation, open.path, 22)
      }
      return body(&state, open, dies)
    }
  }

  // MARK: - Names

  package func list(_ path: String) throws(FileError) -> [String] {
    try operate(.list, path) { state, _ in
      let prefix = path + "/"
      let all = state.names.keys.sorted() + state.folders.sorted()
      let inside = all.filter {
        $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/")
      }
      return .success(inside.map { String($0.dropFirst(prefix.count)) })
    }
  }

  package func makeDirectory(_ path: String) throws(FileError) {
    try operate(.makeDirectory, path) { state, _ in
      state.folders.insert(path).inserted
        ? .success(()) : SimulatedFiles.failed(.makeDirectory, path, System.exists)
    }
  }

  package func rename(_ path: String, to other: String) throws(FileError) {
    try operate(.rename, path) { state, _ -> Result<Void, FileError> in
      guard let inode = state.names.removeValue(forKey: path) else {
        return SimulatedFiles.failed(.rename, path, System.notFound)
      }
      state.names[other] = inode
      return .success(())
    }
  }

  package func unlink(_ path: String) throws(FileError) {
    try operate(.unlink, path) { state, _ -> Result<Void, FileError> in
      guard let inode = state.names.removeValue(forKey: path) else {
        return SimulatedFiles.failed(.unlink, path, System.notFound)
      }
      state.freeByteCount += state.inodes[inode].visible.count
      return .success(())
    }
  }

  package func syncDirectory(_ path: String) throws(FileError) {
    try operate(.syncDirectory, path) { state, _ -> Result<Void, FileError> in
      if state.canary == .noFolderSync { return .success(()) }
      let isInside = { (name: String) in
        name.hasPrefix(path + "/") && !name.dropFirst(path.count + 1).contains("/")
      }
      state.durableNames = state.durableNames.filter { !isInside($0.key) }
      for (name, inode) in state.names where isInside(name) { state.durableNames[name] = inode }
      return .success(())
    }
  }

  package func space(_ path: String) throws(FileError) -> (free: Int, total: Int) {
    let free = try operate(.freeSpace, path) { state, _ in .success(state.freeByteCount) }
    return (free, 1 << 30)
  }

  // MARK: - Files

  package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    let isDirect = mode == .readDirect || mode == .writeDirect || mode == .createDirect
    let creates = mode == .create || mode == .createDirect
    return try operate(.open, path) { state, dies in
      let inode: Int
      if let found = state.names[path] {
        if creates { return SimulatedFiles.failed(.open, path, System.exists) }
        inode = found
      } else {
        guard creates || mode == .createIfMissing else {
          return SimulatedFiles.failed(.open, path, System.notFound)
        }
        inode = state.inodes.count
        state.inodes.append(DiskState.Inode())
        state.names[path] = inode
      }
      if isDirect { state.dropCache(inode) }
      let descriptor = state.nextDescriptor
      state.nextDescriptor += 1
      if !dies {
        state.openFiles[descriptor] = DiskState.OpenFile(
          inode: inode, path: path, process: process, isDirect: isDirect)
      }
      return .success(File(descriptor: descriptor))
    }
  }

  package func close(_ file: File) {
    disk.with { state in
      guard let open = state.openFiles.removeValue(forKey: file.descriptor) else { return }
      // A lock belongs to the descriptor that took it.
      let isShared = state.openFiles.values.contains {
        $0.inode == open.inode && $0.process == open.process
      }
      if !isShared, state.inodes[open.inode].lockedBy == open.process {
        state.inodes[open.inode].lockedBy = nil
      }
    }
  }

  package func byteCount(_ file: File) throws(FileError) -> Int {
    try onFile(.read, file) { state, open, _ in
      .success(state.inodes[open.inode].visible.count)
    }
  }

  package func read(
    _ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) -> Int {
    let bytes: [UInt8] = try onFile(.read, file, [range.lowerBound, range.count, offset]) {
      state, open, _ in
      let all = state.inodes[open.inode].visible
      let start = min(offset, all.count)
      return .success(Array(all[start..<min(start + range.count, all.count)]))
    }
    memory.copy(bytes.rawSpan, to: range.lowerBound)
    return bytes.count
  }

  package func write(
    _ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) {
    let bytes = memory.bytes(range).array()
    try onFile(.write, file, [range.lowerBound, range.count, offset]) {
      state, open, dies -> Result<Void, FileError> in
      if dies {
        let part = state.random.below(bytes.count + 1) & ~511
        state.write(Array(bytes[..<part]), to: open.inode, at: offset)
        return .success(())
      }
      state.write(bytes, to: open.inode, at: offset)
      return .success(())
    }
  }

  package func syncData(_ file: File) throws(FileError) {
    try onFile(.sync, file) { state, open, dies -> Result<Void, FileError> in
      if dies, state.random.chance(50) { return .success(()) }
      let isLive = open.path.hasSuffix(".log")
      if state.canary == .unprovedPublished, state.isRecovering, isLive { return .success(()) }
      if state.canary == .earlyUnlink, open.path.hasSuffix("/manifest") { return .success(()) }
      state.sync(open.inode)
      return .success(())
    }
  }

  package func syncFile(_ file: File) throws(FileError) { try syncData(file) }

  package func allocate(_ file: File, byteCount: Int) throws(FileError) {
    try onFile(.allocate, file) { state, open, _ -> Result<Void, FileError> in
      let missing = byteCount - state.inodes[open.inode].visible.count
      guard missing > 0 else { return .success(()) }
      guard missing <= state.freeByteCount else {
        return SimulatedFiles.failed(.allocate, open.path, System.noSpace)
      }
      state.freeByteCount -= missing
      state.inodes[open.inode].visible.append(contentsOf: [UInt8](repeating: 0, count: missing))
      return .success(())
    }
  }

  package func truncate(_ file: File, byteCount: Int) throws(FileError) {
    try onFile(.truncate, file) { state, open, _ -> Result<Void, FileError> in
      let extra = state.inodes[open.inode].visible.count - byteCount
      if extra > 0 {
        state.inodes[open.inode].visible.removeLast(extra)
        state.inodes[open.inode].dirty = state.inodes[open.inode].dirty.map {
          $0.clamped(to: 0..<byteCount)
        }
        state.freeByteCount += extra
      } else {
        state.inodes[open.inode].visible.append(contentsOf: [UInt8](repeating: 0, count: -extra))
      }
      return .success(())
    }
  }

  package func dropCache(_ file: File) {
    disk.with { state in
      guard let open = state.openFiles[file.descriptor] else { return }
      state.dropCache(open.inode)
    }
  }

  package func directAlignment(_ file: File) -> Int { 4096 }

  package func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    try onFile(.lock, file) { state, open, _ in
      if let holder = state.inodes[open.inode].lockedBy, holder != process {
        return .success(false)
      }
      state.inodes[open.inode].lockedBy = process
      return .success(true)
    }
  }
}
