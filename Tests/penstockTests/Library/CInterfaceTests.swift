import Foundation
import Testing

/// libpenstock.so as programs of other languages use it. The programs are in Tests/CInterface.
@Suite struct CInterfaceTests {
  /// A folder with the library under its name, for a compiler and for programs.
  private final class Workplace {
    private let store: ServedStore

    init() throws {
      store = try ServedStore()
      let built = ServedStore.program.deletingLastPathComponent()
        .appendingPathComponent("libPenstockC.so")
      try FileManager.default.createSymbolicLink(
        atPath: library, withDestinationPath: built.path)
    }

    /// It goes with the store's.
    var folder: String { store.folder }
    var library: String { folder + "/libpenstock.so" }
    var data: String { store.data }

    /// Compiles a program of Tests/CInterface as a C99 program outside this package would be.
    func compile(_ name: String) throws -> String {
      let program = folder + "/" + name
      let include = CInterfaceTests.root.appendingPathComponent("Sources/CPenstock/include").path
      let result = try CInterfaceTests.run([
        "cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-pedantic", "-Wall", "-Wextra", "-Werror",
        "-pthread",
        "-o", program, CInterfaceTests.source(name + ".c").path, "-I", include, "-L", folder,
        "-lpenstock", "-Wl,-rpath," + folder,
      ])
      try #require(result.status == 0, "\(result.errors)")
      return program
    }

    /// What `penstock query` finds, each as stream, type and payload.
    func query(_ options: String...) throws -> [String] {
      let folder = options.contains("--data") ? [] : ["--data", data]
      let result = try ServedStore.run(["query"] + folder + ["--format", "ndjson"] + options)
      try #require(result.status == 0, "\(result.errors)")
      return try result.lines.map { line in
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
        let event = try #require(object as? [String: Any])
        return ["stream", "type", "payload"].map { event[$0] as? String ?? "-" }
          .joined(separator: " ")
      }
    }
  }

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../..").standardizedFileURL

  private static func source(_ name: String) -> URL {
    root.appendingPathComponent("Tests/CInterface/" + name)
  }

  private static func run(_ words: [String]) throws -> ProgramResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    return try ServedStore.capture(process)
  }

  private static func has(_ program: String) -> Bool {
    (try? run([program, "--version"]))?.status == 0
  }

  @Test(.enabled(if: has("cc"), "there is no C compiler 'cc'"))
  func `a program in C puts, commits, meets conflicts and iterates`() throws {
    let place = try Workplace()
    let result = try CInterfaceTests.run([try place.compile("example"), place.data])
    #expect(result.status == 0, "\(result.errors)")
    let first = try #require(result.lines.first?.split(separator: " ").dropFirst().first)
    let number = try #require(UInt64(first))
    let events = [
      "\(number) app/web Login user=7 [anna]", "\(number + 1) app/web Login user=7 [berta]",
      "\(number + 2) /orders/42 Placed [A1]", "\(number + 3) /orders/42 Paid [A1]",
      "\(number + 4) /orders/42 Paid [A1]",
    ]
    #expect(
      result.lines == [
        "event \(number) of log 0 is durable", "/orders/42 has Placed at \(number + 2)",
        "2 events from \(number + 3)", "/orders/42 has any event at \(number + 4)",
      ] + events + [events[4]] + events[0...1])
    #expect(
      try place.query() == [
        "app/web Login anna", "app/web Login berta", "/orders/42 Placed A1", "/orders/42 Paid A1",
        "/orders/42 Paid A1",
      ])
  }

  @Test(.enabled(if: has("python3"), "there is no 'python3'"))
  func `a program in Python does the same by ctypes`() throws {
    let place = try Workplace()
    let result = try CInterfaceTests.run([
      "python3", CInterfaceTests.source("example.py").path, place.library, place.data,
    ])
    #expect(result.status == 0, "\(result.errors)")
    let words = try #require(result.lines.first).split(separator: " ")
    let number = try #require(words.count == 4 ? UInt64(words[2]) : nil)
    let bytes = try #require(result.lines.first { $0.contains("{'user'") })
    #expect(bytes.hasPrefix("\(number) app/web Login {'user': 'ä b', 'empty': ''} b'\\x00\\x01"))
    #expect(bytes.hasSuffix("\\xfe\\xff'"))
    let placed = number + 5
    #expect(
      result.lines.filter { $0 != bytes } == [
        "put 0 \(number) 1", "put 0 \(number + 1) 2", "put 0 0 2", "head 0 True",
        "commit \(placed) 1", "conflict /orders/42 Placed True \(placed)",
        "conflict /orders/42 Placed True \(placed)", "conflict /orders/42  False \(placed)",
        "followed seen/a b'3' True 42", "archived True",
        "\(number + 1) app/a  {} b'1'", "\(number + 2) app/b  {} b'2'",
        "\(number + 3) app/a  {} b'1'", "\(number + 4) app/b  {} b'2'",
        "\(placed) /orders/42 Placed {} b'A1'", "\(placed + 1) seen/a  {'_id': '0000002a'} b'3'",
        "newest \(placed + 1) seen/a  {'_id': '0000002a'} b'3'",
        "app/[ab] [\(number + 1), \(number + 2), \(number + 3), \(number + 4)]",
      ])
    #expect(try place.query("--stream", "app/[ab]").count == 4)
    #expect(try place.query("--stream", "/orders/*") == ["/orders/42 Placed A1"])
  }

  @Test(.enabled(if: has("cc"), "there is no C compiler 'cc'"))
  func `what cannot be is refused with a code and a text, and changes nothing`() throws {
    let place = try Workplace()
    let file = place.folder + "/file"
    try Data("text".utf8).write(to: URL(fileURLWithPath: file))
    let result = try CInterfaceTests.run([try place.compile("refusals"), place.data, file])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(try place.query("--stream", "s") == ["s  x"])
    #expect(try place.query().count == 2)
    #expect(!FileManager.default.fileExists(atPath: "never-made"))
  }

  @Test(.enabled(if: has("cc"), "there is no C compiler 'cc'"))
  func `threads share a writer, and one that closes it ends the others with a code`() throws {
    let place = try Workplace()
    let result = try CInterfaceTests.run([try place.compile("threads"), place.data])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    let acknowledged = try #require(result.lines.first.flatMap { Int($0) })
    #expect(acknowledged >= 400)
    #expect(try place.query("--stream", "acknowledged").count == acknowledged)
  }

  @Test(.enabled(if: has("cc"), "there is no C compiler 'cc'"))
  func `a program in C sets options and ids, follows and archives`() throws {
    let place = try Workplace()
    let result = try CInterfaceTests.run([try place.compile("follow"), place.data])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(try place.query() == ["app/a  1", "app/b  2"])
    let names = try FileManager.default.subpathsOfDirectory(atPath: place.data + "/archive")
    #expect(names.contains { $0.hasSuffix(".table") })
    let description = try String(contentsOfFile: place.data + "/penstock.json", encoding: .utf8)
    #expect(description.contains("\"journalHashWidth\":4"))
  }

  @Test(.enabled(if: has("cc"), "there is no C compiler 'cc'"))
  func `a store stays where it was opened when its program goes elsewhere`() throws {
    let place = try Workplace()
    let folder = place.folder + "/folders"
    try FileManager.default.createDirectory(
      atPath: folder + "/elsewhere", withIntermediateDirectories: true)
    let result = try CInterfaceTests.run([try place.compile("folder"), folder])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(try place.query("--data", folder + "/store") == ["s  first", "s  linked"])
    #expect(try place.query("--data", folder + "/elsewhere/store") == ["s  second"])
    for store in ["/store", "/elsewhere/store"] {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + store + "/penstock.json"))
      let object = try JSONSerialization.jsonObject(with: bytes) as? [String: Any]
      let uuid = try #require(object?["uuid"] as? String)
      try? FileManager.default.removeItem(atPath: "/dev/shm/penstock-" + uuid)
    }
  }

  @Test(.enabled(if: has("nm"), "there is no 'nm'"))
  func `the library has the symbols of the header, and no other`() throws {
    let place = try Workplace()
    let header = try String(
      contentsOf: CInterfaceTests.root.appendingPathComponent(
        "Sources/CPenstock/include/penstock.h"), encoding: .utf8)
    let declared = header.matches(of: /penstock_code (penstock_[a-z_]+)\(/).map { String($0.1) }
    let result = try CInterfaceTests.run(["nm", "-D", "-g", "--defined-only", place.library])
    try #require(result.status == 0, "\(result.errors)")
    let exported = result.lines.compactMap { $0.split(separator: " ").last.map(String.init) }
    #expect(declared.count == 17)
    #expect(Set(exported) == Set(declared))
  }

  @Test func `the README shows code of the example`() throws {
    let readme = try String(
      contentsOf: CInterfaceTests.root.appendingPathComponent("README.md"), encoding: .utf8)
    let example = try String(contentsOf: CInterfaceTests.source("example.c"), encoding: .utf8)
    let parts = example.components(separatedBy: "  // snippet\n").dropFirst()
    #expect(parts.count == 2)
    for part in parts {
      let code = part.components(separatedBy: "  // end\n")[0]
      let shown = code.split(separator: "\n", omittingEmptySubsequences: false)
        .map { $0.isEmpty ? "" : "  " + $0 }.joined(separator: "\n")
      #expect(readme.contains(shown), "\(code)")
    }
  }
}
