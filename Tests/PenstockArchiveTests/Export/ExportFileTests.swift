import PenstockArchive
import PenstockCore
import Testing

@Suite struct ExportFileTests {
  private let files = LinuxFileSystem()

  private func export(_ text: StaticString, to path: String, finishes: Bool = true) throws {
    let file = try ExportFile(files, path: path)
    var output = OutputBuffer(file.file)
    output.put(text)
    try output.flush()
    if finishes { try file.finish() }
  }

  @Test func `a finished export has its name and leaves nothing else`() throws {
    let folder = try TestFolder()
    try export("first", to: folder.path + "/out")
    try export("2nd", to: folder.path + "/out")
    #expect(try files.list(folder.path) == ["out"])
    #expect(try folder.bytes(of: "out") == Array("2nd".utf8))
  }

  @Test func `an export that is given up leaves the file before it`() throws {
    let folder = try TestFolder()
    try export("first", to: folder.path + "/out")
    try export("half", to: folder.path + "/out", finishes: false)
    #expect(try files.list(folder.path) == ["out"])
    #expect(try folder.bytes(of: "out") == Array("first".utf8))
  }

  @Test func `what a killed export left is replaced`() throws {
    let folder = try TestFolder()
    let leftover = try files.open(folder.path + "/out.partial", .create)
    files.close(leftover)
    try export("all", to: folder.path + "/out")
    #expect(try files.list(folder.path) == ["out"])
  }

  @Test func `two exports to one path do not mix`() throws {
    let folder = try TestFolder()
    let path = folder.path + "/out"
    let first = try ExportFile(files, path: path)
    #expect(throws: ExportFault.busy(path + ".partial")) {
      try ExportFile(files, path: path)
    }
    try first.finish()
    try export("second", to: path)
    #expect(try folder.bytes(of: "out") == Array("second".utf8))
  }

  @Test func `a path that cannot be written is an error that names it`() throws {
    let fault = #expect(throws: ExportFault.self) {
      try ExportFile(files, path: "/nonexistent-folder/out")
    }
    #expect(fault?.description.contains("/nonexistent-folder/out.partial") == true)
  }
}
