// What a benchmark needs of the system: processes with their own output, the barrier's cost, and
// folders that go away again. Every function that can fail returns -errno.
#pragma once

#include <features.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_start {
  const char *path;
  const char *const *arguments;  // NULL-terminated, argv[0] included
  int output;                    // becomes stdout, or -1 for /dev/null
  int errors;                    // becomes stderr, or -1 for /dev/null
  int processor;                 // pin to this one, or -1
};

// Starts a process that does not outlive this one; its pid.
int bench_start(const struct bench_start *request);

// Waits up to `timeout_ms` for the child to end: its exit status, or 128 + the signal that ended
// it; -EAGAIN when it has not.
int bench_wait(int pid, int timeout_ms);

// Median nanoseconds of writing `byte_count` bytes past the cache and syncing them, `count` times
// over in a file that was written before.
int64_t bench_barrier(const char *path, size_t byte_count, int count);

// Nanoseconds of reading a whole file past the cache, `chunk` bytes at a time, one read behind the
// other, into one stretch of memory, and doing nothing with it: what the drive gives.
int64_t bench_read(const char *path, size_t chunk);

// The absolute path without links; 0 or -errno.
int bench_real_path(const char *path, char *out, size_t capacity);

// Processor time this process has taken, in nanoseconds.
int64_t bench_processor_nanoseconds(void);

// Removes a folder and everything in it.
int bench_remove_tree(const char *path);
