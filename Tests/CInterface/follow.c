// Options, event ids, following and archiving; the argument is the folder. Ends with 0 when all is
// as expected; else the line that was not is printed.

#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <penstock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static penstock_error error;

#define EXPECT(condition)                                                                  \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      printf("line %d: %s; the last error: %s\n", __LINE__, #condition, error.text);       \
      exit(1);                                                                             \
    }                                                                                      \
  } while (0)

#define EXPECT_ERROR(call, expected, part)       \
  do {                                           \
    memset(&error, 0, sizeof error);             \
    EXPECT((call) == (expected));                \
    EXPECT(strstr(error.text, (part)) != NULL);  \
  } while (0)

// An options struct of a later version: what this library knows, and more behind it.
struct later_options {
  penstock_store_options known;
  uint64_t more;
};

static penstock_store *open_store(const char *path) {
  penstock_store *store = NULL;
  penstock_bytes folder = penstock_text(path);
  penstock_store_options options = {.journal_log_count = 4};
  EXPECT_ERROR(penstock_store_open_with(folder, &options, &store, &error), PENSTOCK_INVALID,
               "sizeof");
  options.size = (size_t)-1;
  EXPECT_ERROR(penstock_store_open_with(folder, &options, &store, &error), PENSTOCK_INVALID,
               "sizeof");
  options.size = sizeof options;
  options.journal_log_count = 257;
  EXPECT_ERROR(penstock_store_open_with(folder, &options, &store, &error), PENSTOCK_INVALID,
               "257");
  options.journal_log_count = 4;
  options.io = (penstock_io)9;
  EXPECT_ERROR(penstock_store_open_with(folder, &options, &store, &error), PENSTOCK_INVALID, "9");
  options.io = PENSTOCK_IO_POLL;
  options.segment_byte_count = 1;
  EXPECT_ERROR(penstock_store_open_with(folder, &options, &store, &error), PENSTOCK_INVALID,
               "MiB");
  options.segment_byte_count = 4 << 20;
  options.live_byte_count_max = PENSTOCK_UNLIMITED;

  struct later_options later = {options, 1};
  later.known.size = sizeof later;
  EXPECT_ERROR(penstock_store_open_with(folder, &later.known, &store, &error), PENSTOCK_INVALID,
               "too old");
  later.more = 0;
  EXPECT(penstock_store_open_with(folder, &later.known, &store, &error) == PENSTOCK_OK);
  EXPECT(penstock_store_close(store, &error) == PENSTOCK_OK);
  // An earlier version's: the size and the first field.
  later.known.size = offsetof(penstock_store_options, io);
  later.known.io = (penstock_io)9;
  EXPECT(penstock_store_open_with(folder, &later.known, &store, &error) == PENSTOCK_OK);
  EXPECT(penstock_store_close(store, &error) == PENSTOCK_OK);
  EXPECT(penstock_store_open_with(folder, &options, &store, &error) == PENSTOCK_OK);
  return store;
}

static void follow(penstock_store *store, penstock_writer *writer) {
  penstock_follower *follower = NULL;
  penstock_event event;
  penstock_new_event events[2] = {
      {.stream = penstock_text("app/a"), .payload = penstock_text("1"), .id = 0xC0FFEE,
       .has_id = true},
      {.stream = penstock_text("app/b"), .payload = penstock_text("2")},
  };
  EXPECT_ERROR(penstock_follower_open(store, penstock_text("[a"), &follower, &error),
               PENSTOCK_INVALID, "[a");
  EXPECT_ERROR(penstock_follower_next(follower, 0, &event, &error), PENSTOCK_INVALID, "NULL");
  EXPECT(penstock_follower_open(store, penstock_text("app/*"), &follower, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_follower_next((penstock_follower *)store, 0, &event, &error),
               PENSTOCK_INVALID, "no open follower");
  EXPECT(penstock_follower_next(follower, 0, &event, &error) == PENSTOCK_NO_EVENT);
  EXPECT(penstock_follower_next(follower, 70, &event, &error) == PENSTOCK_NO_EVENT);
  EXPECT(penstock_writer_put(writer, events, 2, PENSTOCK_SYNCED, NULL, &error) == PENSTOCK_OK);
  EXPECT(penstock_follower_next(follower, -1, &event, &error) == PENSTOCK_OK);
  EXPECT(event.has_id && event.id == 0xC0FFEE && event.attribute_count == 1);
  EXPECT(event.payload.count == 1 && event.payload.data[0] == '1');
  EXPECT(penstock_follower_next(follower, INT64_MAX, &event, &error) == PENSTOCK_OK);
  EXPECT(!event.has_id && event.id == 0 && event.attribute_count == 0);
  EXPECT(event.payload.data[0] == '2');
  EXPECT(penstock_follower_close(follower, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_follower_next(follower, 0, &event, &error), PENSTOCK_INVALID,
               "closed before");
}

static penstock_follower *waited_for;

static void *wait_for_ever(void *unused) {
  penstock_error ignored;
  penstock_event event;
  penstock_code code;
  // The other thread may have the turn when this one comes.
  do code = penstock_follower_next(waited_for, -1, &event, &ignored);
  while (code == PENSTOCK_INVALID && strstr(ignored.text, "another thread") != NULL);
  // Closed while it waited, or before it came to that.
  return code == PENSTOCK_CLOSED || code == PENSTOCK_INVALID ? unused : NULL;
}

static void close_while_waiting(penstock_store *store) {
  pthread_t thread;
  void *outcome = NULL;
  penstock_event event;
  EXPECT(penstock_follower_open(store, penstock_text(""), &waited_for, &error) == PENSTOCK_OK);
  EXPECT(pthread_create(&thread, NULL, wait_for_ever, store) == 0);
  // It has the turn once a second one is refused.
  while (penstock_follower_next(waited_for, 0, &event, &error) == PENSTOCK_NO_EVENT) usleep(100);
  EXPECT(strstr(error.text, "another thread") != NULL);
  EXPECT(penstock_follower_close(waited_for, &error) == PENSTOCK_OK);
  EXPECT(pthread_join(thread, &outcome) == 0 && outcome == store);
}

static void archive(penstock_store *store, const char *path) {
  char lock[4096];
  bool is_complete = false;
  snprintf(lock, sizeof lock, "%s/archive/lock", path);
  EXPECT(penstock_store_archive(store, -1, &is_complete, &error) == PENSTOCK_OK && is_complete);
  int held = open(lock, O_RDWR);
  EXPECT(held >= 0 && flock(held, LOCK_EX) == 0);
  EXPECT_ERROR(penstock_store_archive(store, 1000, NULL, &error), PENSTOCK_ARCHIVE_HELD,
               "archives");
  close(held);
  EXPECT(penstock_store_archive(store, INT64_MAX, NULL, &error) == PENSTOCK_OK);
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  penstock_store *store = open_store(arguments[1]);
  penstock_writer *writer = NULL;
  EXPECT(penstock_writer_open(store, PENSTOCK_ANY_LOG, 0, &writer, &error) == PENSTOCK_OK);
  follow(store, writer);
  close_while_waiting(store);
  archive(store, arguments[1]);
  EXPECT(penstock_writer_close(writer, &error) == PENSTOCK_OK);
  EXPECT(penstock_store_close(store, &error) == PENSTOCK_OK);
  return 0;
}
