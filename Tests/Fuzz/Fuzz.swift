// libFuzzer targets: hostile bytes for every decoder that meets bytes it did not write.
//
//     PenstockFuzz --target=NAME [--seeds=FOLDER --root=PACKAGE] [libFuzzer's options] CORPUS
//
// `--seeds` writes the target's first inputs into a folder and ends. libFuzzer itself ignores what
// begins with "--". `make fuzz` builds and runs all of them; only a sanitized build can link this.

import Foundation

/// What is fuzzed.
enum FuzzTarget: String, CaseIterable {
  /// Segment files: scanned, walked, recovered, recovered again.
  case recovery
  /// Table files: read, verified, salvaged.
  case table
  /// Columns of texts and numbers: decoded, encoded, decoded again.
  case text
  /// Files to be imported: NDJSON, CSV, text, and their times.
  case `import`
  /// A shard's connections: the line protocol and syslog over TCP, cut anywhere.
  case session
  /// Syslog messages, to event lines and back.
  case syslog

  func run(_ input: [UInt8]) {
    switch self {
    case .recovery: RecoveryFuzz.run(input)
    case .table: TableFuzz.run(input)
    case .text: TextFuzz.run(input)
    case .import: ImportFuzz.run(input)
    case .session: SessionFuzz.run(input)
    case .syslog: SyslogFuzz.run(input)
    }
  }

  static let chosen: FuzzTarget = {
    guard let name = option("target"), let target = FuzzTarget(rawValue: name) else {
      fail("expected --target= with one of \(allCases.map(\.rawValue).joined(separator: " "))")
    }
    return target
  }()

  /// The value of `--name=value` on the command line.
  static func option(_ name: String) -> String? {
    let prefix = "--\(name)="
    return CommandLine.arguments.first { $0.hasPrefix(prefix) }.map {
      String($0.dropFirst(prefix.count))
    }
  }

  private static func fail(_ text: String) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(2)
  }
}

/// A property that has to hold for every input; the fuzzer keeps the input when it does not.
func require(_ condition: Bool, _ what: @autoclosure () -> String) {
  guard condition else { preconditionFailure("finding: \(what())") }
}

/// Runs `body`, which has no reason to fail.
func requireSuccess<R>(_ what: String, _ body: () throws -> R) -> R {
  do {
    return try body()
  } catch {
    preconditionFailure("finding: \(what): \(error)")
  }
}

@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzer(
  _ count: UnsafeMutableRawPointer, _ arguments: UnsafeMutableRawPointer
) -> CInt {
  let target = FuzzTarget.chosen
  if let folder = FuzzTarget.option("seeds") {
    Seeds.write(target, to: folder, root: FuzzTarget.option("root") ?? ".")
    exit(0)
  }
  return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
  FuzzTarget.chosen.run(input)
  return 0
}
