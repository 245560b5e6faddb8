#define _GNU_SOURCE
#include "include/bytes.h"

#include <string.h>

// --- CRC-32C ---------------------------------------------------------------------------------
// Three interleaved hardware lanes, long ones over large ranges and short ones over single lines
// (the instruction has a latency of three cycles and a throughput of one), joined by tables that
// multiply by x^(8n) mod P.

static const uint32_t polynomial = 0x82f63b78u;

static uint32_t software_table[256];
enum { LONG_LANE = 4096, SHORT_LANE = 256, LINE_LANE = 64 };
static uint32_t long_shift[4][256], short_shift[4][256], line_shift[4][256];

static uint32_t multiply(const uint32_t *matrix, uint32_t vector) {
  uint32_t sum = 0;
  for (; vector; vector >>= 1, matrix++)
    if (vector & 1) sum ^= *matrix;
  return sum;
}

static void square(uint32_t *out, const uint32_t *matrix) {
  for (int i = 0; i < 32; i++) out[i] = multiply(matrix, matrix[i]);
}

// Fills `table` with the operator that appends `count` zero bytes; `count` is a power of two.
static void make_shift(uint32_t table[4][256], size_t count) {
  uint32_t a[32], b[32];
  a[0] = polynomial;
  for (int i = 1; i < 32; i++) a[i] = 1u << (i - 1);
  for (int k = 0; k < 3; k++) {
    square(b, a);
    memcpy(a, b, sizeof a);
  }
  for (; count > 1; count >>= 1) {
    square(b, a);
    memcpy(a, b, sizeof a);
  }
  for (uint32_t n = 0; n < 256; n++)
    for (int k = 0; k < 4; k++) table[k][n] = multiply(a, n << (8 * k));
}

static int has_hardware;

__attribute__((constructor)) static void make_tables(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int k = 0; k < 8; k++) c = (c >> 1) ^ ((c & 1) ? polynomial : 0);
    software_table[n] = c;
  }
  make_shift(long_shift, LONG_LANE);
  make_shift(short_shift, SHORT_LANE);
  make_shift(line_shift, LINE_LANE);
#if defined(__x86_64__)
  has_hardware = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t crc_software(uint32_t c, const uint8_t *p, size_t n) {
  while (n--) c = software_table[(c ^ *p++) & 0xff] ^ (c >> 8);
  return c;
}

#if defined(__x86_64__)
static inline uint32_t shift(const uint32_t t[4][256], uint32_t c) {
  return t[0][c & 255] ^ t[1][(c >> 8) & 255] ^ t[2][(c >> 16) & 255] ^ t[3][c >> 24];
}

__attribute__((target("sse4.2"))) static uint64_t lanes(uint64_t c, const uint8_t **bytes,
                                                        size_t *count, size_t lane,
                                                        const uint32_t t[4][256]) {
  const uint8_t *p = *bytes;
  size_t n = *count;
  while (n >= 3 * lane) {
    uint64_t c1 = 0, c2 = 0;
    for (const uint8_t *end = p + lane; p < end; p += 8) {
      uint64_t w0, w1, w2;
      memcpy(&w0, p, 8);
      memcpy(&w1, p + lane, 8);
      memcpy(&w2, p + 2 * lane, 8);
      c = __builtin_ia32_crc32di(c, w0);
      c1 = __builtin_ia32_crc32di(c1, w1);
      c2 = __builtin_ia32_crc32di(c2, w2);
    }
    c = shift(t, (uint32_t)c) ^ c1;
    c = shift(t, (uint32_t)c) ^ c2;
    p += 2 * lane;
    n -= 3 * lane;
  }
  *bytes = p;
  *count = n;
  return c;
}

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t seed, const uint8_t *p,
                                                               size_t n) {
  uint64_t c = seed;
  c = lanes(c, &p, &n, LONG_LANE, long_shift);
  c = lanes(c, &p, &n, SHORT_LANE, short_shift);
  c = lanes(c, &p, &n, LINE_LANE, line_shift);
  while (n >= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    c = __builtin_ia32_crc32di(c, w);
    p += 8;
    n -= 8;
  }
  uint32_t r = (uint32_t)c;
  if (n & 4) {
    uint32_t w;
    memcpy(&w, p, 4);
    r = __builtin_ia32_crc32si(r, w);
    p += 4;
  }
  if (n & 2) {
    uint16_t w;
    memcpy(&w, p, 2);
    r = __builtin_ia32_crc32hi(r, w);
    p += 2;
  }
  if (n & 1) r = __builtin_ia32_crc32qi(r, *p);
  return r;
}
#endif

uint32_t penstock_crc32c(uint32_t seed, const void *bytes, size_t count) {
#if defined(__x86_64__)
  if (has_hardware) return ~crc_hardware(~seed, bytes, count);
#endif
  return ~crc_software(~seed, bytes, count);
}

// --- Search and copy -------------------------------------------------------------------------

size_t penstock_find(const void *bytes, size_t from, size_t to, uint8_t byte) {
  if (from >= to) return to;
  const uint8_t *found = memchr((const uint8_t *)bytes + from, byte, to - from);
  return found ? (size_t)(found - (const uint8_t *)bytes) : to;
}

static inline uint64_t zero_bytes(uint64_t w) {
  return (w - 0x0101010101010101ull) & ~w & 0x8080808080808080ull;
}
static inline uint64_t equal_bytes(uint64_t w, uint8_t byte) {
  return zero_bytes(w ^ (0x0101010101010101ull * byte));
}

typedef uint8_t vector16 __attribute__((vector_size(16), aligned(1)));
#if defined(__x86_64__)
typedef char signed16 __attribute__((vector_size(16), aligned(1)));
#endif

int penstock_copy_payload(void *destination, const void *source, size_t count) {
  const uint8_t *s = source;
  uint8_t *d = destination;
  vector16 found = {0};
  while (count >= 16) {
    vector16 v;
    memcpy(&v, s, 16);
    memcpy(d, &v, 16);
    found |= (vector16)(v == (uint8_t)'\n') | (vector16)(v == (uint8_t)0);
    s += 16;
    d += 16;
    count -= 16;
  }
  uint64_t any[2];
  memcpy(any, &found, 16);
  uint64_t hit = any[0] | any[1];
  if (count >= 8) {
    uint64_t w;
    memcpy(&w, s, 8);
    memcpy(d, &w, 8);
    hit |= zero_bytes(w) | equal_bytes(w, '\n');
    s += 8;
    d += 8;
    count -= 8;
  }
  while (count--) {
    hit |= (*s == '\n') | (*s == 0);
    *d++ = *s++;
  }
  return hit != 0;
}

static inline uint64_t word_hit(uint64_t w) {
  return zero_bytes(w) | equal_bytes(w, '\n') | equal_bytes(w, '\t') | equal_bytes(w, ' ') |
         equal_bytes(w, '\\');
}

int penstock_copy_word(void *destination, const void *source, size_t count) {
  const uint8_t *s = source;
  uint8_t *d = destination;
  uint64_t w, hit = 0;
  if (count >= 8) {
    // Whole words, then the last eight bytes once more.
    for (size_t i = 0; i + 8 <= count; i += 8) {
      memcpy(&w, s + i, 8);
      memcpy(d + i, &w, 8);
      hit |= word_hit(w);
    }
    memcpy(&w, s + count - 8, 8);
    memcpy(d + count - 8, &w, 8);
    return (hit | word_hit(w)) != 0;
  }
  if (count >= 4) {
    uint32_t first, last;
    memcpy(&first, s, 4);
    memcpy(&last, s + count - 4, 4);
    memcpy(d, &first, 4);
    memcpy(d + count - 4, &last, 4);
    return word_hit((uint64_t)last << 32 | first) != 0;
  }
  if (count == 0) return 0;
  uint8_t first = s[0], middle = s[count / 2], last = s[count - 1];
  d[0] = first;
  d[count / 2] = middle;
  d[count - 1] = last;
  w = 0x4141414141000000ull | (uint64_t)last << 16 | (uint64_t)middle << 8 | first;
  return word_hit(w) != 0;
}

// --- Bits of bytes ---------------------------------------------------------------------------
// Vectors of 16 bytes; the last ones overlap where there are fewer than 64, so nothing is read
// beyond `count`.

static inline uint64_t bits_of(vector16 truth) {
#if defined(__x86_64__)
  return (uint64_t)(uint32_t)__builtin_ia32_pmovmskb128((signed16)truth);
#else
  uint64_t bits = 0;
  for (int i = 0; i < 16; i++) bits |= (uint64_t)(truth[i] & 1) << i;
  return bits;
#endif
}

static inline size_t vector_offset(size_t i, size_t count) {
  return 16 * i <= count - 16 ? 16 * i : count - 16;
}

static inline vector16 is_awkward(vector16 v) {
  return (vector16)(v < (uint8_t)' ') | (vector16)(v == (uint8_t)'\\');
}

struct penstock_header_bits penstock_header_bits(const void *bytes, size_t count) {
  struct penstock_header_bits bits = {0, 0};
  for (size_t i = 0; i < 4; i++) {
    size_t offset = vector_offset(i, count);
    vector16 v;
    memcpy(&v, (const uint8_t *)bytes + offset, 16);
    bits.spaces |= bits_of((vector16)(v == (uint8_t)' ')) << offset;
    bits.awkward |= bits_of(is_awkward(v)) << offset;
  }
  return bits;
}

struct penstock_data_bits penstock_data_bits(const void *bytes, size_t count) {
  struct penstock_data_bits bits = {0, 0, 0, 0};
  for (size_t i = 0; i < 4; i++) {
    size_t offset = vector_offset(i, count);
    vector16 v;
    memcpy(&v, (const uint8_t *)bytes + offset, 16);
    vector16 quotes = (vector16)(v == (uint8_t)'"');
    vector16 breaks = (vector16)(v == (uint8_t)' ') | (vector16)(v == (uint8_t)']');
    bits.stops |= bits_of(quotes | breaks | (vector16)(v == (uint8_t)'=')) << offset;
    bits.quotes |= bits_of(quotes) << offset;
    bits.awkward |= bits_of(breaks | is_awkward(v)) << offset;
    bits.dots |= bits_of((vector16)(v == (uint8_t)'.')) << offset;
  }
  return bits;
}

static void text_bits_of_64(const uint8_t *bytes, uint64_t *digits, uint64_t *letters,
                            uint64_t *hexadecimals, uint64_t *marks) {
  uint64_t d = 0, l = 0, h = 0, m = 0;
  for (size_t i = 0; i < 64; i += 16) {
    vector16 v;
    memcpy(&v, bytes + i, 16);
    d |= bits_of((vector16)((vector16)(v - (uint8_t)'0') < (uint8_t)10)) << i;
    l |= bits_of((vector16)((vector16)((v | (uint8_t)32) - (uint8_t)'a') < (uint8_t)26)) << i;
    h |= bits_of((vector16)((vector16)(v - (uint8_t)'a') < (uint8_t)6)) << i;
    m |= bits_of((vector16)(v < (uint8_t)9) |
                 (vector16)((vector16)(v - (uint8_t)14) < (uint8_t)13)) << i;
  }
  *digits = d;
  *letters = l;
  *hexadecimals = h;
  *marks = m;
}

void penstock_text_bits(const void *bytes, size_t count, uint64_t *digits, uint64_t *letters,
                        uint64_t *hexadecimals, uint64_t *marks) {
  const uint8_t *p = bytes;
  size_t word = 0;
  for (; 64 * word + 64 <= count; word++)
    text_bits_of_64(p + 64 * word, &digits[word], &letters[word], &hexadecimals[word],
                    &marks[word]);
  if (64 * word == count) return;
  // White space stands for what is not there.
  uint8_t rest[64];
  memset(rest, ' ', sizeof rest);
  memcpy(rest, p + 64 * word, count - 64 * word);
  text_bits_of_64(rest, &digits[word], &letters[word], &hexadecimals[word], &marks[word]);
}

int penstock_all(const void *bytes, size_t count, uint8_t byte) {
  const uint8_t *p = bytes;
  if (count == 0) return 1;
  return p[0] == byte && memcmp(p, p + 1, count - 1) == 0;
}
