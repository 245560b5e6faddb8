import PenstockArchive
import PenstockCore
import Testing

@Suite struct SelectionTests {
  private let event = StoredEvent(
    line:
      "2026-11-21T03:47:52.500000000Z a\\sb sshd k=v k=w x\\ey=\\s _escaped=\tone\\ntwo \\\\ end")

  private func matches(_ change: (inout Selection) throws -> Void) rethrows -> Bool {
    var selection = Selection()
    try change(&selection)
    return selection.matches(event)
  }

  @Test func `an empty selection takes everything`() {
    #expect(Selection().matches(event))
    #expect(Selection().dependsOnTimeOnly)
  }

  @Test func `the range holds its start and not its end`() throws {
    let time = event.time
    let after = Timestamp(seconds: time.seconds, nanoseconds: time.nanoseconds + 1)
    #expect(matches { $0.since = time })
    #expect(!matches { $0.since = after })
    #expect(!matches { $0.until = time })
    #expect(matches { $0.until = after })
    var selection = Selection()
    selection.since = time
    selection.until = after
    #expect(selection.mayMatch(time...time))
    #expect(!selection.mayMatch(after...after))
  }

  @Test func `patterns see the plain name, and one of several suffices`() throws {
    #expect(try matches { $0.streams = [try Glob("a b")] })
    #expect(try matches { $0.streams = [try Glob("x"), try Glob("a*")] })
    #expect(try !matches { $0.streams = [try Glob("a\\\\sb")] })
  }

  @Test func `types compare whole, and nothing stands for none`() {
    #expect(matches { $0.require(type: "sshd") })
    #expect(!matches { $0.require(type: "ssh") })
    #expect(!matches { $0.require(type: "") })
    var none = Selection()
    none.require(type: "")
    #expect(none.matches(StoredEvent(line: "2026-11-21T03:47:52.500000000Z s -\t")))
  }

  @Test func `every attribute asked for is there, with any of its values`() {
    func attribute(_ key: String, _ value: String) -> Selection.Attribute {
      Selection.Attribute(key: key, value: value)
    }
    #expect(matches { $0.attributes = [attribute("k", "v")] })
    #expect(matches { $0.attributes = [attribute("k", "w"), attribute("x=y", " ")] })
    #expect(!matches { $0.attributes = [attribute("k", "v"), attribute("k", "z")] })
    #expect(!matches { $0.attributes = [attribute("v", "k")] })
    #expect(!matches { $0.attributes = [attribute("k", "")] })
  }

  @Test func `text is looked for in the payload as it was sent`() {
    #expect(matches { $0.require(contains: "one\ntwo") })
    #expect(matches { $0.require(contains: "two \\ end") })
    #expect(matches { $0.require(contains: "") })
    #expect(!matches { $0.require(contains: "one\\ntwo") })
    #expect(!matches { $0.require(contains: "sshd") })
    #expect(!matches { $0.require(contains: "end ") })
  }
}
