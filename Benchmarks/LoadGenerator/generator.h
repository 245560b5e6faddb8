// What the generator's files share. Not for Swift.
#pragma once

#include <time.h>

#include "include/load.h"

// Longest time a run waits for its last units to be taken and answered, in nanoseconds.
#define LOAD_FINISH_NS 10000000000ll

static inline int64_t load_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

// Whether SIGTERM came.
bool load_is_ended(void);

int load_streams(const struct load_plan *plan, struct load_result *result);
int load_datagrams(const struct load_plan *plan, struct load_result *result);
