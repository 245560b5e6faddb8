// The part of liburing the ring backend uses, as functions Swift can call.
//
// Each `penstock_ring_*` verb queues one operation and returns 0, or -EBUSY when the submission
// queue is full and could not be flushed. The ring itself is opaque and lives on the heap: the
// kernel keeps its address. Tokens are the caller's 64 bits and come back with the completion.
#pragma once
// Before liburing.h, which defines _XOPEN_SOURCE and would change fd_set for Swift's Glibc.
#include <features.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct penstock_ring;

struct penstock_completion {
  uint64_t token;
  int32_t result;
  uint32_t flags;
};

// What the kernel wrote in front of a datagram in a provided buffer.
struct penstock_datagram {
  uint32_t payload_offset;   // bytes from the start of the buffer
  uint32_t payload_count;    // bytes of payload in the buffer
  uint32_t segment_count;    // bytes of each datagram but the last; payload_count when not coalesced
  uint32_t truncated;        // 1 when the kernel cut the payload
};

// Opens a ring. `flags` are IORING_SETUP_*; returns 0 or -errno.
int penstock_ring_open(unsigned entries, unsigned completions, unsigned flags,
                       struct penstock_ring **out);
void penstock_ring_close(struct penstock_ring *ring);

// Fixed-file table of `count` empty slots. A descriptor put into a slot may be closed: the ring
// keeps the file open until the slot is replaced and every operation on it has retired.
int penstock_ring_register_slots(struct penstock_ring *ring, unsigned count);
int penstock_ring_set_slot(struct penstock_ring *ring, unsigned slot, int descriptor);

// Registers one range of memory, so that writes from it pin no pages.
int penstock_ring_register_memory(struct penstock_ring *ring, void *base, size_t byte_count);

// A ring of `count` buffers (a power of two) of `size` bytes at `base`, chosen by the kernel.
int penstock_ring_add_buffers(struct penstock_ring *ring, uint16_t group, void *base, unsigned size,
                              unsigned count);
// Gives buffer `index` of `group` back; visible to the kernel after the publish.
void penstock_ring_return_buffer(struct penstock_ring *ring, uint16_t group, uint16_t index);
void penstock_ring_publish_buffers(struct penstock_ring *ring, uint16_t group);

int penstock_ring_accept(struct penstock_ring *ring, int listener, uint64_t token);
int penstock_ring_receive(struct penstock_ring *ring, int socket, uint16_t group, uint64_t token);
// Multishot; completions carry F_MORE until it has to be queued again.
int penstock_ring_receive_datagrams(struct penstock_ring *ring, int socket, uint16_t group,
                                    uint64_t token);
int penstock_ring_send(struct penstock_ring *ring, int socket, const void *bytes, unsigned count,
                       uint64_t token);
int penstock_ring_poll(struct penstock_ring *ring, int descriptor, uint64_t token);
int penstock_ring_cancel_descriptor(struct penstock_ring *ring, int descriptor, uint64_t token);
// A write linked to an fdatasync. The write completes (with `write_token`) only when it failed or
// was short; the sync completes always.
int penstock_ring_write_and_sync(struct penstock_ring *ring, unsigned slot, const void *bytes,
                                 unsigned count, uint64_t offset, bool registered,
                                 uint64_t write_token, uint64_t sync_token);

// Submits what is queued and waits for `wait` completions or `timeout_ns` (negative: for ever).
// Returns 0 or -errno; a timeout and an interruption are 0.
int penstock_ring_submit_and_wait(struct penstock_ring *ring, unsigned wait, int64_t timeout_ns);
// Copies up to `limit` completions out of the ring; returns how many.
unsigned penstock_ring_reap(struct penstock_ring *ring, struct penstock_completion *out,
                            unsigned limit);

// --- Reads ahead ---
// A small ring of its own for reads into slots of memory, each waited for by its slot.
enum { PENSTOCK_READER_SLOTS = 4 };
struct penstock_reader;
// 0 or -errno, where io_uring is refused.
int penstock_reader_open(struct penstock_reader **out);
// Waits for all reads that are on their way.
void penstock_reader_close(struct penstock_reader *reader);
// Begins to read into `bytes`, which are left alone until the slot has been waited for; 0, or
// -EBUSY when a read of this slot is on its way.
int penstock_reader_begin(struct penstock_reader *reader, unsigned slot, int descriptor,
                          void *bytes, unsigned count, uint64_t offset);
// Waits for the slot's read; the number of bytes read, maybe fewer than asked for, or -errno.
int penstock_reader_wait(struct penstock_reader *reader, unsigned slot);

// Reads the header the kernel put before a datagram of `received` bytes; 0, or -EINVAL when the
// buffer does not hold one.
int penstock_ring_datagram(const void *buffer, uint32_t received, struct penstock_datagram *out);

static inline bool penstock_completion_has_buffer(uint32_t flags) {
  return (flags & IORING_CQE_F_BUFFER) != 0;
}
static inline uint16_t penstock_completion_buffer(uint32_t flags) {
  return (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
}
static inline bool penstock_completion_has_more(uint32_t flags) {
  return (flags & IORING_CQE_F_MORE) != 0;
}
static inline unsigned penstock_setup_single_issuer(void) { return IORING_SETUP_SINGLE_ISSUER; }
static inline unsigned penstock_setup_defer_taskrun(void) { return IORING_SETUP_DEFER_TASKRUN; }
static inline unsigned penstock_setup_coop_taskrun(void) { return IORING_SETUP_COOP_TASKRUN; }
static inline unsigned penstock_setup_submit_all(void) { return IORING_SETUP_SUBMIT_ALL; }
