#define _GNU_SOURCE
#include "generator.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

static volatile sig_atomic_t is_ended;

static void end(int signal) {
  (void)signal;
  is_ended = 1;
}

bool load_is_ended(void) { return is_ended; }

static bool is_power_of_two(unsigned value) { return value && !(value & (value - 1)); }

int load_run(const struct load_plan *plan, struct load_result *result) {
  bool is_line = load_is_line(plan->kind);
  if (plan->socket_count < 1 || plan->socket_count > LOAD_CONNECTION_MAX) return -EINVAL;
  if (is_line && (!is_power_of_two(plan->window) || plan->window > LOAD_WINDOW_MAX ||
                  plan->events_per_put == 0))
    return -EINVAL;
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  prctl(PR_SET_TIMERSLACK, 1);  // paced units that sleep are woken when they are due
  bool is_datagram = plan->kind == LOAD_DATAGRAMS || plan->kind == LOAD_SEGMENTS;
  int status = is_datagram ? load_datagrams(plan, result) : load_streams(plan, result);
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  result->processor_ns = used.tv_sec * 1000000000ll + used.tv_nsec;
  return status;
}
