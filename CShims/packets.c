#define _GNU_SOURCE
#include "include/packets.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

union ancillary {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

int64_t penstock_send_packet(int socket, const void *bytes, size_t count, int descriptor) {
  struct iovec part = {(void *)bytes, count};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  union ancillary space;
  if (descriptor >= 0) {
    memset(&space, 0, sizeof space);
    message.msg_control = space.bytes;
    message.msg_controllen = sizeof space.bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &descriptor, sizeof(int));
  }
  ssize_t n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return n < 0 ? -errno : n;
}

int64_t penstock_receive_packet(int socket, void *bytes, size_t count, int *descriptor) {
  struct iovec part = {bytes, count};
  union ancillary space;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes,
                           .msg_controllen = sizeof space.bytes};
  *descriptor = -1;
  ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return -errno;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
      memcpy(descriptor, CMSG_DATA(c), sizeof(int));
  return n;
}

int64_t penstock_send_file(int socket, int file, int64_t offset, size_t count) {
  off_t at = offset;
  ssize_t n = sendfile(socket, file, &at, count);
  return n < 0 ? -errno : n;
}

int penstock_limit_send_wait(int socket, int milliseconds) {
  struct timeval wait = {milliseconds / 1000, milliseconds % 1000 * 1000};
  return setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0 ? -errno : 0;
}

int penstock_poll(const int *descriptors, const uint8_t *wanted, uint8_t *ready, int count,
                  int64_t timeout_ns) {
  if (count > PENSTOCK_POLL_MAX) return -EINVAL;
  struct pollfd list[PENSTOCK_POLL_MAX];
  for (int i = 0; i < count; i++) {
    short events = 0;
    if (wanted[i] & PENSTOCK_POLL_READ) events |= POLLIN;
    if (wanted[i] & PENSTOCK_POLL_WRITE) events |= POLLOUT;
    list[i] = (struct pollfd){descriptors[i], events, 0};
  }
  struct timespec wait = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  int n = ppoll(list, (nfds_t)count, timeout_ns < 0 ? NULL : &wait, NULL);
  if (n < 0) n = errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    short events = n > 0 ? list[i].revents : 0;
    ready[i] = (events & POLLIN ? PENSTOCK_POLL_READ : 0) |
               (events & POLLOUT ? PENSTOCK_POLL_WRITE : 0) |
               (events & (POLLERR | POLLHUP | POLLNVAL) ? PENSTOCK_POLL_ENDED : 0);
  }
  return n;
}
