import Foundation
import PenstockCore
import Testing

@Suite struct TokenFileTests {
  private static let secret = "0123456789abcdef"

  private func read(_ text: String) throws -> [AccessToken] {
    try TokenFile.tokens(Array(text.utf8))
  }

  private func matches(_ patterns: StreamPatterns, _ name: String) -> Bool {
    let bytes = Array(name.utf8)
    return patterns.matches(bytes.rawSpan)
  }

  @Test func `names, secrets and rights are read`() throws {
    let longest = String(repeating: "~", count: 128)
    let tokens = try read(
      """
      # who secret what

      shop \(Self.secret) read=/orders/*,shop/[a\\,b] write=/orders/*
        \treports\t \(longest)\tread=*  \t
      a.b_c-9 !\(Self.secret)#
        # the end
      """)
    #expect(tokens.map(\.name) == ["shop", "reports", "a.b_c-9"])
    #expect(tokens[0].secret == Array(Self.secret.utf8))
    #expect(tokens[1].secret == Array(longest.utf8))
    #expect(tokens[2].secret == Array("!\(Self.secret)#".utf8))
    #expect(matches(tokens[0].read, "/orders/1") && matches(tokens[0].read, "shop/,"))
    #expect(matches(tokens[0].read, "shop/a") && !matches(tokens[0].read, "shop/c"))
    #expect(matches(tokens[0].write, "/orders/1") && !matches(tokens[0].write, "shop/a"))
    #expect(tokens[1].read.isEverything && matches(tokens[1].read, "x"))
    #expect(tokens[1].write == .none && !matches(tokens[1].write, "x"))
    #expect(tokens[2].read == .none && tokens[2].write == .none)
  }

  @Test(arguments: [
    ("", "there is no token"), ("# only words\n\n", "there is no token"),
    ("a", "line 1: expected a secret"), ("a short", "line 1: expected a secret"),
    ("a \(secret)\nb! x\(secret)", "line 2: expected a name"),
    ("\(String(repeating: "n", count: 65)) \(secret)", "line 1: expected a name"),
    ("ü \(secret)", "line 1: expected a name"), ("a \(secret)\u{7F}", "line 1: expected a secret"),
    ("a \(secret)\r", "line 1: expected a secret"), ("a ü\(secret)", "line 1: expected a secret"),
    ("a \(String(repeating: "x", count: 129))", "line 1: expected a secret"),
    ("a 0123456789abcde", "line 1: expected a secret"),
    ("a \(secret)\n\nb \(secret)", "line 3: the secret is that of a line before"),
    ("a \(secret)\na x\(secret)", "line 2: the name 'a' is taken"),
    ("a \(secret) admin", "line 1: expected read="), ("a \(secret) read", "line 1: expected read="),
    ("a \(secret) Read=*", "line 1: expected read="),
    ("a \(secret) read=* read=*", "line 1: expected read="),
    ("a \(secret) write=a write=b", "line 1: expected read="),
    ("a \(secret) read=", "line 1: expected patterns"),
    ("a \(secret) read=a,,b", "line 1: expected patterns"),
    ("a \(secret) read=a,", "line 1: expected patterns"),
    ("a \(secret) read=[a,b]", "has no ']'"), ("a \(secret) write=a\\", "ends with a single"),
    ("a \(secret) write=[b-a]", "wrong way round"),
    ("a \(secret) read=\(String(repeating: "x", count: 257))", "line 1: expected patterns"),
    (
      "a \(secret) read=\(Array(repeating: "x", count: 17).joined(separator: ","))",
      "at most 16 patterns"
    ),
  ]) func `a malformed file is refused with its line`(_ text: String, _ said: String) {
    let fault = #expect(throws: PrivateFile.Fault.self) { try read(text) }
    #expect(fault?.description.contains(said) == true, "\(fault?.description ?? "")")
    #expect(fault?.description.contains(Self.secret) == false)
  }

  @Test func `as many tokens and patterns as there may be are read, one more is refused`() throws {
    var lines = (0..<TokenFile.tokenCountMax).map { "t\($0) \(Self.secret)-\($0)" }
    lines[0] +=
      " read="
      + Array(repeating: String(repeating: "x", count: 256), count: 16).joined(separator: ",")
    #expect(try read(lines.joined(separator: "\n")).count == TokenFile.tokenCountMax)
    let fault = #expect(throws: PrivateFile.Fault.self) {
      try read((lines + ["more \(Self.secret)-more"]).joined(separator: "\n"))
    }
    #expect(fault?.description == "line 257: at most 256 tokens may be given")
  }

  @Test func `patterns that are not UTF-8 are refused`() {
    let bytes = Array("a \(Self.secret) read=".utf8) + [0xFF]
    #expect(throws: PrivateFile.Fault.self) { try TokenFile.tokens(bytes) }
  }

  @Test(arguments: [0o601, 0o602, 0o604, 0o644, 0o607])
  func `a file that others may use is refused, and what to do is said`(_ mode: Int) throws {
    let folder = try TestFolder()
    let path = folder.path + "/tokens"
    try "a \(Self.secret)\n".write(toFile: path, atomically: false, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    let fault = #expect(throws: PrivateFile.Fault.self) { try TokenFile.read(path) }
    #expect(fault?.description.contains("chmod o-rwx \(path)") == true)
    for allowed in [0o600, 0o640, 0o400] {
      try FileManager.default.setAttributes([.posixPermissions: allowed], ofItemAtPath: path)
      #expect(try TokenFile.read(path).count == 1)
    }
  }

  @Test func `what is no file of a moderate size is refused without waiting`() throws {
    let folder = try TestFolder()
    let pipe = folder.path + "/pipe"
    try #require(unsafe mkfifo(pipe, 0o600) == 0)
    for path in [pipe, folder.path, folder.path + "/none"] {
      #expect(throws: PrivateFile.Fault.self) { try PrivateFile.read(path, byteCountMax: 100) }
    }
    let path = folder.path + "/large"
    try Data(count: 101).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    #expect(throws: PrivateFile.Fault.self) { try PrivateFile.read(path, byteCountMax: 100) }
    #expect(try PrivateFile.read(path, byteCountMax: 101).count == 101)
  }
}
