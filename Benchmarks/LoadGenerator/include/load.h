// The load generator's hot half: prebuilt bytes out, answers in, latencies counted.
//
// It must never be what limits a measurement: everything sent is built before the clock starts,
// one system call moves many events, and nothing is done per event but counting. A few hundred
// distinct messages are cycled, so that no cache of the receiver sees one line for ever.
//
// A *unit* is what is counted and paced: one syslog message, or one PUT of several event lines.
// All units of a run have the same size, so a position in the stream says how many went out.
#pragma once

#include <features.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum load_kind {
  LOAD_SYSLOG_OCTET,    // TCP, RFC 6587 octet counting
  LOAD_SYSLOG_NEWLINE,  // TCP, one message a line
  LOAD_LINE,            // the line protocol: PUT and receipts
  LOAD_DATAGRAMS,       // UDP, one datagram a message
  LOAD_SEGMENTS,        // UDP with UDP_SEGMENT: one send is cut into datagrams by the kernel
  LOAD_COMMIT,          // the line protocol: COMMIT with a condition, each of one journal
};

enum {
  LOAD_MESSAGE_BYTES = 200,   // every event, its own framing not counted
  LOAD_MESSAGE_COUNT = 512,   // distinct messages
  LOAD_CONNECTION_MAX = 256,
  LOAD_WINDOW_MAX = 1 << 16,  // units in flight on one connection
  LOAD_SEGMENT_MAX = 64,      // datagrams one segmented send holds
};

// --- Histogram: log-linear, 32 buckets for each power of two, so within about 3 % ---

enum { LOAD_BUCKET_COUNT = 32 * 40 };

static inline size_t load_bucket(uint64_t value) {
  if (value < 32) return value;
  unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
  size_t index = (size_t)(exponent - 4) * 32 + ((value >> (exponent - 5)) & 31);
  return index < LOAD_BUCKET_COUNT ? index : LOAD_BUCKET_COUNT - 1;
}

// The smallest value of a bucket.
static inline uint64_t load_bucket_start(size_t index) {
  if (index < 32) return index;
  return (uint64_t)(32 + index % 32) << (index / 32 - 1);
}

// Whether units are requests of the line protocol, which are answered.
static inline bool load_is_line(int kind) { return kind == LOAD_LINE || kind == LOAD_COMMIT; }

// --- One run ---

struct load_plan {
  int kind;
  const int *sockets;       // connected; the caller closes them
  int socket_count;
  uint64_t rate;            // events a second, all connections together; 0: as fast as taken
  unsigned events_per_put;  // LOAD_LINE, LOAD_COMMIT
  unsigned window;          // LOAD_LINE, LOAD_COMMIT: requests in flight on one connection
  int64_t warmup_ns;        // sent, but its latencies are not counted
  int64_t measured_ns;
  bool sleeps;              // between paced units; else it watches the clock
  uint64_t seed;
};

struct load_result {
  uint64_t events_sent;
  uint64_t bytes_sent;             // payload and framing
  uint64_t events_acknowledged;
  uint64_t events_in_window;       // acknowledged within the measured time
  uint64_t units_refused;
  uint64_t sends_failed;           // datagrams the kernel did not take
  uint64_t latenesses_over_1ms;    // paced units that went out over 1 ms behind their time
  int connections_lost;
  int64_t sending_ns;              // from the first send to the last
  int64_t processor_ns;            // CPU time of this process
  char *refusal;                   // first refusal's text, `refusal_capacity` bytes, or NULL
  size_t refusal_capacity;
  uint64_t *latencies;             // LOAD_BUCKET_COUNT counts of nanoseconds, or NULL
};

// Runs to its end; 0 or -errno. SIGTERM ends the sending early.
int load_run(const struct load_plan *plan, struct load_result *result);

// Writes the plan's units, cycled, to `out`: what a run sends on one connection. Returns the bytes
// of one unit; the bytes of all go to `byte_count`. `out` may be NULL to ask for sizes.
size_t load_build(const struct load_plan *plan, char *out, size_t *byte_count);
