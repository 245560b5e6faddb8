import PenstockCore
import Testing

struct TimestampTests {
  private func read(_ text: String, _ offset: Int = 0) -> Timestamp? {
    Timestamp(journalText: Array(text.utf8).rawSpan, at: offset)
  }

  private let golden: [(text: String, seconds: Int64, nanoseconds: UInt32)] = [
    ("1970-01-01T00:00:00.000000000Z", 0, 0),
    ("1969-12-31T23:59:59.999999999Z", -1, 999_999_999),
    ("2026-11-21T03:47:52.123456789Z", 1_795_232_872, 123_456_789),
    ("2000-02-29T12:00:00.000000001Z", 951_825_600, 1),
    ("0000-01-01T00:00:00.000000000Z", -62_167_219_200, 0),
    ("0000-02-29T00:00:00.000000000Z", -62_162_121_600, 0),
    ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
  ]

  @Test func `instants and texts are those of RFC 3339`() {
    for (text, seconds, nanoseconds) in golden {
      let time = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
      #expect(time.text == text)
      #expect(read(text) == time)
      #expect(read("xx" + text + "y", 2) == time)
      #expect(Timestamp(nanosecondsSince1970: time.nanosecondsSince1970) == time)
    }
    #expect(Timestamp.earliest.text == golden[4].text)
    #expect(Timestamp.latest.text == golden[6].text)
  }

  @Test func `text and instant agree on every day of 10,000 years`() {
    var seconds = Timestamp.earliest.seconds
    var previous = ""
    while seconds <= Timestamp.latest.seconds {
      let civil = CivilTime(secondsSince1970: seconds)
      if civil.secondsSince1970 != seconds || !civil.isValid {
        Issue.record("\(seconds) is \(civil)")
        return
      }
      seconds += 86_400
    }
    for seconds in stride(
      from: Timestamp.earliest.seconds, to: Timestamp.latest.seconds, by: 86_400_007 * 3)
    {
      let text = Timestamp(seconds: seconds, nanoseconds: 7).text
      #expect(read(text)?.seconds == seconds)
      #expect(text > previous)
      previous = text
    }
  }

  @Test func `no truncation reads as a time, and every changed byte is another time or none`() {
    let bytes = Array(golden[2].text.utf8)
    for count in bytes.indices {
      #expect(Timestamp(journalText: Array(bytes[..<count]).rawSpan, at: 0) == nil)
    }
    let whole = read(golden[2].text)
    let digits = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18] + Array(20..<29)
    for index in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[index] ^= 1 << UInt8(bit)
        let time = Timestamp(journalText: flipped.rawSpan, at: 0)
        #expect(time != whole)
        if !digits.contains(index) { #expect(time == nil) }
        if let time { #expect(Array(time.text.utf8) == flipped) }
      }
    }
  }

  @Test(arguments: [
    "2026-00-21T03:47:52.123456789Z", "2026-13-21T03:47:52.123456789Z",
    "2026-11-00T03:47:52.123456789Z", "2026-11-31T03:47:52.123456789Z",
    "2026-02-29T03:47:52.123456789Z", "1900-02-29T03:47:52.123456789Z",
    "2026-11-21T24:00:00.000000000Z", "2026-11-21T03:60:52.123456789Z",
    "2026-11-21T03:47:60.123456789Z", "2026-11-21t03:47:52.123456789Z",
    "2026-11-21T03:47:52.123456789z", "2026-11-21T03:47:52,123456789Z",
    "2026-11-21T03:47:52.12345678Z ", "+026-11-21T03:47:52.123456789Z",
  ])
  func `what is not a time is none`(_ text: String) { #expect(read(text) == nil) }

  @Test func `arithmetic stays within the years of the text form`() {
    #expect(Timestamp.latest.adding(seconds: 1) == .latest)
    #expect(Timestamp.latest.adding(seconds: .max) == .latest)
    #expect(Timestamp.earliest.adding(seconds: .min) == .earliest)
    #expect(Timestamp.earliest.adding(seconds: -1) == .earliest)
    #expect(
      Timestamp(seconds: 5, nanoseconds: 3).adding(seconds: -10)
        == Timestamp(seconds: -5, nanoseconds: 3))
    #expect(Timestamp(nanosecondsSince1970: .max) == .latest)
    #expect(Timestamp(nanosecondsSince1970: .min) == .earliest)
    #expect(Timestamp(nanosecondsSince1970: -1) == Timestamp(seconds: -1, nanoseconds: 999_999_999))
    #expect(Timestamp(seconds: 1, nanoseconds: 0) > Timestamp(seconds: 0, nanoseconds: 999_999_999))
  }
}
