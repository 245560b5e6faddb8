// `penstock reload`: asks a running store to read its file of tokens again.

import ArgumentParser
internal import PenstockCore

struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Have the running daemon read its token file again.",
    discussion: """
      New tokens count at once, open sessions have the rights their token gives now, and those \
      whose token is gone end. A file with an error changes nothing.
      """)

  @Option(help: ArgumentHelp("The store's folder.", valueName: "dir"))
  var data = "./penstock-data"

  func run() throws {
    let layout = StoreLayout(root: data)
    guard let answer = ControlServer.ask(layout, "reload") else {
      throw CommandFailure(
        "no daemon serves \(layout.root); start it with 'penstock serve --data \(layout.root)'")
    }
    let lines = answer.split(separator: "\n")
    guard lines.last == "OK" else {
      throw CommandFailure(String(answer.trimmingPrefix("ERR ").prefix { $0 != "\n" }))
    }
    for line in lines.dropLast() { print(line) }
  }
}
