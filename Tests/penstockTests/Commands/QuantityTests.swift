import Testing
import penstock

struct QuantityTests {
  @Test(arguments: [
    ("0", 0), ("1", 1), ("65536", 65536), ("1KiB", 1024), ("64KiB", 65536), ("4MiB", 4 << 20),
    ("1GiB", 1 << 30), ("007", 7),
  ])
  func `sizes are digits and a unit`(_ text: String, _ value: Int) {
    #expect(Quantity.bytes(text) == value)
  }

  @Test(arguments: [
    "", "KiB", "-1", "+1", "1.5MiB", "1 MiB", "1mib", "1M", "1KiB ", "0x10", "1e3", "٣",
    "9223372036854775808", "9007199254740992KiB",
  ])
  func `what is no size is none`(_ text: String) { #expect(Quantity.bytes(text) == nil) }

  @Test(arguments: [
    ("500ms", 500_000_000), ("30s", 30_000_000_000), ("15m", 900_000_000_000),
    ("2h", 7_200_000_000_000), ("1d", 86_400_000_000_000), ("0s", 0),
  ])
  func `durations are digits and a unit`(_ text: String, _ value: Int64) {
    #expect(Quantity.nanoseconds(text) == value)
  }

  @Test(arguments: ["", "s", "15", "-1s", "+1s", "1.5h", "1 m", "1M", "15min", "106752d"])
  func `what is no duration is none`(_ text: String) { #expect(Quantity.nanoseconds(text) == nil) }
}
