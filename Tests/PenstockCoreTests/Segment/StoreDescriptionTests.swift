import PenstockCore
import Testing

struct StoreDescriptionTests {
  private let layout = StoreLayout(root: "place/store")

  private func put(_ files: MemoryFileSystem, _ text: String) {
    files.put(layout.description, Array(text.utf8))
  }

  @Test func `opening a new store makes its folders and names it for life`() throws {
    let files = MemoryFileSystem()
    let made = try StoreDescription.open(files, layout, journalHashWidth: 3)
    #expect(made.journalHashWidth == 3)
    #expect(files.paths == [layout.description])
    for folder in [layout.live, layout.quarantine, layout.archive, layout.run] {
      #expect(throws: FileError.self) { try files.makeDirectory(folder) }
    }
    let after = files.restarted(.dropsAll)
    #expect(try StoreDescription.open(after, layout, journalHashWidth: 5) == made)
    #expect(try StoreDescription.read(after, layout) == made)
    #expect(files.openCount == 0)
  }

  @Test func `the file is the text of the format`() throws {
    let description = StoreDescription(
      store: StoreIdentifier(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff),
      journalHashWidth: 2)
    #expect(
      description.text
        == "{\"format\":1,\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":2}\n")
    let files = MemoryFileSystem()
    put(files, description.text)
    #expect(try StoreDescription.read(files, layout) == description)
  }

  @Test func `blanks and unknown names do not matter`() throws {
    let files = MemoryFileSystem()
    put(
      files,
      " { \"name\" : \"x\",\n\t\"uuid\":\"00112233445566778899aabbccddeeff\" ,\"n\":0,"
        + "\"journalHashWidth\":256,\"format\": 1 }\r\n")
    #expect(try StoreDescription.read(files, layout)?.journalHashWidth == 256)
  }

  @Test(arguments: [
    "", "{", "{}", "[]", "{\"format\":1}", "{\"format\":1,}", "{\"format\":1}x",
    "{\"format\":\"1\",\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":2}",
    "{\"format\":1,\"uuid\":\"0011\",\"journalHashWidth\":2}",
    "{\"format\":1,\"uuid\":\"00112233445566778899AABBCCDDEEFF\",\"journalHashWidth\":2}",
    "{\"format\":1,\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":0}",
    "{\"format\":1,\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":257}",
    "{\"format\":1,\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":-2}",
    "{\"format\":0,\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":2}",
    "{\"format\" 1,\"uuid\":\"00112233445566778899aabbccddeeff\",\"journalHashWidth\":2}",
    "{\"format\":1,\"uuid\":\"00112233445566778899aabbccddeeff,\"journalHashWidth\":2}",
    "{\"a\\\":\":1,\"format\":1}", "{\"format\":99999999999999999999}",
  ])
  func `a damaged description reads as none and is made again`(_ text: String) throws {
    let files = MemoryFileSystem()
    put(files, text)
    #expect(try StoreDescription.read(files, layout) == nil)
    let made = try StoreDescription.open(files, layout, journalHashWidth: 1)
    #expect(try StoreDescription.read(files, layout) == made)
  }

  @Test func `no truncation of a description reads as one`() throws {
    let text = StoreDescription(
      store: StoreIdentifier(high: 1, low: 2), journalHashWidth: 2
    ).text
    for count in 0..<(text.utf8.count - 1) {
      let files = MemoryFileSystem()
      put(files, String(text.prefix(count)))
      #expect(try StoreDescription.read(files, layout) == nil, "\(count) bytes")
    }
  }

  @Test func `a newer format is refused with words, and left alone`() throws {
    let files = MemoryFileSystem()
    let text = "{\"format\":2,\"uuid\":7}"
    put(files, text)
    let error = #expect(throws: StoreError.self) {
      try StoreDescription.open(files, layout, journalHashWidth: 1)
    }
    #expect(error == .newerFormat(path: layout.description, format: 2))
    #expect(error?.description.contains("newer penstock") == true)
    #expect(files.bytes(layout.description) == Array(text.utf8))
  }

  @Test func `a lost description is made again from a segment's header`() throws {
    let small = SmallLog()
    small.log.put(3, Array("no header".utf8))
    var first = small.log.bytes(1)
    first[20] ^= 1
    small.log.put(1, first)
    let made = try StoreDescription.open(small.log.files, small.log.layout, journalHashWidth: 4)
    #expect(made == StoreDescription(store: TestSegmentWriter.store, journalHashWidth: 4))
  }

  @Test func `whatever fails or crashes, the store has one name afterwards`() throws {
    for operation in 1... {
      let files = MemoryFileSystem()
      files.fail(.from(operation))
      let made = try? StoreDescription.open(files, layout, journalHashWidth: 2)
      for seed in UInt64(0)..<4 {
        let after = files.restarted(.random(seed: seed))
        let opened = try StoreDescription.open(after, layout, journalHashWidth: 2)
        if let made { #expect(opened == made) }
        #expect(try StoreDescription.open(after, layout, journalHashWidth: 2) == opened)
      }
      #expect(files.openCount == 0)
      if made != nil, files.operationCount < operation { return }
    }
  }

  @Test func `of several openers on the real file system one names the store`() async throws {
    let folder = try TestFolder()
    let layout = StoreLayout(root: folder.path + "/store")
    let names = await withTaskGroup(of: StoreIdentifier?.self) { group in
      for _ in 0..<8 {
        group.addTask {
          try? StoreDescription.open(LinuxFileSystem(), layout, journalHashWidth: 1).store
        }
      }
      return await group.reduce(into: Set<StoreIdentifier?>()) { $0.insert($1) }
    }
    #expect(names.count == 1)
    #expect(names.first != .some(nil))
    #expect(try LinuxFileSystem().list(layout.root).filter { $0.hasSuffix(".new") }.isEmpty)
  }
}
