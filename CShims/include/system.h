// Kernel interfaces that Swift cannot import or that need care: files opened for direct I/O,
// processes with passed sockets, shared pages, a writer thread for the fallback backend.
// Every function that can fail returns -errno.
#pragma once
#include <features.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- Files ---
enum {
  PENSTOCK_READ = 1,       // open for reading only
  PENSTOCK_WRITE = 2,      // open for reading and writing
  PENSTOCK_CREATE = 4,     // create it; it must not exist
  PENSTOCK_CREATE_ANY = 8, // create it when it does not exist
  PENSTOCK_DIRECT = 16,    // O_DIRECT: past the page cache
};
int penstock_open(const char *path, int flags);

// Writes a file's path from the root on and without links, no NUL behind it; its bytes, or -errno.
int penstock_real_path(const char *path, void *out, size_t size);
int penstock_close(int descriptor);
int64_t penstock_file_size(int descriptor);
// Reads until `count` bytes or the end of the file; the number read.
int64_t penstock_read_at(int descriptor, void *bytes, size_t count, int64_t offset);
// Writes all `count` bytes, or fails.
int penstock_write_at(int descriptor, const void *bytes, size_t count, int64_t offset);
int penstock_sync_data(int descriptor);
int penstock_sync_file(int descriptor);
int penstock_sync_directory(const char *path);
int penstock_allocate(int descriptor, int64_t byte_count);
int penstock_truncate(int descriptor, int64_t byte_count);
int penstock_make_directory(const char *path);
int penstock_rename(const char *from, const char *to);
int penstock_unlink(const char *path);
int penstock_link(const char *from, const char *to);
// Exclusive flock; waits up to `timeout_ms`. -EWOULDBLOCK when another holder keeps it.
int penstock_lock(int descriptor, int timeout_ms);
// Whether another holder has an exclusive flock on the file. Those who ask do not disturb each other.
bool penstock_is_locked(int descriptor);
// Free bytes for this user, and all bytes, of the file system that holds `path`.
int64_t penstock_free_bytes(const char *path);
int64_t penstock_total_bytes(const char *path);
// The largest of the block sizes direct writes to this file have to respect (logical and physical
// block, direct-I/O alignment), or 0 when direct I/O is not supported or not proved.
int penstock_direct_alignment(int descriptor);
// Has the kernel begin to write dirty pages of the range, and does not wait for them.
void penstock_begin_write_back(int descriptor, int64_t offset, int64_t count);
// Drops the clean pages of the file from the page cache.
int penstock_drop_cache(int descriptor);
// Calls `visit` with each entry's name (not . and ..); 0 or -errno.
int penstock_list(const char *path, void (*visit)(void *context, const char *name), void *context);

// Which file or folder a path names, as device and inode; 0 or -errno.
int penstock_file_identity(const char *path, uint64_t *device, uint64_t *inode);
// Removes an empty folder; 0 or -errno.
int penstock_remove_folder(const char *path);

// --- Memory ---
// Zeroed pages; NULL when there are none. Huge ones are asked for, not insisted on.
void *penstock_map_memory(size_t byte_count, bool in_huge_pages);
void penstock_unmap(void *memory, size_t byte_count);
// A shared mapping of the first `byte_count` bytes of a file; NULL on failure.
void *penstock_map_file(int descriptor, size_t byte_count, bool writable);

// --- Clocks and randomness ---
int64_t penstock_realtime_seconds(uint32_t *nanoseconds);
int64_t penstock_monotonic_nanoseconds(void);
int penstock_random(void *bytes, size_t count);
void penstock_sleep(int64_t nanoseconds);

// --- Processes ---
struct penstock_spawn {
  const char *path;
  const char *const *arguments;  // NULL-terminated, argv[0] included
  const char *descriptor_names;  // LISTEN_FDNAMES, or NULL
  const int *descriptors;        // become 3, 4, … in the child
  int descriptor_count;
  int processor;                 // pin to this one of those allowed, counted from 0, or -1
  bool idle;                     // idle scheduling and I/O class
};
// Starts a process with passed descriptors (sd_listen_fds(3)); its pid, or -errno. The child
// ignores SIGTERM, SIGHUP, SIGINT, SIGPIPE and SIGXFSZ, and gets SIGKILL when its parent dies.
int penstock_spawn(const struct penstock_spawn *request);
// Keeps this process on the `index`-th of the processors it may run on.
int penstock_pin(int index);
// Lets this process and its children open as many descriptors as the hard limit allows; that
// number, or -errno.
int64_t penstock_raise_descriptor_limit(void);
int penstock_processor_count(void);
int penstock_set_idle(bool idle);
// The same for another process.
int penstock_set_idle_of(int process, bool idle);
// A descriptor that becomes readable on any of the signals, which are blocked; -1 terminated.
int penstock_signal_descriptor(const int *signals);
// Next pending signal of the descriptor, or 0.
int penstock_next_signal(int descriptor);
// Makes a reader that is gone, and a file beyond the size limit, errors of the write that met them.
void penstock_ignore_write_signals(void);
// Waits up to `timeout_ms` (negative: for ever) for any descriptor to be readable; returns the
// bit mask of those that are (up to 64), or -errno.
int64_t penstock_wait_readable(const int *descriptors, int count, int timeout_ms);
int penstock_pipe(int *read_end, int *write_end);
// Resident and peak resident memory of a process, in bytes; -1 when unknown.
int64_t penstock_resident_bytes(int pid, bool peak);
// CPU time of a process, user and system, in nanoseconds; -1 when unknown.
int64_t penstock_processor_nanoseconds(int pid);

// --- The fallback backend's writer ---
// One thread that writes and syncs, in order, one request at a time. Completions are counted on an
// eventfd and taken with penstock_writer_next.
struct penstock_writer;
struct penstock_write_result {
  uint64_t token;
  int result;  // 0, or -errno of the write or the sync
};
int penstock_writer_start(struct penstock_writer **out);
void penstock_writer_stop(struct penstock_writer *writer);
int penstock_writer_event(const struct penstock_writer *writer);
// Queues one write followed by fdatasync; -EBUSY when `PENSTOCK_WRITER_DEPTH` are queued.
int penstock_writer_submit(struct penstock_writer *writer, int descriptor, const void *bytes,
                           size_t count, int64_t offset, uint64_t token);
// Takes one result; false when there is none.
bool penstock_writer_next(struct penstock_writer *writer, struct penstock_write_result *out);

// --- The fallback backend's readiness ---
struct penstock_ready {
  uint64_t token;
};
int penstock_epoll_open(void);
// Waits for input once: after it is reported the descriptor has to be armed again.
int penstock_epoll_arm(int epoll, int descriptor, bool added, uint64_t token);
int penstock_epoll_wait(int epoll, uint64_t *tokens, int limit, int64_t timeout_ns);
int penstock_accept(int listener);
int64_t penstock_receive(int socket, void *bytes, size_t count);
int64_t penstock_send(int socket, const void *bytes, size_t count);
// Receives up to `limit` datagrams into buffers of `size` bytes at `base`; `counts` gets each
// payload size, `segments` the UDP_GRO segment size. The number received, 0 when none waits.
int penstock_receive_datagrams(int socket, void *const *buffers, size_t size, int limit,
                               uint32_t *counts, uint32_t *segments);

// --- Words in shared pages ---
static inline uint64_t penstock_load_word(const void *page, size_t index) {
  return __atomic_load_n((const uint64_t *)page + index, __ATOMIC_ACQUIRE);
}
static inline void penstock_store_word(void *page, size_t index, uint64_t value) {
  __atomic_store_n((uint64_t *)page + index, value, __ATOMIC_RELEASE);
}

// One byte from a nonblocking pipe: 0…255, -EAGAIN when it is empty, -EPIPE at its end.
int penstock_read_byte(int descriptor);
// Half-closes a stream socket for sending.
void penstock_finish_sending(int socket);
// Ends a stream socket in both directions; its descriptor stays open.
void penstock_shut_down(int socket);
// Writes one line to stderr in one call.
int penstock_write_line(const void *bytes, size_t count);

// Passed descriptors (sd_listen_fds(3)): how many were passed to this process; 0 when none.
int penstock_passed_descriptors(void);
// The value of an environment variable, or NULL.
const char *penstock_environment(const char *name);
// Reads up to `count` bytes of a descriptor; 0 at the end, -errno on failure.
int64_t penstock_read(int descriptor, void *bytes, size_t count);
// Writes all bytes to a descriptor.
int penstock_write(int descriptor, const void *bytes, size_t count);
// Takes the next ended child: its pid, or 0 when none has ended. `status` gets the exit status, or
// 128 + the signal that ended it.
int penstock_next_ended_child(int *status);
void penstock_signal(int pid, int signal);
// Waits until `descriptor` can take bytes.
int penstock_wait_writable(int descriptor, int timeout_ms);
_Noreturn void penstock_exit(int status);
