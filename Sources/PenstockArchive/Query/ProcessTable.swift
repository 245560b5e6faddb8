// The few facts readers and commands ask the kernel about processes and files.

internal import CShims

/// Other processes, seen from outside.
package enum ProcessTable {
  /// Whether a process of this number exists here and still runs. A process of another process
  /// namespace counts as not there.
  package static func isAlive(_ process: Int32) -> Bool { penstock_process_exists(process) }
}
