import PenstockArchive
import PenstockCore
import Testing

/// The N-th operation on the real file system fails, for every N: what a script had been told is
/// durable is there, once, whole and in order, after the next start and after everything was
/// archived.
@Suite struct FailedOperationTests {
  private static let faults = [
    Fault(code: 5, isLasting: false), Fault(code: 5, isLasting: false, effect: .done),
    Fault(code: 5, isLasting: true), Fault(code: 5, isLasting: true, effect: .done),
    Fault(code: System.noSpace, isLasting: false), Fault(code: System.noSpace, isLasting: true),
  ]
  /// More operations than the script has.
  private static let operationCountMax = 5000

  @Test(arguments: FailedOperationTests.faults)
  func `whichever operation fails, nothing acknowledged is lost`(_ fault: Fault) throws {
    var injected: [FileError.Operation: Int] = [:]
    var survived = 0
    for number in 1...FailedOperationTests.operationCountMax {
      let store = try ScriptedStore()
      let files = FaultyFiles(at: number, fault)
      let isDone = try store.run(files)
      files.heal()
      #expect(files.openCount == 0, "operation \(number): every file is closed")
      for (operation, count) in files.injected { injected[operation, default: 0] += count }
      if isDone { survived += 1 }
      try settle(store, "operation \(number), \(fault)")
      guard files.injected.isEmpty else { continue }
      #expect(isDone)
      let text = injected.sorted { $0.key.rawValue < $1.key.rawValue }
        .map { "\($0.key.rawValue) \($0.value)" }
      print(
        "\(fault): \(number - 1) operations, faults: \(text.joined(separator: ", ")); "
          + "\(survived - 1) survived by retry or without harm")
      #expect(store.acknowledgedCount > 20)
      for operation in FailedOperationTests.kinds {
        #expect(injected[operation] ?? 0 > 0, "no \(operation.rawValue) was failed")
      }
      return
    }
    Issue.record("the script never ends")
  }

  @Test func `the oracle finds events that were acknowledged before they were written`() throws {
    var found = 0
    for number in stride(from: 30, to: 90, by: 3) {
      let store = try ScriptedStore(acknowledgesEarly: true)
      _ = try store.run(FaultyFiles(at: number, Fault(code: 5, isLasting: false)))
      _ = try store.settle(archives: false)
      if try !store.faults().isEmpty { found += 1 }
    }
    #expect(found > 0)
  }

  private static let kinds: [FileError.Operation] = [
    .open, .write, .sync, .syncDirectory, .allocate, .truncate, .rename, .unlink, .makeDirectory,
  ]

  /// The next start, and the one after everything was archived.
  private func settle(_ store: ScriptedStore, _ what: String) throws {
    for archives in [false, true] {
      let recovered = try store.settle(archives: archives)
      #expect(recovered.nextSequence.value > store.highest, "\(what): numbers are not used again")
      let faults = try store.faults()
      #expect(faults.isEmpty, "\(what), \(archives ? "archived" : "recovered"): \(faults)")
    }
  }
}
