import Foundation
import Testing

/// What articles show is what is compiled and run here: the code blocks of Penstock.docc/NAME.md are
/// the snippets of NAME.swift beside this file, in their order.
@Suite struct ArticleTests {
  private static let names = ["GettingStarted", "Transactions", "NetworkClient", "Tables"]

  private func text(_ path: String, from file: String = #filePath) throws -> [Substring] {
    let tests = URL(fileURLWithPath: file).deletingLastPathComponent()
    let whole = try String(contentsOf: tests.appendingPathComponent(path), encoding: .utf8)
    return whole.split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The runs of lines between two marks, each as far to the left as it goes.
  private func blocks(_ lines: [Substring], from begin: String, to end: String) -> [String] {
    var found: [String] = []
    var open: [Substring]?
    for line in lines {
      let mark = line.trimmingCharacters(in: .whitespaces)
      if let block = open, mark == end {
        let indent = block.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
        found.append(block.map { String($0.dropFirst(indent)) }.joined(separator: "\n"))
        open = nil
      } else if open == nil, mark == begin {
        open = []
      } else {
        open?.append(line)
      }
    }
    return found
  }

  @Test(arguments: names)
  func `an article shows the code that is compiled`(_ name: String) throws {
    let shown = blocks(
      try text("../../../Sources/Penstock/Penstock.docc/\(name).md"), from: "```swift", to: "```")
    let compiled = blocks(try text("\(name).swift"), from: "// snippet", to: "// end")
    #expect(!shown.isEmpty)
    #expect(shown == compiled)
  }

  @Test func `every article is in the list`() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../Sources/Penstock/Penstock.docc")
    let articles = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".md") && $0 != "Penstock.md" }
    #expect(Set(articles) == Set(ArticleTests.names.map { $0 + ".md" }))
    let list = try text("../../../Sources/Penstock/Penstock.docc/Penstock.md")
    for name in ArticleTests.names { #expect(list.contains("- <doc:\(name)>")) }
  }
}
