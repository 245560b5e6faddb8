#define _GNU_SOURCE
#include "include/uring.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
  GROUP_COUNT = 4,
  // Room for one UDP_GRO control message; the peer's address is asked for by nobody yet.
  CONTROL_BYTES = CMSG_SPACE(sizeof(int)),
};

struct buffer_group {
  struct io_uring_buf_ring *ring;
  char *base;
  unsigned size, count;
  unsigned returned;  // put back since the last publish
};

struct penstock_ring {
  struct io_uring ring;
  struct buffer_group groups[GROUP_COUNT];
  struct msghdr datagram_header;
};

int penstock_ring_open(unsigned entries, unsigned completions, unsigned flags,
                       struct penstock_ring **out) {
  struct penstock_ring *r = calloc(1, sizeof *r);
  if (!r) return -ENOMEM;
  struct io_uring_params p;
  memset(&p, 0, sizeof p);
  p.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  p.cq_entries = completions;
  int result = io_uring_queue_init_params(entries, &r->ring, &p);
  if (result < 0) {
    free(r);
    return result;
  }
  r->datagram_header.msg_controllen = CONTROL_BYTES;
  *out = r;
  return 0;
}

void penstock_ring_close(struct penstock_ring *r) {
  for (int i = 0; i < GROUP_COUNT; i++) {
    if (!r->groups[i].ring) continue;
    io_uring_unregister_buf_ring(&r->ring, i);
    free(r->groups[i].ring);
  }
  io_uring_queue_exit(&r->ring);
  free(r);
}

int penstock_ring_register_slots(struct penstock_ring *r, unsigned count) {
  return io_uring_register_files_sparse(&r->ring, count);
}

int penstock_ring_set_slot(struct penstock_ring *r, unsigned slot, int descriptor) {
  int result = io_uring_register_files_update(&r->ring, slot, &descriptor, 1);
  return result < 0 ? result : 0;
}

int penstock_ring_register_memory(struct penstock_ring *r, void *base, size_t byte_count) {
  struct iovec range = {base, byte_count};
  return io_uring_register_buffers(&r->ring, &range, 1);
}

int penstock_ring_add_buffers(struct penstock_ring *r, uint16_t group, void *base, unsigned size,
                              unsigned count) {
  if (group >= GROUP_COUNT || count == 0 || (count & (count - 1)) != 0) return -EINVAL;
  struct buffer_group *g = &r->groups[group];
  size_t bytes = count * sizeof(struct io_uring_buf);
  bytes = (bytes + 4095) & ~(size_t)4095;
  void *memory = aligned_alloc(4096, bytes);
  if (!memory) return -ENOMEM;
  memset(memory, 0, bytes);
  struct io_uring_buf_reg registration;
  memset(&registration, 0, sizeof registration);
  registration.ring_addr = (uint64_t)(uintptr_t)memory;
  registration.ring_entries = count;
  registration.bgid = group;
  int result = io_uring_register_buf_ring(&r->ring, &registration, 0);
  if (result < 0) {
    free(memory);
    return result;
  }
  g->ring = memory;
  g->base = base;
  g->size = size;
  g->count = count;
  io_uring_buf_ring_init(g->ring);
  for (unsigned i = 0; i < count; i++) penstock_ring_return_buffer(r, group, (uint16_t)i);
  penstock_ring_publish_buffers(r, group);
  return 0;
}

void penstock_ring_return_buffer(struct penstock_ring *r, uint16_t group, uint16_t index) {
  struct buffer_group *g = &r->groups[group];
  io_uring_buf_ring_add(g->ring, g->base + (size_t)index * g->size, g->size, index,
                        io_uring_buf_ring_mask(g->count), (int)g->returned);
  g->returned++;
}

void penstock_ring_publish_buffers(struct penstock_ring *r, uint16_t group) {
  struct buffer_group *g = &r->groups[group];
  if (!g->returned) return;
  io_uring_buf_ring_advance(g->ring, (int)g->returned);
  g->returned = 0;
}

static struct io_uring_sqe *next_entry(struct penstock_ring *r) {
  struct io_uring_sqe *e = io_uring_get_sqe(&r->ring);
  if (e) return e;
  if (io_uring_submit(&r->ring) < 0) return NULL;
  return io_uring_get_sqe(&r->ring);
}

int penstock_ring_accept(struct penstock_ring *r, int listener, uint64_t token) {
  struct io_uring_sqe *e = next_entry(r);
  if (!e) return -EBUSY;
  io_uring_prep_accept(e, listener, NULL, NULL, SOCK_CLOEXEC);
  io_uring_sqe_set_data64(e, token);
  return 0;
}

int penstock_ring_receive(struct penstock_ring *r, int socket, uint16_t group, uint64_t token) {
  struct io_uring_sqe *e = next_entry(r);
  if (!e) return -EBUSY;
  io_uring_prep_recv(e, socket, NULL, 0, 0);
  e->flags |= IOSQE_BUFFER_SELECT;
  e->buf_group = group;
  io_uring_sqe_set_data64(e, token);
  return 0;
}

int penstock_ring_receive_datagrams(struct penstock_ring *r, int socket, uint16_t group,
                                    uint64_t token) {
  struct io_uring_sqe *e = next_entry(r);
  if (!e) return -EBUSY;
  io_uring_prep_recvmsg_multishot(e, socket, &r->datagram_header, 0);
  e->flags |= IOSQE_BUFFER_SELECT;
  e->buf_group = group;
  io_uring_sqe_set_data64(e, token);
  return 0;
}

int penstock_ring_send(struct penstock_ring *r, int socket, const void *bytes, unsigned count,
                       uint64_t token) {
  struct io_uring_sqe *e = next_entry(r);
  if (!e) return -EBUSY;
  io_uring_prep_send(e, socket, bytes, count, MSG_NOSIGNAL);
  io_uring_sqe_set_data64(e, token);
  return 0;
}

int penstock_ring_poll(struct penstock_ring *r, int descriptor, uint64_t token) {
  struct io_uring_sqe *e = next_entry(r);
  if (!e) return -EBUSY;
  io_uring_prep_poll_add(e, descriptor, POLLIN);
  io_uring_sqe_set_data64(e, token);
  return 0;
}

int penstock_ring_cancel_descriptor(struct penstock_ring *r, int descriptor, uint64_t token) {
  struct io_uring_sqe *e = next_entry(r);
  if (!e) return -EBUSY;
  io_uring_prep_cancel_fd(e, descriptor, IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_data64(e, token);
  return 0;
}

int penstock_ring_write_and_sync(struct penstock_ring *r, unsigned slot, const void *bytes,
                                 unsigned count, uint64_t offset, bool registered,
                                 uint64_t write_token, uint64_t sync_token) {
  // Both or neither: half a link would be submitted as a bare write.
  if (io_uring_sq_space_left(&r->ring) < 2 && io_uring_submit(&r->ring) < 0) return -EBUSY;
  if (io_uring_sq_space_left(&r->ring) < 2) return -EBUSY;
  struct io_uring_sqe *e = io_uring_get_sqe(&r->ring);
  if (registered) {
    io_uring_prep_write_fixed(e, (int)slot, bytes, count, offset, 0);
  } else {
    io_uring_prep_write(e, (int)slot, bytes, count, offset);
  }
  e->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(e, write_token);
  e = io_uring_get_sqe(&r->ring);
  io_uring_prep_fsync(e, (int)slot, IORING_FSYNC_DATASYNC);
  e->flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data64(e, sync_token);
  return 0;
}

int penstock_ring_submit_and_wait(struct penstock_ring *r, unsigned wait, int64_t timeout_ns) {
  struct io_uring_cqe *cqe = NULL;
  int result;
  if (wait == 0) {
    result = io_uring_submit_and_get_events(&r->ring);
  } else if (timeout_ns < 0) {
    result = io_uring_submit_and_wait(&r->ring, wait);
  } else {
    struct __kernel_timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    result = io_uring_submit_and_wait_timeout(&r->ring, &cqe, wait, &t, NULL);
  }
  if (result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN) return 0;
  return result;
}

unsigned penstock_ring_reap(struct penstock_ring *r, struct penstock_completion *out,
                            unsigned limit) {
  struct io_uring_cqe *cqe;
  unsigned head, n = 0;
  io_uring_for_each_cqe(&r->ring, head, cqe) {
    if (n == limit) break;
    out[n].token = cqe->user_data;
    out[n].result = cqe->res;
    out[n].flags = cqe->flags;
    n++;
  }
  io_uring_cq_advance(&r->ring, n);
  return n;
}

int penstock_ring_datagram(const void *buffer, uint32_t received, struct penstock_datagram *out) {
  const struct io_uring_recvmsg_out *o = buffer;
  uint32_t header = sizeof *o + CONTROL_BYTES;
  if (received < header) return -EINVAL;
  out->payload_offset = header;
  out->payload_count = received - header;
  out->truncated = (o->flags & MSG_TRUNC) != 0;
  out->segment_count = out->payload_count;
  struct msghdr m;
  memset(&m, 0, sizeof m);
  m.msg_control = (char *)buffer + sizeof *o;
  m.msg_controllen = o->controllen < CONTROL_BYTES ? o->controllen : CONTROL_BYTES;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
    if (h->cmsg_level != SOL_UDP || h->cmsg_type != UDP_GRO) continue;
    int size;
    memcpy(&size, CMSG_DATA(h), sizeof size);
    if (size > 0) out->segment_count = (uint32_t)size;
  }
  return 0;
}

// --- Reads ahead ---

struct penstock_reader {
  struct io_uring ring;
  struct {
    bool waits;  // begun, and its result not yet taken out of the ring
    int result;
  } slots[PENSTOCK_READER_SLOTS];
};

int penstock_reader_open(struct penstock_reader **out) {
  struct penstock_reader *r = calloc(1, sizeof *r);
  if (!r) return -ENOMEM;
  int result = io_uring_queue_init(PENSTOCK_READER_SLOTS, &r->ring, 0);
  if (result < 0) {
    free(r);
    return result;
  }
  *out = r;
  return 0;
}

int penstock_reader_begin(struct penstock_reader *r, unsigned slot, int descriptor, void *bytes,
                          unsigned count, uint64_t offset) {
  struct io_uring_sqe *e;
  if (slot >= PENSTOCK_READER_SLOTS || r->slots[slot].waits) return -EBUSY;
  if (!(e = io_uring_get_sqe(&r->ring))) return -EBUSY;
  io_uring_prep_read(e, descriptor, bytes, count, offset);
  io_uring_sqe_set_data64(e, slot);
  r->slots[slot].waits = true;
  // What the kernel does not take now it gets when the slot is waited for.
  io_uring_submit(&r->ring);
  return 0;
}

int penstock_reader_wait(struct penstock_reader *r, unsigned slot) {
  if (slot >= PENSTOCK_READER_SLOTS) return -EINVAL;
  while (r->slots[slot].waits) {
    int result = io_uring_submit_and_wait(&r->ring, 1);
    // Memory the kernel may still write to must not be given up.
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) abort();
    struct io_uring_cqe *c;
    while (io_uring_peek_cqe(&r->ring, &c) == 0) {
      r->slots[c->user_data].result = c->res;
      r->slots[c->user_data].waits = false;
      io_uring_cqe_seen(&r->ring, c);
    }
  }
  return r->slots[slot].result;
}

void penstock_reader_close(struct penstock_reader *r) {
  for (unsigned slot = 0; slot < PENSTOCK_READER_SLOTS; slot++) penstock_reader_wait(r, slot);
  io_uring_queue_exit(&r->ring);
  free(r);
}
