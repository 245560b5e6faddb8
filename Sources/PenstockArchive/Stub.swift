package import PenstockCore
internal import CShims
package struct Manifest { package static func read<F: FileSystem>(_ f: F, _ l: StoreLayout) throws -> Manifest { Manifest() }
 package func archivedThrough(_ l: LogNumber) -> SegmentNumber { .none }
 package func coveredThrough(_ l: LogNumber) -> SequenceNumber { .none } }
package enum ArchiverProcess { package static func run(layout: StoreLayout, store: StoreIdentifier, control: Int32) -> Int32 { var d = control; while true { if unsafe penstock_wait_readable(&d, 1, -1) > 0 { return 0 } } } }
