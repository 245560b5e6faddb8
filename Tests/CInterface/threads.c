// Threads that share a store, a writer and a cursor; the argument is the folder. Prints how many
// events were acknowledged.

#include <penstock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define EVENTS 100

static penstock_store *store;
static penstock_writer *writer;
static penstock_cursor *cursor;
static atomic_int acknowledged, read_count, refused_count;

static void require(int holds, const char *what, const penstock_error *error) {
  if (holds) return;
  printf("%s: %s\n", what, error->text);
  exit(1);
}

// Puts until the writer is closed by another thread.
static void *put(void *unused) {
  penstock_error error = {0, 0, ""};
  penstock_new_event event = {
      .stream = penstock_text("acknowledged"), .payload = penstock_text("x")};
  for (;;) {
    penstock_code code = penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error);
    if (code == PENSTOCK_OK) {
      acknowledged += 1;
      continue;
    }
    require(code == PENSTOCK_CLOSED || code == PENSTOCK_INVALID, "put", &error);
    return unused;
  }
}

// Reads from a cursor that others read from.
static void *next(void *unused) {
  penstock_error error = {0, 0, ""};
  penstock_event event;
  for (;;) {
    penstock_code code = penstock_cursor_next(cursor, &event, &error);
    if (code == PENSTOCK_END) return unused;
    require(code == PENSTOCK_OK || code == PENSTOCK_INVALID, "next", &error);
    if (code == PENSTOCK_OK)
      read_count += 1;
    else
      refused_count += 1;
  }
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  pthread_t threads[THREADS];
  penstock_error error = {0, 0, ""};
  require(penstock_store_open(penstock_text(arguments[1]), &store, &error) == PENSTOCK_OK, "open",
          &error);
  require(penstock_writer_open(store, PENSTOCK_ANY_LOG, 0, &writer, &error) == PENSTOCK_OK,
          "writer", &error);
  for (int i = 0; i < THREADS; i += 1) pthread_create(&threads[i], NULL, put, NULL);
  while (acknowledged < THREADS * EVENTS) sched_yield();
  require(penstock_writer_close(writer, &error) == PENSTOCK_OK, "close", &error);
  for (int i = 0; i < THREADS; i += 1) pthread_join(threads[i], NULL);

  require(penstock_cursor_open(store, NULL, &cursor, &error) == PENSTOCK_OK, "cursor", &error);
  for (int i = 0; i < THREADS; i += 1) pthread_create(&threads[i], NULL, next, NULL);
  for (int i = 0; i < THREADS; i += 1) pthread_join(threads[i], NULL);
  require(read_count == acknowledged, "each event is given once", &error);
  require(penstock_cursor_close(cursor, &error) == PENSTOCK_OK, "close cursor", &error);
  require(penstock_store_close(store, &error) == PENSTOCK_OK, "close store", &error);
  printf("%d\n%d read, %d refused\n", acknowledged, read_count, refused_count);
  return 0;
}
