import PenstockArchive
import PenstockCore
import Testing

@Suite struct ImportPlanTests {
  private func fault(_ change: (inout ImportOptions) -> Void, _ format: ImportFormat) -> String {
    var options = ImportOptions(format: format)
    change(&options)
    do throws(ImportPlanFault) {
      _ = try ImportPlan(options, now: Timestamp(seconds: 0, nanoseconds: 0))
      return ""
    } catch {
      return error.description
    }
  }

  @Test func `ndjson without any key is what an export wrote`() throws {
    let plan = try ImportPlan(
      ImportOptions(format: .ndjson), now: Timestamp(seconds: 0, nanoseconds: 0))
    #expect(plan.isExported)
  }

  @Test func `what is missing or cannot be is said`() {
    #expect(fault({ $0.time = "ts" }, .ndjson).contains("--stream"))
    #expect(fault({ $0.stream = "s" }, .ndjson).contains("--time"))
    #expect(fault({ $0.stream = "s" }, .csv).contains("--time"))
    #expect(fault({ $0.stream = "s" }, .text).contains("rfc3339"))
    #expect(fault({ _ in }, .csv).contains("--stream"))
    func text(_ stream: String, _ time: String) -> String {
      fault(
        {
          $0.stream = stream
          $0.time = time
        }, .text)
    }
    #expect(text("s/{x}", "now").contains("no fields"))
    #expect(text("s{", "now").contains("not closed"))
    #expect(text("/journal", "now").contains("journals"))
    #expect(text("_penstock/x", "now").contains("penstock's own"))
    #expect(text("s", "noon").contains("noon"))
    #expect(text("s", "2026-01-01+1 fortnight").contains("fortnight"))
    for time in ["now", "rfc3339", "2026-01-01", "2026-01-01T00:00:00+01:00+1ms", "2026-01-01+2d"] {
      #expect(text("s{{x}", time).isEmpty, "\(time)")
    }
    #expect(
      fault(
        {
          $0.stream = "s"
          $0.time = "t"
          $0.attributes = ["_id"]
        }, .csv
      ).contains("penstock's own"))
    #expect(
      fault(
        {
          $0.stream = "s"
          $0.time = "t"
          $0.attributes = (0..<40).map { "a\($0)" }
        }, .csv
      ).contains("at most"))
  }
}
