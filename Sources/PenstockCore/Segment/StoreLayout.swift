// Where things are in a store, and the store's own description.
//
//     store/
//       penstock.json                  {"format":1,"uuid":"32 hex","journalHashWidth":N}
//       live/LL-NNNNNNNNNNNNNNNN.log   segments           live/LL.lock   leases
//       quarantine/                    damaged bytes, copied aside
//       archive/manifest  archive/lock  archive/YYYY-MM-DD/NNNNNNNNNNNNNNNN.table
//       reserve                        room held back for a full disk
//       run/                           endpoints.json, control.sock of a running daemon
//
// The file is written once, by temporary file, sync, rename and sync of the folder. When it is
// lost it can be rebuilt from any segment's header.

/// The paths of one store.
package struct StoreLayout: Hashable, Sendable {
  /// The store's folder, without a final slash.
  package var root: String
  package init(root: String) {
    var trimmed = root
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    self.root = trimmed.isEmpty ? "." : trimmed
  }

  package var description: String { root + "/penstock.json" }
  package var live: String { root + "/live" }
  package var quarantine: String { root + "/quarantine" }
  package var archive: String { root + "/archive" }
  package var manifest: String { archive + "/manifest" }
  package var archiveLock: String { archive + "/lock" }
  package var archiveSettings: String { archive + "/settings" }
  package var reserve: String { root + "/reserve" }
  package var run: String { root + "/run" }
  package var endpoints: String { run + "/endpoints.json" }
  package var controlSocket: String { run + "/control.sock" }
  /// The line protocol of one shard, whichever the kernel would choose.
  package func shardSocket(_ log: LogNumber) -> String {
    run + "/shard-" + Hexadecimal.text(UInt64(log.value), digits: 2) + ".sock"
  }

  /// Where shards lend connections to the reader.
  package var readerSocket: String { run + "/reader.sock" }

  package func segment(_ name: SegmentName) -> String { live + "/" + name.fileName }
  package func lock(_ log: LogNumber) -> String {
    live + "/" + Hexadecimal.text(UInt64(log.value), digits: 2) + ".lock"
  }

  /// The folder of the shared pages of a store and its copies.
  package static func pages(_ store: StoreIdentifier) -> String {
    "/dev/shm/penstock-" + store.text
  }
  package func frontierPage(_ store: StoreIdentifier, _ log: LogNumber) -> String {
    pagePath(store, log, "frontier")
  }
  package func statisticsPage(_ store: StoreIdentifier, _ log: LogNumber) -> String {
    pagePath(store, log, "stats")
  }
  private func pagePath(_ store: StoreIdentifier, _ log: LogNumber, _ suffix: String) -> String {
    // A copy of a store has its name: its pages are told apart by the folder it lies in.
    let place = System.identity(ofFile: root) ?? 0
    return StoreLayout.pages(store) + "/" + Hexadecimal.text(place, digits: 16) + "-"
      + Hexadecimal.text(UInt64(log.value), digits: 2) + "." + suffix
  }
}
