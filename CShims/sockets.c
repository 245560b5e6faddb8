#define _GNU_SOURCE
#include "include/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
enum { MEMINFO_WORDS = 16, MEMINFO_DROPS = 8 };

static int resolve(const char *host, uint16_t port, int type, bool passive,
                   struct sockaddr_storage *out, socklen_t *length, int *family) {
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  struct addrinfo hints = {.ai_socktype = type,
                           .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
  struct addrinfo *list = NULL;
  if (getaddrinfo(host && *host ? host : NULL, service, &hints, &list) != 0 || !list)
    return -EADDRNOTAVAIL;
  memcpy(out, list->ai_addr, list->ai_addrlen);
  *length = list->ai_addrlen;
  *family = list->ai_family;
  freeaddrinfo(list);
  return 0;
}

static int fail(int descriptor) {
  int error = errno;
  close(descriptor);
  return -error;
}

static int bind_retrying(int descriptor, const struct sockaddr *address, socklen_t length,
                         int retry_ms) {
  for (;;) {
    if (bind(descriptor, address, length) == 0) return 0;
    if (errno != EADDRINUSE || retry_ms-- <= 0) return -errno;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
}

static int bound(const char *host, uint16_t port, int type, bool shared, int retry_ms) {
  struct sockaddr_storage address;
  socklen_t length;
  int family, one = 1;
  int result = resolve(host, port, type, true, &address, &length, &family);
  if (result < 0) return result;
  int d = socket(family, type | SOCK_CLOEXEC, 0);
  if (d < 0) return -errno;
  if (type == SOCK_STREAM && setsockopt(d, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
    return fail(d);
  if (shared && setsockopt(d, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0) return fail(d);
  result = bind_retrying(d, (struct sockaddr *)&address, length, retry_ms);
  if (result < 0) {
    close(d);
    return result;
  }
  return d;
}

int penstock_address_is_free(const char *host, uint16_t port, bool datagram, int retry_ms) {
  int d = bound(host, port, datagram ? SOCK_DGRAM : SOCK_STREAM, false, retry_ms);
  if (d < 0) return d;
  close(d);
  return 0;
}

int penstock_listen_tcp(const char *host, uint16_t port, int backlog, int retry_ms) {
  int d = bound(host, port, SOCK_STREAM, true, retry_ms), one = 1;
  if (d < 0) return d;
  setsockopt(d, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (listen(d, backlog) < 0) return fail(d);
  return d;
}

int penstock_bind_udp(const char *host, uint16_t port, int receive_bytes, int retry_ms) {
  int d = bound(host, port, SOCK_DGRAM, true, retry_ms), one = 1;
  if (d < 0) return d;
  // Beyond net.core.rmem_max only with CAP_NET_ADMIN; else as much as the kernel allows.
  if (setsockopt(d, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) < 0)
    setsockopt(d, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  setsockopt(d, SOL_UDP, UDP_GRO, &one, sizeof one);  // older kernels do without
  return d;
}

// The address of a unix socket. A path longer than an address is reached by way of its folder's
// descriptor, which then goes to `folder` and has to stay open until the call that uses it is over.
static int unix_address(const char *path, struct sockaddr_un *out, int *folder) {
  size_t n = strlen(path);
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  *folder = -1;
  if (n == 0) return -EINVAL;
  if (n < sizeof out->sun_path) {
    memcpy(out->sun_path, path, n);
    return 0;
  }
  const char *slash = strrchr(path, '/');
  char parent[4096];
  if (!slash || slash == path || (size_t)(slash - path) >= sizeof parent) return -ENAMETOOLONG;
  memcpy(parent, path, (size_t)(slash - path));
  parent[slash - path] = 0;
  *folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*folder < 0) return -errno;
  int written = snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", *folder,
                         slash + 1);
  if (written < (int)sizeof out->sun_path) return 0;
  close(*folder);
  *folder = -1;
  return -ENAMETOOLONG;
}

static void release(int folder) {
  if (folder >= 0) close(folder);
}

static int connect_unix(const struct sockaddr_un *address, int type) {
  int d = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (d < 0) return -errno;
  if (connect(d, (const struct sockaddr *)address, sizeof *address) < 0) return fail(d);
  return d;
}

static int connect_path(const char *path, int type) {
  struct sockaddr_un address;
  int folder;
  int result = unix_address(path, &address, &folder);
  if (result < 0) return result;
  int d = connect_unix(&address, type);
  release(folder);
  return d;
}

int penstock_connect_unix(const char *path) { return connect_path(path, SOCK_STREAM); }

int penstock_connect_unix_at_once(const char *path) {
  return connect_path(path, SOCK_STREAM | SOCK_NONBLOCK);
}

int penstock_connect_packets_at_once(const char *path) {
  return connect_path(path, SOCK_SEQPACKET | SOCK_NONBLOCK);
}

static int listen_unix(const struct sockaddr_un *address, int type, int backlog) {
  int d = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (d < 0) return -errno;
  if (bind(d, (const struct sockaddr *)address, sizeof *address) < 0) {
    if (errno != EADDRINUSE) return fail(d);
    struct stat s;
    int other = connect_unix(address, type);
    if (other >= 0) close(other);
    // Only a socket that nobody listens on any more is in nobody's way; a file of another kind
    // refuses connections as well.
    if (other != -ECONNREFUSED || lstat(address->sun_path, &s) < 0 || !S_ISSOCK(s.st_mode) ||
        unlink(address->sun_path) < 0 ||
        bind(d, (const struct sockaddr *)address, sizeof *address) < 0) {
      close(d);
      return -EADDRINUSE;
    }
  }
  if (listen(d, backlog) < 0) return fail(d);
  return d;
}

static int listen_path(const char *path, int type, int backlog) {
  struct sockaddr_un address;
  int folder;
  int result = unix_address(path, &address, &folder);
  if (result < 0) return result;
  int d = listen_unix(&address, type, backlog);
  release(folder);
  return d;
}

int penstock_listen_unix(const char *path, int backlog) {
  return listen_path(path, SOCK_STREAM, backlog);
}

int penstock_listen_packets(const char *path, int backlog) {
  return listen_path(path, SOCK_SEQPACKET, backlog);
}

static int connected(const char *host, uint16_t port, int type, int flags) {
  struct sockaddr_storage address;
  socklen_t length;
  int family, one = 1;
  int result = resolve(host, port, type, false, &address, &length, &family);
  if (result < 0) return result;
  int d = socket(family, type | SOCK_CLOEXEC | flags, 0);
  if (d < 0) return -errno;
  if (connect(d, (struct sockaddr *)&address, length) < 0 &&
      !(flags & SOCK_NONBLOCK && errno == EINPROGRESS))
    return fail(d);
  if (type == SOCK_STREAM) setsockopt(d, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return d;
}

int penstock_connect_tcp(const char *host, uint16_t port) {
  return connected(host, port, SOCK_STREAM, 0);
}

int penstock_connect_tcp_at_once(const char *host, uint16_t port) {
  return connected(host, port, SOCK_STREAM, SOCK_NONBLOCK);
}

int penstock_connect_outcome(int descriptor) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -errno;
  return -error;
}

int penstock_connect_udp(const char *host, uint16_t port) {
  return connected(host, port, SOCK_DGRAM, 0);
}

int penstock_bound_port(int descriptor) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getsockname(descriptor, (struct sockaddr *)&address, &length) < 0) return -errno;
  if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
  return 0;
}

int penstock_is_datagram(int descriptor) {
  int type;
  socklen_t length = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) < 0) return -errno;
  return type == SOCK_DGRAM;
}

int64_t penstock_dropped_buffers(int descriptor) {
  uint32_t info[MEMINFO_WORDS] = {0};
  socklen_t length = sizeof info;
  if (getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, info, &length) < 0) return -errno;
  return info[MEMINFO_DROPS];
}

int penstock_receive_buffer(int descriptor) {
  int bytes;
  socklen_t length = sizeof bytes;
  if (getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, &length) < 0) return -errno;
  return bytes;
}

int penstock_spread_datagrams(int descriptor, unsigned socket_count) {
  struct sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)},
      {BPF_ALU | BPF_MOD | BPF_K, 0, 0, socket_count},
      {BPF_RET | BPF_A, 0, 0, 0},
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0)
    return -errno;
  return 0;
}

int penstock_segment_sends(int descriptor, int segment) {
  if (setsockopt(descriptor, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) return -errno;
  return 0;
}

int penstock_set_nonblocking(int descriptor, bool nonblocking) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return -errno;
  flags = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  return fcntl(descriptor, F_SETFL, flags) < 0 ? -errno : 0;
}

int penstock_socket_pair(int *ends) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

static int readiness(const struct pollfd *p) {
  // An error or a hang-up is for the next read to tell.
  int ready = p->revents & (POLLIN | POLLERR | POLLHUP) ? PENSTOCK_READABLE : 0;
  return ready | (p->revents & POLLOUT ? PENSTOCK_WRITABLE : 0);
}

int penstock_await(int descriptor, bool wants_write, int timeout_ms) {
  struct pollfd p = {descriptor, (short)(POLLIN | (wants_write ? POLLOUT : 0)), 0};
  int n = poll(&p, 1, timeout_ms);
  if (n < 0) return errno == EINTR ? 0 : -errno;
  return readiness(&p);
}

int penstock_await_any(const int *descriptors, const bool *wants_write, int *ready, int count,
                       int timeout_ms) {
  struct pollfd waited[PENSTOCK_AWAIT_MAX];
  if (count > PENSTOCK_AWAIT_MAX) return -EINVAL;
  for (int i = 0; i < count; i++) {
    waited[i] =
        (struct pollfd){descriptors[i], (short)(POLLIN | (wants_write[i] ? POLLOUT : 0)), 0};
    ready[i] = 0;
  }
  int n = poll(waited, (nfds_t)count, timeout_ms);
  if (n < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) ready[i] = readiness(&waited[i]);
  return 0;
}
