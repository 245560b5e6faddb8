// A process that writes to a store through the library, to be run beside others and to be killed.
//
//     StoreVictim FOLDER NAME THREADS RECORDS   writes "NAME/thread" with the numbers 0 … RECORDS - 1
//     StoreVictim FOLDER NAME fork              forks, and says what a put of the child's met
//
// What was acknowledged is told on standard output, a line "thread number" each, behind the receipt;
// "done" comes last.

internal import CShims
internal import Dispatch
internal import Foundation
internal import Penstock

private func say(_ text: String) {
  let line = Array((text + "\n").utf8)
  _ = unsafe line.withUnsafeBytes { unsafe penstock_write(1, $0.baseAddress, $0.count) }
}

/// Writes with several threads at once; each tells what is durable.
private func write(_ writer: Writer, _ name: String, threads: Int, records: Int) {
  let group = DispatchGroup()
  for thread in 0..<threads {
    group.enter()
    Thread {
      do {
        for number in 0..<records {
          try writer.put(stream: "\(name)/\(thread)", payload: "\(number)")
          say("\(thread) \(number)")
        }
      } catch {
        say("thread \(thread): \(error)")
        penstock_exit(70)
      }
      group.leave()
    }.start()
  }
  group.wait()
}

/// The library's `fork` is not for Swift to call: this is a test's.
private typealias Fork = @convention(c) () -> Int32

private func fork(_ writer: Writer) throws {
  try writer.put(stream: "parent", payload: "before")
  guard let symbol = unsafe dlsym(nil, "fork") else { penstock_exit(70) }
  let fork = unsafe unsafeBitCast(symbol, to: Fork.self)
  let child = fork()
  if child == 0 {
    do throws(StoreError) {
      try writer.put(stream: "child", payload: "")
      say("child wrote")
    } catch {
      say(error == .forked ? "child forked" : "child \(error)")
    }
    penstock_exit(0)
  }
  var status: Int32 = 0
  _ = unsafe waitpid(child, &status, 0)
  try writer.put(stream: "parent", payload: "after")
}

let words = CommandLine.arguments
guard words.count >= 4 else { penstock_exit(64) }
let store = try Store.open(words[1])
let writer = try store.writer()
say("log \(writer.log)")
if words[3] == "fork" {
  try fork(writer)
} else if words.count == 5, let threads = Int(words[3]), let records = Int(words[4]) {
  write(writer, words[2], threads: threads, records: records)
}
try writer.close()
say("done")
