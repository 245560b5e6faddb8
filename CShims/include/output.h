// What the commands that read need of C: writing to a pipe or terminal, searching text, and the
// two scans of JSON output that run over every byte.
#pragma once
#include <features.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Writes all `count` bytes to a file, pipe or terminal, also one that is set non-blocking;
// 0 or -errno.
int penstock_write_out(int descriptor, const void *bytes, size_t count);
bool penstock_is_terminal(int descriptor);
// Lets SIGINT, SIGTERM and SIGHUP end the process even when whoever started it had them blocked:
// programs that start others from worker threads leave such a mask behind.
void penstock_unblock_signals(void);
// Whether nobody can read any more what is written to the pipe or socket.
bool penstock_is_closed(int descriptor);
// Whether a process of this number exists and is not a zombie.
bool penstock_process_exists(int pid);
// What stands at a path: 1 a folder, 2 a file, 3 anything else, 0 nothing; or -errno.
int penstock_kind(const char *path);

// Offset of the first of the `wanted_count` bytes at `wanted` in [from, to) of `bytes`, or `to`.
size_t penstock_find_bytes(const void *bytes, size_t from, size_t to, const void *wanted,
                           size_t wanted_count);
// Offset of the first byte in [from, to) that JSON strings escape (below space, quote,
// backslash), or `to`.
size_t penstock_find_json_escape(const void *bytes, size_t from, size_t to);
// Whether the bytes are well-formed UTF-8 (no surrogates, no overlong forms).
bool penstock_is_utf8(const void *bytes, size_t count);
