// How every command ends, and the one place where it does.
//
//     0   done
//     1   failed, or `verify` found damage; standard error says what and what to do
//     2   the command line is not understood
//     3   answered, but some bytes of the store were damaged and left out; standard error names them
//
// A reader that leaves the pipe (`| head`) ends a command quietly with 0.

import ArgumentParser
import CShims
import PenstockArchive

/// The program's exit statuses, stable for scripts.
enum ExitStatus: Int32 {
  case done = 0
  case failed = 1
  case usage = 2
  case incomplete = 3

  /// Ends the command with this status, silently: what there was to say has been said.
  var code: ExitCode { ExitCode(rawValue) }
}

extension ParsableCommand {
  /// Parses the command line, runs what it names and ends the process with the right status.
  static func runProgram() -> Never {
    OutputBuffer.ignoreClosedPipes()
    penstock_unblock_signals()
    do {
      var command = try parseAsRoot()
      try command.run()
      penstock_exit(ExitStatus.done.rawValue)
    } catch {
      penstock_exit(status(of: error))
    }
  }

  private static func status(of error: any Error) -> Int32 {
    if let ended = error as? ExitCode { return ended.rawValue }
    if let output = error as? OutputError, output == .closedPipe { return ExitStatus.done.rawValue }
    let own = exitCode(for: error)
    if own.isSuccess {
      // Help and version: asked for, so they go to standard output.
      print(fullMessage(for: error))
      return ExitStatus.done.rawValue
    }
    if own == .validationFailure {
      Console.say(fullMessage(for: error))
      return ExitStatus.usage.rawValue
    }
    Console.say("penstock: \(error)")
    return ExitStatus.failed.rawValue
  }
}
