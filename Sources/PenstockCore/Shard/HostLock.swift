// The lock of a daemon, and which logs are its shards'.
//
//     run/host.lock      "pid=" number " shards=" number LF      locked for as long as the daemon runs
//
//     daemon     lock, text ─▶ is one of its logs leased? refuse to serve ─▶ shards
//     program    lease a log ─▶ is it a daemon's? give it back
//
// While a shard is started again nobody holds its log's lease, and still it is nobody else's: without
// it its share of the connections would be served by nobody. Daemon and program each look at what the
// other takes after they took their own. So at most one of them goes on, whoever came first.

internal import CShims

/// One daemon serves a store at a time.
package enum HostLock {
  /// How long a daemon waits for the lock, in milliseconds: who only asks for it holds it for a moment.
  private static let waitMilliseconds = 200

  /// Why the lock was not acquired.
  package enum Failure: Error, Sendable {
    /// Another daemon has it; its process, when the file tells.
    case held(process: Int?)
    case failed(FileError)
  }

  private static func path(_ layout: StoreLayout) -> String { layout.run + "/host.lock" }

  /// Acquires the lock of a store for a daemon with so many shards; who closes it gives it back.
  package static func acquire(_ layout: StoreLayout, shardCount: Int) throws(Failure) -> File {
    do throws(FileError) {
      let files = LinuxFileSystem()
      let file = try files.open(path(layout), .createIfMissing)
      if try lock(files, file, layout, shardCount) { return file }
      files.close(file)
    } catch {
      throw .failed(error)
    }
    throw .held(process: said(layout)?.process)
  }

  private static func lock(
    _ files: LinuxFileSystem, _ file: File, _ layout: StoreLayout, _ shardCount: Int
  ) throws(FileError) -> Bool {
    do throws(FileError) {
      guard try files.lock(file, waiting: waitMilliseconds) else { return false }
      let bytes = Array("pid=\(System.processIdentifier) shards=\(shardCount)\n".utf8)
      var memory = AlignedBuffer(byteCount: bytes.count)
      memory.copy(bytes.rawSpan, to: 0)
      try files.truncate(file, byteCount: 0)
      try files.write(file, from: memory, 0..<bytes.count, at: 0)
      return true
    } catch {
      files.close(file)
      throw error
    }
  }

  /// Whether a log is one of those a daemon serves that runs now.
  package static func serves(_ log: LogNumber, of layout: StoreLayout) throws(FileError) -> Bool {
    let files = LinuxFileSystem()
    let file: File
    do throws(FileError) {
      file = try files.open(path(layout), .read)
    } catch {
      if error.code == System.notFound { return false }
      throw error
    }
    defer { files.close(file) }
    guard penstock_is_locked(file.descriptor) else { return false }
    // One that has not said yet how many it serves may serve this one.
    return said(layout)?.shardCount.map { Int(log.value) < $0 } ?? true
  }

  private static func said(_ layout: StoreLayout) -> (process: Int, shardCount: Int?)? {
    guard let text = System.contents(ofFile: path(layout), byteCountMax: 4096) else { return nil }
    let span = text.rawSpan
    let end = span.nearIndex(of: Byte.lineFeed, from: 0, to: text.count)
    let stop = span.nearIndex(of: Byte.space, from: 0, to: end)
    guard span.hasBytes("pid=", at: 0), end < text.count,
      let process = span.decimal(4..<max(4, stop), digitCountMax: 9)
    else { return nil }
    guard span.hasBytes(" shards=", at: stop) else { return (process, nil) }
    return (process, span.decimal((stop + 8)..<end, digitCountMax: 3))
  }
}
