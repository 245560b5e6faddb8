// COPY: the bytes of a log, by sendfile(2).

internal import PenstockArchive
internal import PenstockCore

extension Answers {
  func copy(
    _ request: ReadRequest.Copy, _ lent: LentConnection, _ granted: ReadRights
  ) throws {
    var rights = granted
    let copier = LogCopier(reader, request.log, from: request.segment, request.offset)
    var pace = Pace()
    var name: SegmentName?
    var file: File?
    defer { if let file { reader.files.close(file) } }
    while true {
      var isQuiet = true
      try rights.renew()
      try rights.requireEverything()
      do {
        try copier.poll { segment, range in
          isQuiet = false
          if name != segment {
            if let file { reader.files.close(file) }
            file = nil
            file = try reader.files.open(reader.layout.segment(segment), .read)
            name = segment
          }
          guard let file else { return }
          try rights.renew()
          try rights.requireEverything()
          try lent.send(header(range.count, segment.number, range.lowerBound, lent.tag))
          try lent.send(file, range)
        }
      } catch let gone as LogCopier<LinuxFileSystem>.Gone {
        throw ReadRequest.Fault(
          code: "gone",
          text: "that part of the log is archived; the first segment that is there is "
            + (gone.first.map { Hexadecimal.text($0.value, digits: 16) } ?? "not yet made"))
      }
      if isQuiet, pace.isSilent { try lent.send(header(0, request.segment, 0, lent.tag)) }
      if try pace.wait(isQuiet: isQuiet, lent) { return }
    }
  }

  private func header(_ count: Int, _ segment: SegmentNumber, _ offset: Int, _ tag: String)
    -> String
  {
    "BYTES \(count) segment=\(Hexadecimal.text(segment.value, digits: 16)) offset=\(offset)"
      + "\(tag)\n"
  }
}
