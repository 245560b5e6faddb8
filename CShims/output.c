#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/output.h"

int penstock_write_out(int descriptor, const void *bytes, size_t count) {
  const char *p = bytes;
  while (count > 0) {
    ssize_t n = write(descriptor, p, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) return -errno;
      continue;
    }
    if (n < 0) return -errno;
    p += n;
    count -= (size_t)n;
  }
  return 0;
}

void penstock_unblock_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool penstock_is_terminal(int descriptor) { return isatty(descriptor) == 1; }

bool penstock_is_closed(int descriptor) {
  struct pollfd state = {.fd = descriptor, .events = 0};
  return poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLNVAL | POLLHUP)) != 0;
}

bool penstock_process_exists(int pid) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int d = open(path, O_RDONLY | O_CLOEXEC);
  if (d < 0) return false;
  char text[512];
  ssize_t n = read(d, text, sizeof text - 1);
  close(d);
  if (n <= 0) return false;
  text[n] = 0;
  // The state stands behind the name in parentheses, which may itself hold any byte.
  const char *end = strrchr(text, ')');
  return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

int penstock_kind(const char *path) {
  struct stat s;
  if (stat(path, &s) < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
  return S_ISDIR(s.st_mode) ? 1 : S_ISREG(s.st_mode) ? 2 : 3;
}

size_t penstock_find_bytes(const void *bytes, size_t from, size_t to, const void *wanted,
                           size_t wanted_count) {
  if (from >= to) return wanted_count == 0 ? from : to;
  const uint8_t *found = memmem((const uint8_t *)bytes + from, to - from, wanted, wanted_count);
  return found ? (size_t)(found - (const uint8_t *)bytes) : to;
}

static inline bool is_json_escape(uint8_t b) { return b < 0x20 || b == '"' || b == '\\'; }

typedef uint8_t vector16 __attribute__((vector_size(16), aligned(1)));

size_t penstock_find_json_escape(const void *bytes, size_t from, size_t to) {
  const uint8_t *p = bytes;
  while (to - from >= 16 && from < to) {
    vector16 v;
    memcpy(&v, p + from, 16);
    vector16 hit = (vector16)(v < (uint8_t)0x20) | (vector16)(v == (uint8_t)'"') |
                   (vector16)(v == (uint8_t)'\\');
    uint64_t any[2];
    memcpy(any, &hit, 16);
    if (any[0] | any[1]) break;
    from += 16;
  }
  while (from < to && !is_json_escape(p[from])) from++;
  return from;
}

// Bytes of the UTF-8 sequence at `p`, of which `count` > 0 are there; 0 when it is ill-formed.
static size_t utf8_sequence(const uint8_t *p, size_t count) {
  uint8_t b = p[0];
  size_t need;
  uint8_t low = 0x80, high = 0xBF;
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b <= 0xDF) need = 2;
  else if (b >= 0xE0 && b <= 0xEF) {
    need = 3;
    if (b == 0xE0) low = 0xA0;
    if (b == 0xED) high = 0x9F;
  } else if (b >= 0xF0 && b <= 0xF4) {
    need = 4;
    if (b == 0xF0) low = 0x90;
    if (b == 0xF4) high = 0x8F;
  } else
    return 0;
  if (count < need || p[1] < low || p[1] > high) return 0;
  for (size_t i = 2; i < need; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  return need;
}

bool penstock_is_utf8(const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  size_t i = 0;
  while (i < count) {
    while (count - i >= 8) {
      uint64_t w;
      memcpy(&w, p + i, 8);
      if (w & 0x8080808080808080ull) break;
      i += 8;
    }
    if (i == count) return true;
    size_t n = utf8_sequence(p + i, count - i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}
