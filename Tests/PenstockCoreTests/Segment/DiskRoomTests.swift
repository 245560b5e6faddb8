import PenstockCore
import Testing

struct DiskRoomTests {
  private static let gibibyte = 1 << 30
  private static let sizes = [1 << 20, 48 << 20, 1 << 30, 8 << 30, 252 << 30, 1 << 50]

  @Test(arguments: sizes)
  func `thresholds come one after the other, and each is met`(_ total: Int) {
    let falling: [DiskRoom] = [.low, .nearlyFull, .full]
    let thresholds = falling.map { $0.threshold(total: total) }
    #expect(thresholds == thresholds.sorted(by: >) && Set(thresholds).count == 3)
    for (room, threshold) in zip(falling, thresholds) {
      #expect(DiskRoom(free: threshold - 1, total: total) == room)
      #expect(DiskRoom(free: threshold, total: total) > room)
    }
    #expect(DiskRoom(free: total, total: total) == .plenty)
    #expect(DiskRoom(free: 0, total: total) == .full)
  }

  @Test func `a better word takes an eighth more than the threshold, a worse one nothing`() {
    let total = 252 * DiskRoomTests.gibibyte
    let low = DiskRoom.low.threshold(total: total)
    #expect(DiskRoom.plenty.next(free: low, total: total) == .plenty)
    #expect(DiskRoom.plenty.next(free: low - 1, total: total) == .low)
    #expect(DiskRoom.low.next(free: low + low / 16, total: total) == .low)
    #expect(DiskRoom.low.next(free: low + low / 4, total: total) == .plenty)
    #expect(DiskRoom.plenty.next(free: 0, total: total) == .full)
    #expect(DiskRoom.full.next(free: total, total: total) == .plenty)
  }
}
