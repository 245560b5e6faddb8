// Which buckets of an archiver run get tables of their own: the fullest, up to a limit, so that a
// device that sends random times cannot make the archive fall apart into tiny tables.

internal import PenstockCore

/// Which buckets of a run get tables of their own.
struct BucketChoice {
  private let own: [Int64]
  private let numbers: [Int64: Int]
  private let length: BucketLength
  private let hasMixed: Bool

  /// Buckets that are counted, at most.
  static let countedMax = 4096

  /// - Parameters:
  ///   - tableCountMax: tables there may be, that of the other buckets included; at least 1.
  ///   - counts: how many rows each bucket has, as far as they were counted.
  init(tableCountMax: Int, _ length: BucketLength, counts: [Int64: Int]) {
    self.length = length
    hasMixed = counts.count > tableCountMax || counts.count >= BucketChoice.countedMax
    // The fullest get tables of their own, the earlier of two that are equally full.
    own = counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
      .prefix(hasMixed ? tableCountMax - 1 : tableCountMax).map(\.key).sorted()
    var numbers: [Int64: Int] = [:]
    for (number, bucket) in own.enumerated() { numbers[bucket] = number }
    self.numbers = numbers
  }

  /// Tables there may be.
  var count: Int { own.count + (hasMixed ? 1 : 0) }

  func number(_ time: Timestamp) -> Int { numbers[length.number(of: time)] ?? own.count }

  /// "2026-11-21".
  func folder(_ number: Int) -> String {
    number < own.count ? length.folder(own[number]) : ArchiveRun.mixedFolder
  }
}
