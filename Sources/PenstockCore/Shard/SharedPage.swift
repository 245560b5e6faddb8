// A small page in tmpfs that one process writes and any number read: eight-byte words, each stored
// and loaded atomically, none depending on another.
//
//     word 0      magic: what kind of page, and which version
//     words 1, 2  boot id: a page of an earlier boot says nothing
//     word 3      lease epoch of the writer: a page of an earlier holder says nothing about now
//     words 4 …   values
//
// Pages live in /dev/shm/penstock-<store uuid>/, named by the store's folder and the log, or in the
// store's run folder where there is no tmpfs. A page that does not match is ignored, never an error.

internal import CShims

/// A mapped page of words.
@safe
package struct SharedPage: ~Copyable {
  private let base: UnsafeMutableRawPointer
  private let wordCount: Int
  private let isWritable: Bool

  /// Words before the values.
  package static let headerWordCount = 4

  /// Creates or takes over the page at `path`, with room for `valueCount` values. Values of an
  /// earlier writer in the same boot are kept: counters outlive their process.
  package init(
    creating path: String, magic: UInt64, boot: StoreIdentifier, epoch: UInt64, valueCount: Int
  ) throws(FileError) {
    let files = LinuxFileSystem()
    let words = SharedPage.headerWordCount + valueCount
    let file = try files.open(path, .createIfMissing)
    defer { files.close(file) }
    try files.truncate(file, byteCount: words * 8)
    guard let memory = unsafe penstock_map_file(file.descriptor, words * 8, true) else {
      throw FileError(.map, path, code: 0)
    }
    unsafe base = memory
    wordCount = words
    isWritable = true
    let matches =
      unsafe penstock_load_word(base, 0) == magic && penstock_load_word(base, 1) == boot.high
      && penstock_load_word(base, 2) == boot.low
    if !matches {
      for index in 0..<words { unsafe penstock_store_word(base, index, 0) }
    }
    unsafe penstock_store_word(base, 1, boot.high)
    unsafe penstock_store_word(base, 2, boot.low)
    unsafe penstock_store_word(base, 3, epoch)
    unsafe penstock_store_word(base, 0, magic)
  }

  /// Maps the page at `path` for reading; nil when there is none for this boot.
  package init?(reading path: String, magic: UInt64, boot: StoreIdentifier, valueCount: Int) {
    let files = LinuxFileSystem()
    let words = SharedPage.headerWordCount + valueCount
    guard let file = try? files.open(path, .read) else { return nil }
    defer { files.close(file) }
    guard let size = try? files.byteCount(file), size >= words * 8,
      let memory = unsafe penstock_map_file(file.descriptor, words * 8, false)
    else { return nil }
    guard
      unsafe penstock_load_word(memory, 0) == magic && penstock_load_word(memory, 1) == boot.high
        && penstock_load_word(memory, 2) == boot.low
    else {
      unsafe penstock_unmap(memory, words * 8)
      return nil
    }
    unsafe base = memory
    wordCount = words
    isWritable = false
  }

  deinit { unsafe penstock_unmap(base, wordCount * 8) }

  /// The lease epoch the page was written under.
  package var epoch: UInt64 { unsafe penstock_load_word(base, 3) }

  /// A value.
  @inline(__always)
  package subscript(index: Int) -> UInt64 {
    get {
      let word = index &+ SharedPage.headerWordCount
      precondition(index >= 0 && word < wordCount)
      return unsafe penstock_load_word(base, word)
    }
    set {
      let word = index &+ SharedPage.headerWordCount
      precondition(isWritable && index >= 0 && word < wordCount)
      unsafe penstock_store_word(base, word, newValue)
    }
  }
}
