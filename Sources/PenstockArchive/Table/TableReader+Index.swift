// Looking values up in a table's indexes.

internal import PenstockCore

extension TableReader {
  /// Keys whose values are indexed, escaped; "type" is that of the type.
  package var indexes: [[UInt8]] { indexKeys }

  /// The blocks with events whose attribute `key`, or whose type, is `value`, both escaped as in a
  /// line, and how many each has.
  /// - Returns: nil when the table has no such index, or not for values as long as this one.
  package func postings(key: [UInt8], value: [UInt8]) throws(TableError) -> [IndexPosting]? {
    guard let number = indexKeys.firstIndex(of: key), !value.isEmpty,
      value.count <= TableIndex.valueByteCountMax
    else { return nil }
    var found: [IndexPosting] = []
    var index = 0
    while index < indexPages.count {
      // The last page of the section whose first value is not behind the one that is wanted.
      var candidate: Int?
      let page = indexPages[index]
      while index < indexPages.count, indexPages[index].key == page.key,
        indexPages[index].section == page.section
      {
        if !value.lexicographicallyPrecedes(indexPages[index].firstValue) { candidate = index }
        index += 1
      }
      guard page.key == number, let candidate else { continue }
      found += try load(indexPages[candidate], value)
    }
    return found
  }

  private func load(_ page: IndexPageEntry, _ value: [UInt8]) throws(TableError) -> [IndexPosting] {
    let reading: TablePart.Reading
    do throws(FileError) {
      reading = try loadPart(page.place, .index)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    if reading == .newer {
      throw TableError(path: path, fault: .newerPart(offset: page.place.lowerBound))
    }
    guard reading == .whole, let found = part.postings(of: value, blockCount: blocks.count) else {
      throw TableError(path: path, fault: .damagedIndex(offset: page.place.lowerBound))
    }
    return found
  }

  /// Reads and checks every page of the indexes.
  /// - Parameter body: takes the number of a key, a value, and its postings.
  func forEachPosting(_ body: (Int, [UInt8], [IndexPosting]) -> Void) throws(TableError) {
    for page in indexPages {
      let reading: TablePart.Reading
      do throws(FileError) {
        reading = try loadPart(page.place, .index)
      } catch {
        throw TableError(path: path, fault: .file(error))
      }
      guard reading == .whole,
        part.forEachPosting(blockCount: blocks.count, { body(page.key, $0, $1) })
      else { throw TableError(path: path, fault: .damagedIndex(offset: page.place.lowerBound)) }
    }
  }

  /// How many events have the value, by the index alone; nil when the table has no such index.
  package func eventCount(key: [UInt8], value: [UInt8]) throws(TableError) -> Int? {
    try postings(key: key, value: value)?.reduce(0) { $0 + $1.eventCount }
  }

  /// Leaves out blocks that, by the indexes, hold no event the selection asks for. A damaged index
  /// leaves out none.
  func filter(_ candidates: inout [Int], byIndexes selection: Selection) throws(TableError) {
    for (key, value) in selection.indexedValues where damage.isEmpty {
      do throws(TableError) {
        guard let postings = try postings(key: key, value: value) else { continue }
        let wanted = Set(postings.map(\.block))
        candidates.removeAll { !wanted.contains($0) }
      } catch {
        if case .file = error.fault { throw error }
      }
    }
  }
}
