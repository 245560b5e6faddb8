// The log of imported events: positions that no live log ever has.
//
//     log        0xff; shards have 0 … 63, other writers the next ones
//     sequence   goes on behind what the manifest says is covered of the log: the first imported
//                event of a store is 1, and no number is given twice
//     segment    counts the imports: each is "covered" as one segment more
//
// The log has no segments in the live folder, no lease and no pages: a file of its number there is
// none of ours. To readers it is a log of which everything is in tables. A follow shows what becomes
// durable from now on, so imported events are not followed.

extension LogNumber {
  /// The log of events that came into the archive from files.
  package static let imported = LogNumber(0xFF)
}
