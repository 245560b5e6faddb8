// A file that is there whole or not at all.
//
//     PATH.partial, locked ──write──▶ sync ──▶ rename to PATH ──▶ sync of the folder
//                          └─given up─▶ unlinked
//
// A leftover PATH.partial of a killed export is written over. The lock keeps two exports to one
// path apart.

package import PenstockCore

/// Why a file cannot be written.
package enum ExportFault: Error, Equatable, Sendable, CustomStringConvertible {
  case file(FileError)
  case busy(String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .busy(let path): "\(path) is being written by another export; let it end first"
    }
  }
}

/// A file being written under a temporary name.
package final class ExportFile<Files: FileSystem> {
  private let files: Files
  private let path: String
  private let partialPath: String
  private var isFinished = false
  /// Where the bytes go.
  package let file: File

  package init(_ files: Files, path: String) throws(ExportFault) {
    self.files = files
    self.path = path
    partialPath = path + ".partial"
    do throws(FileError) {
      file = try ExportFile.claim(files, path + ".partial")
    } catch {
      isFinished = true
      throw error.code == System.wouldBlock ? .busy(path + ".partial") : .file(error)
    }
  }

  /// Makes the file and locks it. What a killed export left is unlinked first, never written to:
  /// by then it may have become somebody's finished file.
  private static func claim(_ files: Files, _ path: String) throws(FileError) -> File {
    do throws(FileError) {
      let leftover = try files.open(path, .write)
      defer { files.close(leftover) }
      guard try files.lock(leftover, waiting: 0) else {
        throw FileError(.lock, path, code: System.wouldBlock)
      }
      try files.unlink(path)
    } catch {
      guard error.code == System.notFound else { throw error }
    }
    let file = try files.open(path, .create)
    guard (try? files.lock(file, waiting: 0)) == true else {
      files.close(file)
      throw FileError(.lock, path, code: System.wouldBlock)
    }
    return file
  }

  deinit {
    guard !isFinished else { return }
    // Given up: the reason was told by whoever gave up, and a leftover is only written over.
    _ = try? files.unlink(partialPath)
    files.close(file)
  }

  /// Makes the file durable and gives it its name.
  package func finish() throws(ExportFault) {
    do throws(FileError) {
      try files.syncFile(file)
      try files.rename(partialPath, to: path)
      try files.syncDirectory(ExportFile.folder(of: path))
    } catch {
      throw .file(error)
    }
    isFinished = true
    files.close(file)
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
