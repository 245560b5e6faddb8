// Tables in the archive's folders that the manifest does not name.
//
//     last line of the manifest   what the tables took the place of   the tables
//     whole                       any                                 garbage: removed
//     torn                        is there                            garbage: removed
//     torn                        is missing                          were named by that line: named
//                                                                       again
//
// A crash leaves garbage: tables whose line was never written, while the segments, or the tables
// they were joined from, are still there. But when the last line is broken and these are gone, the
// line had been durable: they are unlinked only after it. It has rotted, and what it named is the
// only copy of these events. Each table says which segments it and those written with it cover, and
// which tables it replaced.

internal import PenstockCore

/// Decides about tables without a name.
struct UnnamedTables<Files: FileSystem> {
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier

  init(_ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier) {
    self.files = files
    self.layout = layout
    self.store = store
  }

  /// The store's manifest as the disk holds it, once every table without a name was decided about.
  func settledManifest() throws(ArchiveError) -> Manifest {
    var manifest: Manifest
    do throws(ManifestError) {
      manifest = try Manifest.readDurable(files, layout)
      if let known = manifest.store, known != store { throw .foreignStore(path: layout.manifest) }
    } catch {
      throw .manifest(error)
    }
    try settle(&manifest)
    return manifest
  }

  /// Removes the tables without a name, or names them again.
  private func settle(_ manifest: inout Manifest) throws(ArchiveError) {
    var unnamed: [String] = []
    let hasHole: Bool
    let missing: Bool
    do throws(FileError) {
      unnamed = try list(except: Set(manifest.tables.map(\.name)))
      hasHole = try self.hasHole(manifest)
      missing = manifest.tornByteCount > 0 ? try isTableMissing(manifest) : false
    } catch {
      throw .file(error)
    }
    if manifest.tornByteCount > 0, hasHole || missing {
      let lost = unnamed.filter { UnnamedTables.edit($0) == manifest.nextNumber }
      if !lost.isEmpty {
        try restore(lost, &manifest)
        unnamed.removeAll { lost.contains($0) }
      }
    }
    do throws(FileError) {
      for name in unnamed { try files.unlinkIfThere(layout.archive + "/" + name) }
    } catch {
      throw .file(error)
    }
  }

  private func list(except named: Set<String>) throws(FileError) -> [String] {
    var found: [String] = []
    for folder in try files.list(layout.archive) where UnnamedTables.isBucket(folder) {
      for name in try files.list(layout.archive + "/" + folder)
      where TableName.isTable(name) && !named.contains(folder + "/" + name) {
        found.append(folder + "/" + name)
      }
    }
    return found.sorted()
  }

  private static func edit(_ name: String) -> UInt64? {
    name.lastIndex(of: "/").flatMap { TableName.edit(String(name[name.index(after: $0)...])) }
  }

  static func isBucket(_ name: String) -> Bool {
    name == ArchiveRun.mixedFolder
      || name.utf8.count >= 10
        && name.utf8.allSatisfy {
          $0 == Byte.dash || $0 == UInt8(ascii: "T") || $0 &- Byte.zero <= 9
        }
  }

  /// Whether a log's segments do not follow on to what is covered.
  private func hasHole(_ manifest: Manifest) throws(FileError) -> Bool {
    let catalog = try SegmentCatalog(files, layout)
    return Set(catalog.logs).union(manifest.coverage.keys).contains { log in
      let archived = manifest.archivedThrough(log)
      let names = catalog.segments(of: log, after: archived)
      return names.first.map { $0.number != archived.next } ?? false
    }
  }

  /// Whether the file of a named table is not there.
  private func isTableMissing(_ manifest: Manifest) throws(FileError) -> Bool {
    var present: [String: Set<String>] = [:]
    for table in manifest.tables {
      let parts = table.name.split(separator: "/")
      let folder = String(parts[0])
      if present[folder] == nil {
        do throws(FileError) {
          present[folder] = Set(try files.list(layout.archive + "/" + folder))
        } catch {
          guard error.code == System.notFound else { throw error }
          present[folder] = []
        }
      }
      if present[folder]?.contains(String(parts[1])) != true { return true }
    }
    return false
  }

  /// Names the tables of the edit that was lost.
  private func restore(_ names: [String], _ manifest: inout Manifest) throws(ArchiveError) {
    var edit = ManifestEdit()
    for name in names {
      do throws(TableError) {
        let table = try TableReader(files, path: layout.archive + "/" + name, pastCache: true)
        guard try table.verify().isEmpty, table.store == store else {
          throw TableError(path: table.path, fault: .notProved)
        }
        edit.added.append(try entry(name, table))
        let replaced = table.replaced.filter { name in
          !edit.removed.contains(name) && manifest.tables.contains { $0.name == name }
        }
        edit.removed += replaced
        // Joined tables cover what their inputs did.
        for covered in table.covered where table.replaced.isEmpty {
          edit.covered[covered.log] = Coverage(
            segment: SegmentNumber(covered.segments.upperBound),
            sequence: SequenceNumber(covered.sequences.upperBound))
        }
      } catch {
        // Nothing is removed while it is not known what the line named.
        throw .table(error)
      }
    }
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
  }

  private func entry(_ name: String, _ table: TableReader<Files>) throws(TableError) -> TableEntry {
    let byteCount: Int
    do throws(FileError) {
      let file = try files.open(table.path, .read)
      defer { files.close(file) }
      byteCount = try files.byteCount(file)
    } catch {
      throw TableError(path: table.path, fault: .file(error))
    }
    return TableEntry(
      name: name, eventCount: table.eventCount, byteCount: byteCount, hash: table.hash,
      earliest: table.blocks.map(\.earliest).min() ?? .earliest,
      latest: table.blocks.map(\.latest).max() ?? .latest,
      mergeCount: table.replaced.isEmpty ? 0 : 1)
  }
}
