import PenstockCore
import Testing
import penstock

@Suite struct ListenerTimesTests {
  @Test(arguments: [
    "time=message", "time=receive", "time=message&zone=+00:00", "time=message&zone=-03:30",
    "time=receive&zone=+05:45&past=0s&future=86400s", "time=message&future=1s",
  ]) func `options that were written are read again`(_ text: String) throws {
    #expect(try #require(ListenerTimes(text)).text == text)
  }

  @Test(arguments: ["time", "=", "time=Message", "zone=+2:00", "zone=", "past=", "past=1", "x=1"])
  func `what is no option is none`(_ text: String) {
    #expect(ListenerTimes(text) == nil)
  }

  @Test func `options of a listener go before those of all`() throws {
    let own = try #require(ListenerTimes("time=message&zone=Z"))
    let others = try #require(ListenerTimes("time=receive&zone=+01:00&past=1d"))
    let rules = own.or(others).rules
    #expect(!rules.usesReceiveTime)
    #expect(rules.zoneOffsetSeconds == 0)
    #expect(rules.pastSecondsMax == 86_400)
    #expect(rules.futureSecondsMax == .max)
    #expect(ListenerTimes().rules == TimeRules())
    #expect(ListenerTimes().or(others) == others)
  }
}
