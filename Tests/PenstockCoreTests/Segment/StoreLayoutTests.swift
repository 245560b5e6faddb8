import PenstockCore
import Testing

@Suite struct StoreLayoutTests {
  private let store = StoreIdentifier(high: 1, low: 2)

  @Test func `pages of a store and of its copy are told apart by their folders`() throws {
    let folder = try TestFolder()
    let files = LinuxFileSystem()
    let layouts = ["a", "b"].map { StoreLayout(root: folder.path + "/" + $0) }
    for layout in layouts { try files.makeDirectory(layout.root) }
    let log = LogNumber(3)
    let pages = layouts.map { $0.frontierPage(store, log) }
    #expect(pages[0] != pages[1])
    #expect(pages.allSatisfy { $0.hasPrefix(StoreLayout.pages(store) + "/") })
    #expect(pages.allSatisfy { $0.hasSuffix("-03.frontier") })
    // However the folder is called: it is the folder that counts.
    let other = StoreLayout(root: folder.path + "/./a/../a")
    #expect(other.frontierPage(store, log) == pages[0])
    #expect(other.statisticsPage(store, log) == layouts[0].statisticsPage(store, log))
  }
}
