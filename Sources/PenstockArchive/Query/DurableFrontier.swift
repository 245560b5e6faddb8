// How far a log is durable right now, as its writer says, for readers beside it.
//
// The word of the frontier page counts when the page is of this boot and was written under the
// lease that the log's lock file names (the text of `LL.lock`: "pid=1234 epoch=<16 hex>"). A page
// stays behind when its writer dies; what it says stays true. Whether the writer still runs
// decides what the rest is: beside a running writer, batches beyond the frontier are in flight
// and not yet events; without one, nobody but recovery can say what becomes of them.

package import PenstockCore

/// What is known from outside about one log's writer.
package struct DurableFrontier: Equatable, Sendable {
  /// Events up to this one are durable; nil when no page of the current lease says so.
  package var sequence: SequenceNumber?
  /// The process that holds the log under the current lease, when it is alive.
  package var writer: Int32?
  /// The lease the log's lock file names.
  package var epoch: UInt64?

  /// Whether a writer is at work and says how far the log is durable: what is beyond is in flight.
  package var isRunning: Bool { writer != nil && sequence != nil }

  /// Asks for the log `log` of a store.
  package static func read(_ layout: StoreLayout, _ store: StoreIdentifier, _ log: LogNumber)
    -> DurableFrontier
  {
    var result = DurableFrontier()
    guard let holder = LeaseHolder(ofLog: log, layout) else { return result }
    result.epoch = holder.epoch
    guard let page = page(layout, store, log), page.epoch == holder.epoch else { return result }
    result.writer = ProcessTable.isAlive(holder.process) ? holder.process : nil
    // Recovery takes the page over before it knows the frontier; 0 says nothing yet.
    let sequence = page.sequence
    result.sequence = sequence > .none ? sequence : nil
    return result
  }

  /// The frontier page of this boot, whatever lease it is of.
  package static func page(
    _ layout: StoreLayout, _ store: StoreIdentifier, _ log: LogNumber
  ) -> Frontier? {
    guard
      let page = SharedPage(
        reading: layout.frontierPage(store, log), magic: Frontier.magic,
        boot: System.bootIdentifier(), valueCount: Frontier.valueCount)
    else { return nil }
    return Frontier(page)
  }
}

/// What a log's lock file says about who holds the lease. The lock decides; the text is for
/// readers.
package struct LeaseHolder: Equatable, Sendable {
  package var process: Int32
  package var epoch: UInt64

  /// Reads the lock file of a log; nil when there is none yet or its text is not complete.
  package init?(ofLog log: LogNumber, _ layout: StoreLayout) {
    guard let text = System.contents(ofFile: layout.lock(log), byteCountMax: 4096) else {
      return nil
    }
    self.init(text: text)
  }

  /// Reads "pid=1234 epoch=<16 hex>".
  package init?(text: [UInt8]) {
    let span = text.rawSpan
    guard span.hasBytes("pid=", at: 0) else { return nil }
    let end = span.nearIndex(of: Byte.space, from: 4, to: span.byteCount)
    guard let process = span.decimal(4..<end, digitCountMax: 9),
      span.hasBytes(" epoch=", at: end),
      let epoch = span.hexadecimal(at: end + 7, digitCount: 16)
    else { return nil }
    self.process = Int32(process)
    self.epoch = epoch
  }
}
