#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/system.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { DEPTH = 16, DATAGRAMS_MAX = 64 };

struct request {
  int descriptor;
  const void *bytes;
  size_t count;
  int64_t offset;
  uint64_t token;
  int result;
};

struct penstock_writer {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int event;
  bool stopping;
  // Requests live in one circle: [taken, done) are finished, [done, queued) wait.
  struct request requests[DEPTH];
  unsigned taken, done, queued;
};

static void *run(void *argument) {
  struct penstock_writer *w = argument;
  pthread_mutex_lock(&w->lock);
  for (;;) {
    while (w->done == w->queued && !w->stopping) pthread_cond_wait(&w->wake, &w->lock);
    if (w->done == w->queued) break;
    struct request r = w->requests[w->done % DEPTH];
    pthread_mutex_unlock(&w->lock);
    int result = penstock_write_at(r.descriptor, r.bytes, r.count, r.offset);
    if (result == 0) result = penstock_sync_data(r.descriptor);
    pthread_mutex_lock(&w->lock);
    w->requests[w->done % DEPTH].result = result;
    w->done++;
    uint64_t one = 1;
    if (write(w->event, &one, sizeof one) < 0) abort();
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

int penstock_writer_start(struct penstock_writer **out) {
  struct penstock_writer *w = calloc(1, sizeof *w);
  if (!w) return -ENOMEM;
  w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (w->event < 0) {
    int error = errno;
    free(w);
    return -error;
  }
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->wake, NULL);
  int error = pthread_create(&w->thread, NULL, run, w);
  if (error) {
    close(w->event);
    free(w);
    return -error;
  }
  *out = w;
  return 0;
}

void penstock_writer_stop(struct penstock_writer *w) {
  pthread_mutex_lock(&w->lock);
  w->stopping = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  close(w->event);
  free(w);
}

int penstock_writer_event(const struct penstock_writer *w) { return w->event; }

int penstock_writer_submit(struct penstock_writer *w, int descriptor, const void *bytes,
                           size_t count, int64_t offset, uint64_t token) {
  pthread_mutex_lock(&w->lock);
  int result = -EBUSY;
  if (w->queued - w->taken < DEPTH) {
    w->requests[w->queued++ % DEPTH] =
        (struct request){descriptor, bytes, count, offset, token, 0};
    pthread_cond_signal(&w->wake);
    result = 0;
  }
  pthread_mutex_unlock(&w->lock);
  return result;
}

bool penstock_writer_next(struct penstock_writer *w, struct penstock_write_result *out) {
  pthread_mutex_lock(&w->lock);
  bool found = w->taken != w->done;
  if (found) {
    struct request *r = &w->requests[w->taken++ % DEPTH];
    *out = (struct penstock_write_result){r->token, r->result};
  } else {
    uint64_t count;
    (void)!read(w->event, &count, sizeof count);
  }
  pthread_mutex_unlock(&w->lock);
  return found;
}

int penstock_epoll_open(void) {
  int d = epoll_create1(EPOLL_CLOEXEC);
  return d < 0 ? -errno : d;
}

int penstock_epoll_arm(int epoll, int descriptor, bool added, uint64_t token) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = token};
  int result = epoll_ctl(epoll, added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &e);
  return result < 0 ? -errno : 0;
}

int penstock_epoll_wait(int epoll, uint64_t *tokens, int limit, int64_t timeout_ns) {
  struct epoll_event events[256];
  if (limit > 256) limit = 256;
  struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  int n = epoll_pwait2(epoll, events, limit, timeout_ns < 0 ? NULL : &t, NULL);
  if (n < 0 && errno == ENOSYS)
    n = epoll_wait(epoll, events, limit,
                   timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000));
  if (n < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < n; i++) tokens[i] = events[i].data.u64;
  return n;
}

int penstock_accept(int listener) {
  int d = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return d < 0 ? -errno : d;
}

int64_t penstock_receive(int socket, void *bytes, size_t count) {
  ssize_t n;
  do n = recv(socket, bytes, count, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int64_t penstock_send(int socket, const void *bytes, size_t count) {
  ssize_t n;
  do n = send(socket, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int penstock_receive_datagrams(int socket, void *const *buffers, size_t size, int limit,
                               uint32_t *counts, uint32_t *segments) {
  struct mmsghdr messages[DATAGRAMS_MAX];
  struct iovec ranges[DATAGRAMS_MAX];
  char control[DATAGRAMS_MAX][CMSG_SPACE(sizeof(int))];
  if (limit > DATAGRAMS_MAX) limit = DATAGRAMS_MAX;
  for (int i = 0; i < limit; i++) {
    ranges[i] = (struct iovec){buffers[i], size};
    memset(&messages[i], 0, sizeof messages[i]);
    messages[i].msg_hdr.msg_iov = &ranges[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = control[i];
    messages[i].msg_hdr.msg_controllen = sizeof control[i];
  }
  int n = recvmmsg(socket, messages, (unsigned)limit, MSG_DONTWAIT, NULL);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
  for (int i = 0; i < n; i++) {
    counts[i] = segments[i] = messages[i].msg_len;
    struct msghdr *m = &messages[i].msg_hdr;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
      if (h->cmsg_level != SOL_UDP || h->cmsg_type != UDP_GRO) continue;
      int segment;
      memcpy(&segment, CMSG_DATA(h), sizeof segment);
      if (segment > 0) segments[i] = (uint32_t)segment;
    }
  }
  return n;
}
