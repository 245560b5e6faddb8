#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "include/threads.h"

struct penstock_thread {
  pthread_t thread;
  void (*body)(void *);
  void *context;
};

static void *begin(void *argument) {
  struct penstock_thread *thread = argument;
  thread->body(thread->context);
  return NULL;
}

int penstock_thread_start(struct penstock_thread **out, void (*body)(void *), void *context) {
  struct penstock_thread *thread = malloc(sizeof *thread);
  if (!thread) return -ENOMEM;
  thread->body = body;
  thread->context = context;
  // Signals are for the program's own threads, but for those a thread causes itself.
  sigset_t blocked, before;
  sigfillset(&blocked);
  int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&blocked, own[i]);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int error = pthread_create(&thread->thread, NULL, begin, thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) {
    free(thread);
    return -error;
  }
  *out = thread;
  return 0;
}

void penstock_thread_join(struct penstock_thread *thread) {
  pthread_join(thread->thread, NULL);
  free(thread);
}

struct penstock_gate {
  pthread_mutex_t lock;
  pthread_cond_t queues[PENSTOCK_GATE_QUEUES];
};

struct penstock_gate *penstock_gate_make(void) {
  struct penstock_gate *gate = malloc(sizeof *gate);
  if (!gate) return NULL;
  pthread_mutex_init(&gate->lock, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  for (int i = 0; i < PENSTOCK_GATE_QUEUES; i++) pthread_cond_init(&gate->queues[i], &attributes);
  pthread_condattr_destroy(&attributes);
  return gate;
}

void penstock_gate_free(struct penstock_gate *gate) {
  for (int i = 0; i < PENSTOCK_GATE_QUEUES; i++) pthread_cond_destroy(&gate->queues[i]);
  pthread_mutex_destroy(&gate->lock);
  free(gate);
}

void penstock_gate_lock(struct penstock_gate *gate) { pthread_mutex_lock(&gate->lock); }

void penstock_gate_unlock(struct penstock_gate *gate) { pthread_mutex_unlock(&gate->lock); }

void penstock_gate_wait(struct penstock_gate *gate, int queue, int64_t nanoseconds) {
  if (nanoseconds < 0) {
    pthread_cond_wait(&gate->queues[queue], &gate->lock);
    return;
  }
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  int64_t end = until.tv_nsec + nanoseconds;
  until.tv_sec += end / 1000000000;
  until.tv_nsec = end % 1000000000;
  pthread_cond_timedwait(&gate->queues[queue], &gate->lock, &until);
}

void penstock_gate_wake(struct penstock_gate *gate, int queue, bool all) {
  if (all) {
    pthread_cond_broadcast(&gate->queues[queue]);
  } else {
    pthread_cond_signal(&gate->queues[queue]);
  }
}

static uint64_t fork_depth;

static void note_fork(void) { fork_depth++; }

__attribute__((constructor)) static void watch_forks(void) {
  pthread_atfork(NULL, NULL, note_fork);
}

uint64_t penstock_fork_depth(void) { return __atomic_load_n(&fork_depth, __ATOMIC_RELAXED); }

int64_t penstock_receive_waiting(int socket, void *bytes, size_t count) {
  ssize_t n;
  do n = recv(socket, bytes, count, 0);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int penstock_send_waiting(int socket, const void *bytes, size_t count) {
  const char *next = bytes;
  while (count > 0) {
    ssize_t n = send(socket, next, count, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    next += n;
    count -= (size_t)n;
  }
  return 0;
}
