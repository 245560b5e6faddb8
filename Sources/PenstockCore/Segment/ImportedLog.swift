// The log of imported events: positions that no live log ever has.
//
//     log        0xff; shards have 0 … 63, other writers the next ones
//     sequence   goes on behind what the manifest says is covered of the log: the first imported
//                event of a store is 1, and no number is given twice
//     segment    counts the imports: each is "covered" as one segment more
//
// The log has no segments in the live folder, no lease and no pages: a file of its number there is
// none of ours. To readers it is a log of which everything is in tables. A follow that begins behind a
// vector shows what is there behind it, imported events too; one that is live looks for nothing of
// them: an import is not made beside a daemon.

extension LogNumber {
  /// The log of events that came into the archive from files.
  package static let imported = LogNumber(0xFF)
}
