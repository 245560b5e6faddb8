// When the archiver joins tables: while no segment waits, a step at a time.

package import PenstockCore

/// How a step of joining tables ended.
package enum MergeProgress: Equatable, Sendable {
  /// There is nothing to join now.
  case nothing
  /// There is more to do.
  case working
  /// Tables were joined.
  case joined(MergeResult)
  /// Tables cannot be joined, and why; they stay as they are.
  case refused(String)
}

extension Archiver {
  /// Bytes kept free beside a join.
  private static var mergeSlackByteCount: Int { 64 << 20 }

  /// Goes on joining tables, or begins to.
  /// - Parameter now: what the clock says.
  package mutating func merge(now: Timestamp = System.now()) throws(ArchiveError) -> MergeProgress {
    let task: MergeTask<Files>
    if let mergeTask {
      task = mergeTask
    } else {
      guard let plan = nextPlan(now) else { return .nothing }
      guard try hasRoom(for: plan) else { return .nothing }
      task = MergeTask(
        plan, files, layout, store, settings, number: manifest.nextNumber,
        erasures: Array(manifest.erasures.values))
      mergeTask = task
    }
    do throws(TableError) {
      guard try task.step() else { return .working }
    } catch {
      mergeTask = nil
      task.discard()
      guard isAboutInput(error, task.plan) else { throw .table(error) }
      return refuse(task.plan, error)
    }
    mergeTask = nil
    try commit(task, now)
    return .joined(task.result)
  }

  /// Gives up a join that has begun: what it wrote so far goes, and it is begun anew some time.
  package mutating func giveUpJoin() {
    mergeTask?.discard()
    mergeTask = nil
  }

  /// Tables with events that are to be erased go first.
  private func nextPlan(_ now: Timestamp) -> MergePlan? {
    if let table = tableToErase() {
      let bucket = settings.bucket.number(of: table.earliest)
      let isMixed = bucket != settings.bucket.number(of: table.latest)
      return MergePlan(target: isMixed ? .mixed : .bucket(bucket), inputs: [table])
    }
    return MergePlan.next(manifest.tables, settings, now: now, refused: unmergeable)
  }

  private func hasRoom(for plan: MergePlan) throws(ArchiveError) -> Bool {
    do throws(FileError) {
      let space = try files.space(layout.archive)
      let left = space.free - plan.byteCount - Archiver.mergeSlackByteCount
      return left > DiskRoom.full.threshold(total: space.total)
    } catch {
      throw .file(error)
    }
  }

  /// Whether a table that was to be joined is damaged, or lost; anything else is trouble of the
  /// disk, which may pass.
  private func isAboutInput(_ error: TableError, _ plan: MergePlan) -> Bool {
    guard case .file(let failure) = error.fault else { return true }
    return failure.code == System.notFound
      && plan.inputs.contains { layout.archive + "/" + $0.name == error.path }
  }

  /// Leaves the damaged table out from now on, or all when it is not known which one it is.
  private mutating func refuse(_ plan: MergePlan, _ error: TableError) -> MergeProgress {
    let damaged = plan.inputs.filter { layout.archive + "/" + $0.name == error.path }
    for table in damaged.isEmpty ? plan.inputs : damaged { unmergeable.insert(table.name) }
    return .refused("\(error.description); it is not joined with other tables")
  }

  private mutating func commit(_ task: MergeTask<Files>, _ now: Timestamp) throws(ArchiveError) {
    let edit: ManifestEdit
    do throws(FileError) {
      edit = try task.name(edit: manifest.nextNumber, now: now)
    } catch {
      task.discard()
      throw .file(error)
    }
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
    // Fewer were hoped for: these would be tried again and again.
    if edit.added.count >= edit.removed.count, edit.removed.count > 1,
      task.plan.target != .mixed
    {
      for table in edit.added { unmergeable.insert(table.name) }
    }
    do throws(FileError) {
      for name in edit.removed { try files.unlinkIfThere(layout.archive + "/" + name) }
    } catch {
      throw .file(error)
    }
  }
}
