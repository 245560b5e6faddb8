// The file of tokens: who may use the line protocol, and for what. One token a line.
//
//     file     = *( line LF )                    ; the last LF may be missing
//     line     = *blank [ token *blank ] | *blank "#" *OCTET          ; comments
//     token    = name 1*blank secret *( 1*blank right )
//     name     = 1*64( letter | digit | "." | "_" | "-" )             ; each once
//     secret   = 16*128 bytes of %x21-7E                              ; each once
//     right    = ( "read=" | "write=" ) pattern *( "," pattern )      ; each at most once
//     pattern  = a pattern of Glob, 1 to 256 bytes; "," within is "\,", and a space is matched by "?"
//     blank    = SP | TAB
//
//     # who     secret                               what
//     shop      q7mYp0ZkXv4sRt9bLwD2cQ               read=/orders/*,shop/* write=/orders/*
//     reports   0b5f3a7c9d1e2f4a6b8c0d1e2f3a4b5c     read=*
//
// "write" covers PUT, COMMIT and PRODUCER; "read" covers READ, FOLLOW, HEAD and EXISTS, and COPY when
// it is "*". The conditions a COMMIT puts on another journal (in=) want one of the two for it. Without
// a right a token gives nothing but HELLO.
//
// A file with an error, or without a token, is refused as a whole, naming the line; messages never
// show a secret. Others may have no access to the file (PrivateFile).

/// Reads files of tokens.
package enum TokenFile {
  /// Tokens at most: finding one compares with all of them.
  package static let tokenCountMax = 256
  /// Patterns of one right at most, and their bytes: each may be tried on every event line.
  package static let patternCountMax = 16
  package static let patternByteCountMax = 256
  /// Bytes of a token's name at most: it goes from process to process with each request to read.
  package static let nameByteCountMax = 64
  /// Bytes of the file: 256 tokens with the longest rights fit twice.
  package static let byteCountMax = 4 << 20

  /// Reads a file.
  package static func read(_ path: String) throws(PrivateFile.Fault) -> [AccessToken] {
    let bytes = try PrivateFile.read(path, byteCountMax: byteCountMax)
    do throws(PrivateFile.Fault) {
      return try tokens(bytes)
    } catch {
      throw PrivateFile.Fault("\(path): \(error)")
    }
  }

  /// Reads the text of a file.
  package static func tokens(_ bytes: [UInt8]) throws(PrivateFile.Fault) -> [AccessToken] {
    var tokens: [AccessToken] = []
    var number = 0
    for line in bytes.split(separator: Byte.lineFeed, omittingEmptySubsequences: false) {
      number += 1
      do throws(PrivateFile.Fault) {
        guard let token = try token(line) else { continue }
        guard !tokens.contains(where: { $0.name == token.name }) else {
          throw PrivateFile.Fault("the name '\(token.name)' is taken by a line before")
        }
        guard !tokens.contains(where: { $0.secret == token.secret }) else {
          throw PrivateFile.Fault("the secret is that of a line before; each token has its own")
        }
        guard tokens.count < tokenCountMax else {
          throw PrivateFile.Fault("at most \(tokenCountMax) tokens may be given")
        }
        tokens.append(token)
      } catch {
        throw PrivateFile.Fault("line \(number): \(error)")
      }
    }
    guard !tokens.isEmpty else {
      throw PrivateFile.Fault("there is no token in it; expected 'NAME SECRET [read=…] [write=…]'")
    }
    return tokens
  }

  private static func token(_ line: ArraySlice<UInt8>) throws(PrivateFile.Fault) -> AccessToken? {
    let words = line.split { $0 == Byte.space || $0 == Byte.tab }
    guard let first = words.first, first.first != UInt8(ascii: "#") else { return nil }
    guard (1...nameByteCountMax).contains(first.count), first.allSatisfy(isOfName) else {
      throw PrivateFile.Fault(
        "expected a name of 1 to \(nameByteCountMax) letters, digits, '.', '_' and '-'")
    }
    let lengths = AccessToken.secretByteCounts
    guard words.count > 1, lengths.contains(words[1].count),
      words[1].allSatisfy({ (0x21...0x7E).contains($0) })
    else {
      throw PrivateFile.Fault(
        "expected a secret of \(lengths.lowerBound) to \(lengths.upperBound) printable bytes "
          + "behind the name")
    }
    var read: StreamPatterns?
    var write: StreamPatterns?
    for word in words.dropFirst(2) {
      if word.starts(with: Array("read=".utf8)), read == nil {
        read = try patterns(word.dropFirst(5))
      } else if word.starts(with: Array("write=".utf8)), write == nil {
        write = try patterns(word.dropFirst(6))
      } else {
        throw PrivateFile.Fault("expected read=PATTERN,… and write=PATTERN,…, each once at most")
      }
    }
    return AccessToken(
      name: String(decoding: first, as: UTF8.self), secret: Array(words[1]), read: read ?? .none,
      write: write ?? .none)
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      Byte.zero...Byte.nine, UInt8(ascii: "."), UInt8(ascii: "_"), Byte.dash:
      true
    default: false
    }
  }

  /// Reads patterns with commas between them; a comma behind a backslash is the pattern's own.
  private static func patterns(_ text: ArraySlice<UInt8>) throws(PrivateFile.Fault)
    -> StreamPatterns
  {
    var parts: [[UInt8]] = [[]]
    var isEscaped = false
    for byte in text {
      if byte == UInt8(ascii: ","), !isEscaped {
        parts.append([])
        continue
      }
      isEscaped = byte == Byte.backslash && !isEscaped
      parts[parts.count - 1].append(byte)
    }
    guard parts.count <= patternCountMax else {
      throw PrivateFile.Fault("a right has at most \(patternCountMax) patterns")
    }
    var globs: [Glob] = []
    for part in parts {
      guard (1...patternByteCountMax).contains(part.count),
        let pattern = String(validating: part, as: UTF8.self)
      else {
        throw PrivateFile.Fault(
          "expected patterns of 1 to \(patternByteCountMax) bytes of UTF-8 behind '=' and ','")
      }
      do throws(Glob.Fault) {
        globs.append(try Glob(pattern))
      } catch {
        throw PrivateFile.Fault(error.description)
      }
    }
    return StreamPatterns(globs)
  }
}
