// Tables whose time has come go: one line of the manifest, then their files.

package import PenstockCore

extension Archiver {
  /// What age is counted from at `now`: the clock, but not more than the newest receive time.
  package func retentionTime(now: Timestamp) -> Timestamp { min(now, manifest.newest ?? now) }

  /// Removes the tables that are due.
  /// - Returns: what went.
  package mutating func expire(now: Timestamp = System.now()) throws(ArchiveError)
    -> [RetentionPlan.Expiry]
  {
    guard settings.retainNanoseconds != nil || settings.retainByteCount != nil else { return [] }
    let due = RetentionPlan(manifest.tables, settings, time: retentionTime(now: now)).due
    guard !due.isEmpty else { return [] }
    try remove(due.map(\.table.name))
    return due
  }

  /// Takes tables out of the manifest and unlinks them; a join they are part of is given up.
  mutating func remove(_ names: [String]) throws(ArchiveError) {
    if let task = mergeTask, task.plan.inputs.contains(where: { names.contains($0.name) }) {
      mergeTask = nil
      task.discard()
    }
    var edit = ManifestEdit()
    edit.removed = names
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
    do throws(FileError) {
      for name in names { try files.unlinkIfThere(layout.archive + "/" + name) }
    } catch {
      throw .file(error)
    }
  }
}
