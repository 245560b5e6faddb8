import PenstockBench
import Testing

@Suite struct FigureTests {
  @Test func `a percentile is within a bucket of the true one`() throws {
    var histogram = Histogram()
    for value in 1...100_000 as ClosedRange<UInt64> { histogram.record(value) }
    #expect(histogram.total == 100_000)
    for share in [0.001, 0.5, 0.9, 0.99, 0.999, 1] {
      let found = try #require(histogram.percentile(share))
      let wanted = share * 100_000
      #expect(abs(found - wanted) <= wanted * 0.032, "\(share): \(found)")
    }
  }

  @Test func `small values are exact and huge ones end in the last bucket`() throws {
    var histogram = Histogram()
    for value in [0, 1, 31] as [UInt64] { histogram.record(value) }
    #expect(histogram.percentile(0.1) == 0)
    #expect(histogram.percentile(0.5) == 1)
    #expect(histogram.percentile(1) == 31)
    histogram.record(.max)
    #expect(histogram.counts.last == 1)
    #expect(Histogram().percentile(0.5) == nil)
  }

  @Test func `merged histograms hold both`() {
    var one = Histogram()
    var other = Histogram()
    one.record(5)
    other.record(5)
    other.record(7000)
    one.merge(other)
    #expect(one.total == 3)
    #expect(one.percentile(0.6) == 5)
    #expect(!other.add(1, toBucket: -1) && !other.add(1, toBucket: 1_000_000))
  }

  @Test func `a spread is of the runs that have the figure`() throws {
    var runs: [Figures] = []
    for value in [3.0, 1, 10, 2] {
      var figures = Figures()
      figures[.eventsPerSecond] = value
      runs.append(figures)
    }
    runs.append(Figures())
    let even = try #require(Spread(.eventsPerSecond, of: runs))
    #expect(even.least == 1 && even.median == 2.5 && even.most == 10)
    runs.removeFirst()
    #expect(Spread(.eventsPerSecond, of: runs)?.median == 2)
    #expect(Spread(.lost, of: runs) == nil)
  }

  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (0.0499, 2, "0.05"), (-0.04, 1, "0.0"), (-2.5, 0, "-3"),
    (1234.5678, 3, "1234.568"), (9.99, 1, "10.0"), (.infinity, 2, "-"),
  ])
  func `numbers are written with so many digits`(_ value: Double, _ digits: Int, _ text: String) {
    #expect(Decimal.text(value, digits: digits) == text)
  }

  @Test func `the mount of a path is the longest it lies under`() {
    let mounts = """
      22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
      30 22 0:5 / /data rw,nosuid shared:2 master:7 - xfs /dev/vdb rw
      31 22 0:6 / /database rw - tmpfs tmpfs rw,size=1k
      """
    #expect(Machine.mount(of: "/data/x", in: mounts) == "xfs on /dev/vdb (rw,nosuid,rw)")
    #expect(Machine.mount(of: "/data", in: mounts).hasPrefix("xfs"))
    #expect(Machine.mount(of: "/databases", in: mounts).hasPrefix("ext4"))
    #expect(Machine.mount(of: "/database/1", in: mounts).hasPrefix("tmpfs"))
    #expect(Machine.mount(of: "/x", in: "") == "unknown")
  }

  @Test func `the prototype's line is read by its keys`() {
    let line =
      "tcp octet fsync conns=8 rate=0 parse=1 batch=512K K=2: committed_ev/s=12012345 "
      + "MB/s_payload=2402 ns_cpu/ev=72 proc_cpu=87% loss=0.00%\n"
    let output = CeilingPrototype.Output(text: line)
    #expect(output.values["committed_ev/s"] == 12_012_345)
    #expect(output.values["proc_cpu"] == 87)
    #expect(output.values["loss"] == 0)
    #expect(output.values["batch"] == nil)
  }

  @Test func `a plan survives its command line`() throws {
    var plan = LoadPlan(.segments)
    plan.port = 1234
    plan.connections = 64
    plan.rate = 2_000_000
    plan.eventsPerPut = 7
    plan.window = 64
    plan.sleeps = true
    #expect(try LoadPlan(words: plan.words) == plan)
  }

  @Test(arguments: [
    ["--kind", "relp", "--port", "1"], ["--port", "x"], ["--port"], ["--port", "0"],
    ["--port", "1", "--window", "3"], ["--port", "1", "--connections", "0"],
    ["--port", "1", "--colour", "1"], ["--port", "1", "--events-per-put", "0"],
  ])
  func `a command line that makes no plan is refused`(_ words: [String]) {
    #expect(throws: BenchFailure.self) { try LoadPlan(words: words) }
  }

  @Test func `a report survives its pipe, and one that was cut is refused`() throws {
    var result = LoadResult()
    for (index, key) in LoadResult.Key.allCases.enumerated() { result[key] = UInt64(index) + 1 }
    result.refusal = "ERR bad-type line 1: expected a type"
    for value in [1, 900, 900, 1 << 30] as [UInt64] { result.latencies.record(value) }
    #expect(try LoadResult(text: LoadResult.connectedLine + result.text) == result)
    #expect(throws: BenchFailure.self) { try LoadResult(text: String(result.text.dropLast(4))) }
    #expect(throws: BenchFailure.self) { try LoadResult(text: "sent x\nend\n") }
    #expect(throws: BenchFailure.self) { try LoadResult(text: "bucket 99999 1\nend\n") }
  }
}
