// Load over stream connections: syslog, which is never answered, and PUTs, which are.
//
//     release units (their time starts) → pump them out → take answers → wait when nothing moves
//
// Saturated: units are released as the socket, or the window of PUTs, takes them. Paced: unit k is
// released at its intended time start + k / rate, whatever became of those before it, and its
// latency counts from then on: a stalled receiver is charged for the queue it causes (no
// coordinated omission).
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "generator.h"

enum {
  CHUNK_BYTES = 128 << 10,     // most bytes of one send
  ANSWER_BYTES = 64 << 10,     // most bytes of one receive
  LATE_NS = 1000000,
};

struct connection {
  int socket;
  bool is_lost;
  bool is_full;           // the socket took less than it was given; poll says when it takes more
  size_t position;        // in the prebuilt bytes
  uint64_t released;      // bytes that may go out
  uint64_t sent;          // bytes that went out
  uint64_t units;         // units released
  uint64_t answered;      // units answered
  size_t kept;            // bytes of an answer whose end has not come
  char answer[192];
  int64_t *times;         // when each unit in flight was due, by unit modulo the window
};

struct streams {
  const struct load_plan *plan;
  struct load_result *result;
  char *bytes;
  size_t byte_count;
  size_t unit_bytes;
  unsigned window;        // a power of two, or 0 where nothing is answered
  int64_t start, measure_from, measure_to;
  struct connection connections[LOAD_CONNECTION_MAX];
};

static void lose(struct streams *s, struct connection *c) {
  if (c->is_lost) return;
  c->is_lost = true;
  s->result->connections_lost++;
}

static void note_answer(struct streams *s, struct connection *c, const char *text, size_t count,
                        int64_t now) {
  int64_t due = c->times[c->answered++ & (s->window - 1)];
  if (count >= 2 && text[0] == 'O' && text[1] == 'K') {
    s->result->events_acknowledged += s->plan->events_per_put;
    if (now < s->measure_from || now >= s->measure_to) return;
    s->result->events_in_window += s->plan->events_per_put;
    if (s->result->latencies) s->result->latencies[load_bucket((uint64_t)(now - due))]++;
    return;
  }
  if (s->result->units_refused++ == 0 && s->result->refusal)
    snprintf(s->result->refusal, s->result->refusal_capacity, "%.*s", (int)count, text);
}

// Takes what has been answered; true when something was.
static bool take_answers(struct streams *s, struct connection *c) {
  static char buffer[ANSWER_BYTES];
  ssize_t n = recv(c->socket, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n <= 0) {
    if (n == 0 || errno != EAGAIN) lose(s, c);
    return false;
  }
  int64_t now = load_now();
  const char *p = buffer, *end = buffer + n;
  while (p < end) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    size_t count = (size_t)((stop ? stop : end) - p);
    size_t room = sizeof c->answer - c->kept;
    if (stop && c->kept == 0) {
      note_answer(s, c, p, count, now);
    } else {
      memcpy(c->answer + c->kept, p, count < room ? count : room);
      c->kept += count < room ? count : room;
      if (stop) {
        note_answer(s, c, c->answer, c->kept, now);
        c->kept = 0;
      }
    }
    p = stop ? stop + 1 : end;
  }
  return true;
}

// Sends what was released, as far as the socket takes it; true when something went out.
static bool pump(struct streams *s, struct connection *c) {
  bool moved = false;
  while (c->sent < c->released) {
    size_t count = s->byte_count - c->position;
    if (count > c->released - c->sent) count = c->released - c->sent;
    if (count > CHUNK_BYTES) count = CHUNK_BYTES;
    ssize_t n = send(c->socket, s->bytes + c->position, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    c->is_full = n < (ssize_t)count;
    if (n <= 0) {
      if (n < 0 && errno != EAGAIN) lose(s, c);
      break;
    }
    moved = true;
    c->sent += (uint64_t)n;
    c->position += (size_t)n;
    if (c->position == s->byte_count) c->position = 0;
    if ((size_t)n < count) break;
  }
  return moved;
}

static void release(struct streams *s, struct connection *c, int64_t due) {
  if (s->window) c->times[c->units & (s->window - 1)] = due;
  c->units++;
  c->released += s->unit_bytes;
}

static bool has_room(const struct streams *s, const struct connection *c) {
  return !s->window || c->units - c->answered < s->window;
}

static bool turn_saturated(struct streams *s, int64_t now) {
  bool moved = false;
  for (int i = 0; i < s->plan->socket_count; i++) {
    struct connection *c = &s->connections[i];
    if (c->is_lost) continue;
    if (s->window) moved |= take_answers(s, c);
    while (c->released - c->sent < CHUNK_BYTES && has_room(s, c)) release(s, c, now);
    if (!c->is_full) moved |= pump(s, c);
  }
  return moved;
}

// Releases the units that are due by now; `next` counts them over all connections.
static bool turn_paced(struct streams *s, uint64_t *next, double interval, int64_t now) {
  bool moved = false;
  if (s->window)
    for (int i = 0; i < s->plan->socket_count; i++)
      if (!s->connections[i].is_lost) moved |= take_answers(s, &s->connections[i]);
  for (;;) {
    int64_t due = s->start + (int64_t)((double)*next * interval);
    if (due > now) break;
    struct connection *c = &s->connections[*next % (unsigned)s->plan->socket_count];
    if (!c->is_lost) {
      if (!has_room(s, c) || (c->sent < c->released && !pump(s, c))) break;
      release(s, c, due);
      if (now - due > LATE_NS) s->result->latenesses_over_1ms++;
      pump(s, c);
    }
    ++*next;
    moved = true;
  }
  return moved;
}

static void wait_for_any(struct streams *s, int64_t timeout_ns) {
  struct pollfd p[LOAD_CONNECTION_MAX];
  for (int i = 0; i < s->plan->socket_count; i++) {
    const struct connection *c = &s->connections[i];
    short events = s->window ? POLLIN : 0;
    if (c->sent < c->released || (!s->plan->rate && has_room(s, c))) events |= POLLOUT;
    p[i] = (struct pollfd){c->is_lost ? -1 : c->socket, events, 0};
  }
  struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  if (ppoll(p, (nfds_t)s->plan->socket_count, &t, NULL) <= 0) return;
  for (int i = 0; i < s->plan->socket_count; i++)
    if (p[i].revents & ~POLLIN) s->connections[i].is_full = false;
}

static bool all_lost(const struct streams *s) {
  return s->result->connections_lost == s->plan->socket_count;
}

// Whole units leave, answers come in; then the peer is told that this was all, and reads it.
static void finish(struct streams *s) {
  int64_t deadline = load_now() + LOAD_FINISH_NS;
  for (bool waits = true; waits && load_now() < deadline && !all_lost(s);) {
    waits = false;
    for (int i = 0; i < s->plan->socket_count; i++) {
      struct connection *c = &s->connections[i];
      if (c->is_lost) continue;
      pump(s, c);
      if (s->window) take_answers(s, c);
      if (c->sent < c->released || (s->window && c->answered < c->units)) waits = true;
    }
    if (waits) wait_for_any(s, 1000000);
  }
  for (int i = 0; i < s->plan->socket_count; i++)
    if (!s->connections[i].is_lost) shutdown(s->connections[i].socket, SHUT_WR);
  // A receiver that has read everything closes; an answer nobody waits for ends the wait too.
  for (int i = 0; i < s->plan->socket_count; i++) {
    struct connection *c = &s->connections[i];
    while (!c->is_lost && load_now() < deadline) {
      char byte;
      struct pollfd p = {c->socket, POLLIN, 0};
      if (poll(&p, 1, 100) > 0 && recv(c->socket, &byte, 1, MSG_DONTWAIT) <= 0) break;
    }
  }
}

static void account(struct streams *s) {
  unsigned events = load_is_line(s->plan->kind) ? s->plan->events_per_put : 1;
  for (int i = 0; i < s->plan->socket_count; i++) {
    s->result->events_sent += s->connections[i].sent / s->unit_bytes * events;
    s->result->bytes_sent += s->connections[i].sent;
  }
}

static void drive(struct streams *s) {
  uint64_t next = 0;
  double interval = 0;
  if (s->plan->rate) {
    unsigned events = load_is_line(s->plan->kind) ? s->plan->events_per_put : 1;
    interval = 1e9 * events / (double)s->plan->rate;
  }
  int64_t now = s->start;
  while (now < s->measure_to && !load_is_ended() && !all_lost(s)) {
    bool moved = s->plan->rate ? turn_paced(s, &next, interval, now) : turn_saturated(s, now);
    if (!moved && !s->plan->rate) wait_for_any(s, 1000000);
    now = load_now();
    if (!moved && s->plan->rate && s->plan->sleeps) {
      int64_t pause = s->start + (int64_t)((double)next * interval) - now;
      if (pause > 0) wait_for_any(s, pause);
      now = load_now();
    }
  }
  s->result->sending_ns = now - s->start;
}

int load_streams(const struct load_plan *plan, struct load_result *result) {
  struct streams *s = calloc(1, sizeof *s);
  if (!s) return -ENOMEM;
  s->plan = plan;
  s->result = result;
  s->unit_bytes = load_build(plan, NULL, &s->byte_count);
  s->bytes = malloc(s->byte_count);
  s->window = load_is_line(plan->kind) ? plan->window : 0;
  bool has_memory = s->bytes != NULL;
  for (int i = 0; i < plan->socket_count; i++) {
    s->connections[i].socket = plan->sockets[i];
    if (!s->window) continue;
    s->connections[i].times = calloc(s->window, sizeof(int64_t));
    has_memory = has_memory && s->connections[i].times;
  }
  if (has_memory) {
    load_build(plan, s->bytes, &s->byte_count);
    s->start = load_now();
    s->measure_from = s->start + plan->warmup_ns;
    s->measure_to = s->measure_from + plan->measured_ns;
    drive(s);
    finish(s);
    account(s);
  }
  for (int i = 0; i < plan->socket_count; i++) free(s->connections[i].times);
  free(s->bytes);
  free(s);
  return has_memory ? 0 : -ENOMEM;
}
