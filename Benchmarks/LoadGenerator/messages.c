// The bytes that are sent: RFC 5424 messages and event lines of exactly LOAD_MESSAGE_BYTES, with
// hosts, programs, process numbers and times that vary a little, as on a busy collector.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "include/load.h"

static const char *const programs[] = {"nginx", "sshd", "postgres", "kernel",
                                       "cron",  "app",  "haproxy",  "systemd"};
static const char *const severities[] = {"emerg", "alert",  "crit", "err",
                                         "warning", "notice", "info", "debug"};
// Messages that follow each other are of the same second, as they are under load.
enum { MESSAGES_PER_SECOND = 64 };
static const char filler[] =
    "GET /api/v1/items?id=8341 200 17ms upstream=10.0.3.7 bytes=5120 cache=miss trace=7f3a91c2 ";

static uint64_t next(uint64_t *state) {
  uint64_t x = *state += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// Fills the message up to its size; a newline-framed one ends in LF.
static void pad(char *message, int used, unsigned phase, bool has_line_feed) {
  for (int i = used; i < LOAD_MESSAGE_BYTES; i++)
    message[i] = filler[((unsigned)(i - used) + phase) % (sizeof filler - 1)];
  if (has_line_feed) message[LOAD_MESSAGE_BYTES - 1] = '\n';
}

static void syslog_message(char *out, uint64_t *random, unsigned index, bool has_line_feed) {
  uint64_t r = next(random);
  char text[LOAD_MESSAGE_BYTES];
  int n = snprintf(text, sizeof text,
                   "<%u>1 2026-11-21T03:%02u:%02u.%06uZ web%02u.prod.example.com %s %u - "
                   "[meta@32473 env=\"prod\"] ",
                   128 + (unsigned)(r % 8), 48 + index / MESSAGES_PER_SECOND / 60 % 10,
                   index / MESSAGES_PER_SECOND % 60, (unsigned)(r >> 8) % 1000000, (unsigned)(r >> 32) % 64,
                   programs[(r >> 40) % 8], 1000 + (unsigned)(r >> 44) % 9000);
  memcpy(out, text, (size_t)n);
  pad(out, n, (unsigned)(r >> 52) % 64, has_line_feed);
}

static void event_line(char *out, uint64_t *random) {
  uint64_t r = next(random);
  char text[LOAD_MESSAGE_BYTES];
  int n = snprintf(text, sizeof text,
                   "- syslog/web%02u.prod.example.com %s facility=local0 severity=%s procid=%u\t",
                   (unsigned)(r >> 32) % 64, programs[(r >> 40) % 8], severities[r % 8],
                   1000 + (unsigned)(r >> 44) % 9000);
  memcpy(out, text, (size_t)n);
  pad(out, n, (unsigned)(r >> 52) % 64, true);
}

// An event of one of LOAD_MESSAGE_COUNT journals, chosen by the unit.
static void journal_line(char *out, uint64_t *random, unsigned journal) {
  uint64_t r = next(random);
  char text[LOAD_MESSAGE_BYTES];
  int n = snprintf(text, sizeof text, "- /org/%04u Changed%u user=%u\t", journal, (unsigned)(r % 4),
                   1000 + (unsigned)(r >> 44) % 9000);
  memcpy(out, text, (size_t)n);
  pad(out, n, (unsigned)(r >> 52) % 64, true);
}

size_t load_build(const struct load_plan *plan, char *out, size_t *byte_count) {
  char head[64] = "";
  unsigned events = 1;
  if (plan->kind == LOAD_SYSLOG_OCTET) snprintf(head, sizeof head, "%d ", LOAD_MESSAGE_BYTES);
  if (plan->kind == LOAD_LINE) {
    events = plan->events_per_put;
    snprintf(head, sizeof head, "PUT %u\n", events * LOAD_MESSAGE_BYTES);
  }
  if (plan->kind == LOAD_COMMIT) {
    events = plan->events_per_put;
    // A position nothing comes behind: the condition is checked, and holds.
    snprintf(head, sizeof head, "COMMIT %u since=9000000000000000000\n",
             events * LOAD_MESSAGE_BYTES);
  }
  size_t head_bytes = strlen(head);
  size_t unit = head_bytes + (size_t)events * LOAD_MESSAGE_BYTES;
  size_t units = events < LOAD_MESSAGE_COUNT ? LOAD_MESSAGE_COUNT / events : 1;
  *byte_count = units * unit;
  if (!out) return unit;
  uint64_t random = plan->seed;
  unsigned index = 0;
  for (size_t u = 0; u < units; u++) {
    memcpy(out, head, head_bytes);
    out += head_bytes;
    for (unsigned e = 0; e < events; e++, index++, out += LOAD_MESSAGE_BYTES) {
      if (plan->kind == LOAD_LINE)
        event_line(out, &random);
      else if (plan->kind == LOAD_COMMIT)
        journal_line(out, &random, (unsigned)u);
      else
        syslog_message(out, &random, index, plan->kind == LOAD_SYSLOG_NEWLINE);
    }
  }
  return unit;
}
