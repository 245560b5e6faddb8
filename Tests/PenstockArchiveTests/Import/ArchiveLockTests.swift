import PenstockArchive
import PenstockCore
import Testing

@Suite struct ArchiveLockTests {
  @Test func `one has the lock, and the kernel says who`() throws {
    let store = try TestStore()
    let first = try #require(try ArchiveLock.take(store.files, store.layout))
    #expect(try ArchiveLock.take(store.files, store.layout) == nil)
    // Where the kernel does not tell, nobody is named.
    if let holder = ArchiveLock.holder(store.layout) {
      #expect(holder == System.processIdentifier)
    }
    store.files.close(first)
    let second = try #require(try ArchiveLock.take(store.files, store.layout))
    store.files.close(second)
    #expect(ArchiveLock.holder(store.layout) == nil)
  }

  @Test func `the list of locks is read by its inodes`() {
    let text = """
      1: POSIX  ADVISORY  WRITE 11 fe:01:42 0 EOF
      2: FLOCK  ADVISORY  WRITE 12 fe:01:421 0 EOF
      2: -> FLOCK  ADVISORY  WRITE 14 fe:01:42 0 EOF
      3: FLOCK  ADVISORY  WRITE 13 fe:01:42 0 EOF
      4: FLOCK
      5: FLOCK  ADVISORY  WRITE -1 fe:01:43 0 EOF
      """
    #expect(ArchiveLock.holder(inode: 42, in: text) == 13)
    #expect(ArchiveLock.holder(inode: 43, in: text) == nil)
    #expect(ArchiveLock.holder(inode: 44, in: "") == nil)
  }
}
