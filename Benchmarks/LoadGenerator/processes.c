#define _GNU_SOURCE
#include "include/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int bench_start(const struct bench_start *request) {
  pid_t parent = getpid();
  int silence = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (silence < 0) return -errno;
  pid_t child = fork();
  if (child != 0) {
    int result = child < 0 ? -errno : child;
    close(silence);
    return result;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(silence, 0);
  dup2(request->output >= 0 ? request->output : silence, 1);
  dup2(request->errors >= 0 ? request->errors : silence, 2);
  if (request->processor >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(request->processor, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  execv(request->path, (char *const *)(const void *)request->arguments);
  _exit(127);
}

int bench_wait(int pid, int timeout_ms) {
  for (;;) {
    int raw;
    pid_t ended = waitpid(pid, &raw, WNOHANG);
    if (ended < 0) return -errno;
    if (ended > 0) return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    if (timeout_ms-- <= 0) return -EAGAIN;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int ascending(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return (a > b) - (a < b);
}

int64_t bench_barrier(const char *path, size_t byte_count, int count) {
  void *bytes = NULL;
  int64_t *times = calloc((size_t)count, sizeof *times), result = -ENOMEM;
  int d = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
  if (d < 0) d = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (d >= 0 && times && posix_memalign(&bytes, 4096, byte_count) == 0) {
    memset(bytes, '\n', byte_count);
    result = 0;
    // The first pass writes the extents, the second measures.
    for (int i = 0; i < 2 * count && result == 0; i++) {
      int64_t start = now();
      if (pwrite(d, bytes, byte_count, (off_t)byte_count * (i % count)) != (ssize_t)byte_count ||
          fdatasync(d) < 0)
        result = errno ? -errno : -EIO;
      times[i % count] = now() - start;
    }
    if (result == 0) {
      qsort(times, (size_t)count, sizeof *times, ascending);
      result = times[count / 2];
    }
  } else if (d < 0) {
    result = -errno;
  }
  if (d >= 0) close(d);
  unlink(path);
  free(bytes);
  free(times);
  return result;
}

int64_t bench_read(const char *path, size_t chunk) {
  enum { HUGE = 2 << 20 };
  void *bytes = NULL;
  int64_t result = -ENOMEM;
  int d = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (d < 0) return -errno;
  if (posix_memalign(&bytes, HUGE, (chunk + HUGE - 1) / HUGE * HUGE) == 0) {
    madvise(bytes, HUGE, MADV_HUGEPAGE);
    memset(bytes, 1, chunk);
    int64_t start = now();
    ssize_t n;
    off_t offset = 0;
    while ((n = pread(d, bytes, chunk, offset)) > 0) offset += n;
    result = n < 0 ? -errno : now() - start;
  }
  close(d);
  free(bytes);
  return result;
}

int bench_real_path(const char *path, char *out, size_t capacity) {
  char *found = realpath(path, NULL);
  if (!found) return -errno;
  int fits = snprintf(out, capacity, "%s", found) < (int)capacity;
  free(found);
  return fits ? 0 : -ENAMETOOLONG;
}

static int drop(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)kind, (void)place;
  return remove(path);
}

int64_t bench_processor_nanoseconds(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * 1000000000ll + used.tv_nsec;
}

int bench_remove_tree(const char *path) {
  return nftw(path, drop, 16, FTW_DEPTH | FTW_PHYS) < 0 ? -errno : 0;
}
