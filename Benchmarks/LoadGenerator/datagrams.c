// Load over UDP, one flow: many datagrams a system call, or segmented sends that the kernel cuts.
//
// Datagrams go out in small bursts at their rate, because the clock and the system call cost more
// than a datagram does. Nothing is answered; what was lost is the receiver's to count.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "generator.h"

enum {
  BURST = 32,           // datagrams of one sendmmsg
  SEGMENTED_BURST = 4,  // segmented sends of one sendmmsg
};

int load_datagrams(const struct load_plan *plan, struct load_result *result) {
  size_t byte_count;
  size_t unit = load_build(plan, NULL, &byte_count);
  char *bytes = malloc(byte_count);
  if (!bytes) return -ENOMEM;
  load_build(plan, bytes, &byte_count);

  bool is_segmented = plan->kind == LOAD_SEGMENTS;
  unsigned per_send = is_segmented ? LOAD_SEGMENT_MAX : 1;
  unsigned burst = is_segmented ? SEGMENTED_BURST : BURST;
  // The messages are as many as a multiple of what one round sends: no send crosses their end.
  struct mmsghdr headers[LOAD_MESSAGE_COUNT];
  struct iovec ranges[LOAD_MESSAGE_COUNT];
  unsigned count = LOAD_MESSAGE_COUNT / per_send;
  memset(headers, 0, sizeof headers);
  for (unsigned i = 0; i < count; i++) {
    ranges[i] = (struct iovec){bytes + (size_t)i * per_send * unit, (size_t)per_send * unit};
    headers[i].msg_hdr.msg_iov = &ranges[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }

  int64_t start = load_now(), end = start + plan->warmup_ns + plan->measured_ns, now = start;
  unsigned next = 0;
  while (now < end && !load_is_ended()) {
    double due = (double)(now - start) * (double)plan->rate / 1e9;
    if (plan->rate && (double)(result->events_sent + burst * per_send) > due) {
      now = load_now();
      continue;
    }
    int n = sendmmsg(plan->sockets[0], headers + next, burst, 0);
    if (n > 0) {
      result->events_sent += (uint64_t)n * per_send;
      next = (next + (unsigned)n) % count;
      if (next + burst > count) next = 0;
    } else {
      result->sends_failed++;
    }
    now = load_now();
  }
  result->sending_ns = now - start;
  result->bytes_sent = result->events_sent * unit;
  free(bytes);
  return 0;
}
