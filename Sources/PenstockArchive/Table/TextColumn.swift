// Texts of a column: types, attributes or payloads, one a row. Log lines come from few statements of
// a program: each text is a template and the values that stand in its slots, and values that stand
// in the same place are like each other.
//
//     encoding 0  sizes       of each row: bytes                                        (numbers)
//                 texts       one after the other
//     encoding 1  head        varints: bytes of all texts, templates, own templates, leading slots,
//                             strings, bytes of the strings, bytes of the templates
//                 rows        for each: its template                                    (numbers)
//                 sizes       of each string                                            (numbers)
//                 columns     of slot values, each                                      (numbers)
//                 strings     one after the other
//                 templates   each: bytes and slots, then 0x00
//     numbers     as told in NumberColumn.swift
//     slot        one byte, and in its column one number n:
//        02 digits   n is their place among all strings of digits, the shorter first: "0" … "9"
//                    are 0 … 9, "00" … "99" are 10 … 109, and so on; at most 19 digits
//        03 hexadecimal digits, lower case, numbered alike; at most 15
//        04 the same, upper case
//        05 address  four decimal numbers of 0 … 255 between dots; the first highest in n
//        06 string   n is its number; a string has at least one byte
//        07 clock    hh:mm:ss of n seconds, n < 360,000
//        08 clock    hh:mm:ss.ffffff of n microseconds
//        0E clock    hh:mm:ss,fff of n milliseconds
//        0F clock    hh:mm:ss.fff     10 hh:mm:ss:fff, the same
//        11 date     Mmm dd hh:mm:ss, n = ((month − 1) · 32 + day) · 86,400 + second of the day;
//                    the day filled up with a space
//        12 date     the same, the day filled up with 0
//        13 hexadecimal number of 4 digits, lower case    14 of 8    15 of 12    16 of 16
//     column      Columns are numbered as they are met: slot after slot, template after template.
//                 A slot of an own template (the first ones are) that is not one of its leading
//                 slots has a column of its own. All others share: the n-th slot of one kind in its
//                 template has the column of the n-th slots of that kind. A column holds the values
//                 in the order of rows, and as many as its slots have rows.
//
// Bytes 0x00 … 0x08 and 0x0E … 0x1A of a text cannot stand in a template: such a text is a string.
// Where times, numbers and addresses are looked for is the encoder's business (TextScanner.swift);
// whatever it takes for one comes back to the byte.

internal import PenstockCore

/// What a slot holds. The raw value marks it in a template.
enum TextSlot: UInt8 {
  case digits = 0x02
  case hexadecimal, upperHexadecimal, address, string, clock, clockMicroseconds
  case clockCommaMilliseconds = 0x0E
  case clockDotMilliseconds, clockColonMilliseconds, date, zeroDate
  case fourHexadecimal, eightHexadecimal, twelveHexadecimal, sixteenHexadecimal

  /// Most bytes a slot other than a string gives.
  static let byteCountMax = 20
  /// Most digits of a slot.
  static let digitCountMax = 19
  static let hexadecimalDigitCountMax = 15

  /// Whether a byte marks a slot.
  @inline(__always)
  static func isMark(_ byte: UInt8) -> Bool {
    byte <= 0x16 && (byte >= 0x0E || byte <= 0x08) && byte >= 0x02
  }
}

/// Limits of a text column.
enum TextColumn {
  static let raw: UInt16 = 0
  static let templates: UInt16 = 1

  /// Ends a template.
  static let end: UInt8 = 0
  /// Most slots of one template: the encoder leaves what follows as it is.
  static let slotCountMax = 128
  /// Most slots of all templates together, so that damaged bytes cannot ask for more memory.
  static let totalSlotCountMax = 1 << 16
  /// Most values of a column: a block's lines hold about 150,000 numbers at most.
  static let valueCountMax = 1 << 20
  /// Texts longer than this are not looked into.
  static let scannedByteCountMax = 4096
}

/// Gives the slots of templates their columns, in the order in which both encoder and decoder meet
/// them.
struct TextColumnNumbers {
  private(set) var columnCount = 0
  private let ownCount: Int
  private let leadingCount: Int
  /// Column of the n-th slot of a kind, plus one.
  private var shared = [Int32](repeating: 0, count: 32 * TextColumn.slotCountMax)
  /// For each kind, its slots in this template so far: fewer than `slotCountMax`.
  private var ordinals = InlineArray<32, UInt8>(repeating: 0)
  private var slotIndex = 0
  private var isOwn = false

  init(ownCount: Int, leadingCount: Int) {
    self.ownCount = ownCount
    self.leadingCount = leadingCount
  }

  mutating func begin(template number: Int) {
    ordinals = InlineArray(repeating: 0)
    slotIndex = 0
    isOwn = number < ownCount
  }

  /// The column of the template's next slot. It has at most `slotCountMax`.
  mutating func next(_ mark: UInt8) -> Int {
    let kind = Int(mark & 31)
    defer {
      ordinals[kind] &+= 1
      slotIndex += 1
    }
    if isOwn, slotIndex >= leadingCount {
      columnCount += 1
      return columnCount - 1
    }
    let place = kind * TextColumn.slotCountMax + Int(ordinals[kind])
    if shared[place] == 0 {
      columnCount += 1
      shared[place] = Int32(columnCount)
    }
    return Int(shared[place]) - 1
  }
}
