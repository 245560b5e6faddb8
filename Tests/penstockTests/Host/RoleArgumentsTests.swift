import Testing
import penstock

struct RoleArgumentsTests {
  @Test func `keys have values, some more than one`() throws {
    let arguments = try RoleArguments([
      "shard", "--data", "/a b", "--log", "3", "--listener", "line+tcp", "--listener",
      "line+unix", "--log", "4", "--odd", "--value",
    ])
    #expect(arguments.name == "shard")
    #expect(try arguments.text("--data") == "/a b")
    #expect(try arguments.number("--log") == 4)
    #expect(arguments.all("--listener") == ["line+tcp", "line+unix"])
    #expect(try arguments.text("--odd") == "--value")
    #expect(arguments.all("--none").isEmpty)
    #expect(try arguments.numberIfGiven("--segment") == nil)
  }

  @Test(arguments: [
    ([], RoleArguments.Fault.noName),
    (["shard", "data"], .notAKey("data")),
    (["shard", "--"], .notAKey("--")),
    (["shard", "--data"], .noValue("--data")),
    (["shard", "--data", "x", "--log"], .noValue("--log")),
  ])
  func `words that are no keys and values are refused`(
    _ words: [String], _ fault: RoleArguments.Fault
  ) {
    #expect(throws: fault) { try RoleArguments(words) }
  }

  @Test(arguments: ["", "x", "-1", "64", "1.0", "99999999999999999999"])
  func `a number has to be one, and in its range`(_ value: String) throws {
    let arguments = try RoleArguments(["shard", "--log", value])
    #expect(throws: RoleArguments.Fault.notANumber(key: "--log", value: value)) {
      try arguments.number("--log", in: 0...63)
    }
  }

  @Test func `what is missing is named`() throws {
    let arguments = try RoleArguments(["shard"])
    #expect(throws: RoleArguments.Fault.missing("--data")) { try arguments.text("--data") }
    #expect(throws: RoleArguments.Fault.missing("--log")) { try arguments.number("--log") }
  }
}
