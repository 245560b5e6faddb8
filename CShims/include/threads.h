// Threads and what they wait at, for the embedded library: Swift's own Mutex has no way to wait
// for a condition, and its threads are Foundation's. Every function that can fail returns -errno.
#pragma once
#include <features.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- Threads ---
struct penstock_thread;
// Runs `body` on a thread of its own, on which no signal of the program's is delivered.
int penstock_thread_start(struct penstock_thread **out, void (*body)(void *context), void *context);
// Waits until the thread has ended, and frees it.
void penstock_thread_join(struct penstock_thread *thread);

// --- Gates: a lock, and queues of threads that wait for something to change under it ---
enum { PENSTOCK_GATE_QUEUES = 4 };
struct penstock_gate;
struct penstock_gate *penstock_gate_make(void);
void penstock_gate_free(struct penstock_gate *gate);
void penstock_gate_lock(struct penstock_gate *gate);
void penstock_gate_unlock(struct penstock_gate *gate);
// Lets go of the lock until the queue is woken, or `nanoseconds` have passed (negative: for ever).
void penstock_gate_wait(struct penstock_gate *gate, int queue, int64_t nanoseconds);
void penstock_gate_wake(struct penstock_gate *gate, int queue, bool all);

// --- Forks ---
// How often this process is a fork since the program was started: 0 in the first. A fork made by a
// bare system call is not counted.
uint64_t penstock_fork_depth(void);

// --- Stream sockets that are waited at ---
// Receives some bytes, waiting for the first; 0 at the end.
int64_t penstock_receive_waiting(int socket, void *bytes, size_t count);
// Sends all bytes, waiting for room.
int penstock_send_waiting(int socket, const void *bytes, size_t count);
