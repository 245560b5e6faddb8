// `penstock send`: lines of standard input as events, acknowledged.

import ArgumentParser
internal import CShims
internal import Penstock
internal import PenstockCore

struct Send: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Send lines of standard input as events.",
    discussion: """
      Every line is one event; the server sets its time. Ends with how many events were sent and \
      how many the server acknowledged as durable; exit status 1 when these differ.
      """)

  @Option(help: "The server: line+tcp://HOST:PORT or line+unix://PATH.")
  var to = LineAddress.standard.description

  @Option(help: "The stream the events go to.")
  var stream = "stdin"

  @Option(help: "The events' type.")
  var type = "-"

  @Option(help: "Requests in flight at most, 1 to 4096.")
  var window = 64

  @Option(help: "Events of one request at most, 1 to 65536.")
  var batch = 256

  @Option(help: "File with the secret of the token the server wants, and nothing else.")
  var tokenFile: String?

  func run() throws {
    guard (1...4096).contains(window) else { throw ValidationError("--window takes 1 to 4096") }
    guard (1...65_536).contains(batch) else { throw ValidationError("--batch takes 1 to 65536") }
    let address: LineAddress
    let header: EventHeader
    do {
      address = try LineAddress(url: to)
      header = try EventHeader(stream: stream, type: type)
    } catch let fault as LineAddress.Fault {
      throw ValidationError(fault.description)
    } catch let fault as EventHeader.Fault {
      throw ValidationError(fault.description)
    }
    penstock_ignore_write_signals()
    var options = LineClient.Options()
    options.requestsInFlightMax = window
    options.eventsPerRequestMax = batch
    options.token = try tokenFile.map(Send.token)
    var client: LineClient
    do {
      client = try LineClient.connect(to: address, options: options)
    } catch {
      throw CommandFailure("\(error)")
    }
    var lines = SendLines(descriptor: 0)
    var failure: String?
    do {
      try send(&lines, header, &client)
      try client.finish()
    } catch {
      failure = "\(error)"
    }
    print("sent \(client.sentCount), acknowledged \(client.acknowledgedCount)")
    flushOutput()
    if failure == nil, let refusal = client.firstRefusal {
      failure = "the server refused \(client.refusedCount) events, first: \(refusal)"
    }
    if failure == nil, lines.longLineCount > 0 {
      failure =
        "\(lines.longLineCount) lines were not sent, first line \(lines.firstLongLine): "
        + "a line may have \(SendLines.lineByteCountMax) bytes"
    }
    if let failure { throw CommandFailure(failure) }
  }

  /// The secret in a file that others cannot read; blanks and line ends around it do not count.
  private static func token(_ path: String) throws -> String {
    do throws(PrivateFile.Fault) {
      let bytes = try PrivateFile.read(path, byteCountMax: 4096)
      let words = bytes.split { $0 <= Byte.space }
      guard words.count == 1, AccessToken.canBeSaid(Array(words[0])) else {
        throw PrivateFile.Fault("\(path) holds no secret: expected one word of printable bytes")
      }
      return String(decoding: words[0], as: UTF8.self)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// Sends until the input ends. What has been typed or piped is sent when no more is there yet.
  private func send(
    _ lines: inout SendLines, _ header: EventHeader, _ client: inout LineClient
  ) throws {
    var progress = SendProgress()
    while !lines.hasEnded {
      if !isReadable(0) {
        try client.flush()
        while !isReadable(-1, or: client.fileDescriptor) { try client.takeAnswers() }
      }
      try lines.fill()
      while let line = lines.next() {
        try client.append(header, payload: lines.bytes(line))
      }
      progress.show(client)
    }
    progress.clear()
  }

  /// Whether there is input to read, or its end; waits up to `timeout` for it or for `other`.
  private func isReadable(_ timeout: Int32, or other: Int32? = nil) -> Bool {
    let descriptors = [0] + (other.map { [$0] } ?? [])
    let ready = unsafe descriptors.withUnsafeBufferPointer {
      unsafe penstock_wait_readable($0.baseAddress, Int32($0.count), timeout)
    }
    return ready & 1 != 0
  }
}

/// One line a second on a terminal.
struct SendProgress {
  private let isShown = penstock_is_terminal(2) && !penstock_is_terminal(0)
  private var shownAt = System.monotonicNanoseconds()
  private var hasShown = false

  private static let interval: Int64 = 1_000_000_000

  mutating func show(_ client: borrowing LineClient) {
    guard isShown, System.monotonicNanoseconds() - shownAt >= SendProgress.interval else { return }
    shownAt = System.monotonicNanoseconds()
    hasShown = true
    write("\rsent \(client.sentCount), acknowledged \(client.acknowledgedCount) ")
  }

  func clear() {
    if hasShown { write("\r\u{1B}[K") }
  }

  private func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe penstock_write(2, $0.baseAddress, $0.count) }
  }
}
