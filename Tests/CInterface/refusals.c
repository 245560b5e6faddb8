// What the interface refuses. Arguments: a folder for a store, and a file. Ends with 0 when every
// refusal was as expected; else the line that was not is printed.

#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static penstock_error error;

#define EXPECT(condition)                                                     \
  do {                                                                        \
    if (!(condition)) {                                                       \
      printf("line %d: %s; the last error: %s\n", __LINE__, #condition, error.text); \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

#define EXPECT_ERROR(call, expected, part)       \
  do {                                           \
    memset(&error, 0, sizeof error);             \
    EXPECT((call) == (expected));                \
    EXPECT(strstr(error.text, (part)) != NULL);  \
  } while (0)

static penstock_new_event event_of(const char *stream) {
  penstock_new_event event = {.stream = penstock_text(stream), .payload = penstock_text("x")};
  return event;
}

static void refuse_stores(const char *file) {
  penstock_store *store = NULL;
  penstock_bytes folder = penstock_text("never-made");
  penstock_bytes no_bytes = {NULL, 3}, with_null = {"a\0b", 3};
  EXPECT_ERROR(penstock_store_open(penstock_text(file), &store, &error), PENSTOCK_FAILED, file);
  EXPECT(store == NULL);
  EXPECT(penstock_store_open(penstock_text(file), &store, NULL) == PENSTOCK_FAILED);
  EXPECT_ERROR(penstock_store_open(folder, NULL, &error), PENSTOCK_INVALID, "NULL");
  EXPECT_ERROR(penstock_store_open(no_bytes, &store, &error), PENSTOCK_INVALID, "NULL");
  EXPECT_ERROR(penstock_store_open(with_null, &store, &error), PENSTOCK_INVALID, "no NUL");
  EXPECT_ERROR(penstock_store_open(penstock_text(""), &store, &error), PENSTOCK_INVALID, "a byte");
  EXPECT_ERROR(penstock_store_open(penstock_text("\xff"), &store, &error), PENSTOCK_INVALID,
               "UTF-8");
  EXPECT_ERROR(penstock_store_close(NULL, &error), PENSTOCK_INVALID, "NULL");
}

static void refuse_handles(penstock_store *store, penstock_writer *writer) {
  penstock_writer *second = NULL;
  penstock_cursor *cursor = NULL;
  penstock_event event;
  size_t damage;
  EXPECT_ERROR(penstock_writer_flush(NULL, &error), PENSTOCK_INVALID, "NULL");
  EXPECT_ERROR(penstock_writer_flush((penstock_writer *)store, &error), PENSTOCK_INVALID, "writer");
  EXPECT_ERROR(penstock_store_close((penstock_store *)writer, &error), PENSTOCK_INVALID, "store");
  EXPECT_ERROR(penstock_writer_open(store, 256, 0, &second, &error), PENSTOCK_INVALID, "256");
  EXPECT_ERROR(penstock_writer_open(store, -2, 0, &second, &error), PENSTOCK_INVALID, "-2");
  EXPECT_ERROR(penstock_writer_open(store, 0, 20, &second, &error), PENSTOCK_LEASE_HELD, "held");
  EXPECT_ERROR(penstock_cursor_open(store, NULL, NULL, &error), PENSTOCK_INVALID, "NULL");
  EXPECT(penstock_cursor_open(store, NULL, &cursor, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_cursor_next(cursor, NULL, &error), PENSTOCK_INVALID, "NULL");
  EXPECT_ERROR(penstock_cursor_next(cursor, (penstock_event *)((char *)&event + 1), &error),
               PENSTOCK_INVALID, "aligned");
  EXPECT(penstock_cursor_next(cursor, &event, &error) == PENSTOCK_END);
  EXPECT(penstock_cursor_close(cursor, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_cursor_close(cursor, &error), PENSTOCK_INVALID, "closed before");
  EXPECT_ERROR(penstock_cursor_damage(cursor, &damage, &error), PENSTOCK_INVALID, "closed before");
  penstock_read_options options = {.stream = penstock_text("[a")};
  EXPECT_ERROR(penstock_cursor_open(store, &options, &cursor, &error), PENSTOCK_INVALID, "[a");
}

static void refuse_events(penstock_writer *writer) {
  penstock_new_event event = event_of("/orders//42");
  penstock_head head;
  penstock_receipt receipt = {0, 0, 0};
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, &receipt, &error),
               PENSTOCK_INVALID, "no journal");
  EXPECT_ERROR(penstock_writer_head(writer, penstock_text("orders"), &head, &error),
               PENSTOCK_INVALID, "no journal");
  EXPECT_ERROR(penstock_writer_put(writer, NULL, 1, PENSTOCK_SYNCED, &receipt, &error),
               PENSTOCK_INVALID, "NULL");
  EXPECT_ERROR(penstock_writer_put(writer, &event, (size_t)-1, PENSTOCK_SYNCED, &receipt, &error),
               PENSTOCK_INVALID, "events");
  EXPECT(penstock_writer_put(writer, NULL, 0, PENSTOCK_SYNCED, &receipt, &error) == PENSTOCK_OK);
  EXPECT(receipt.count == 0);
  event = event_of("s");
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, (penstock_durability)7, NULL, &error),
               PENSTOCK_INVALID, "7");
  event.payload.count = (size_t)-1;
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error),
               PENSTOCK_TOO_LARGE, "MiB");
  event = event_of("\xff");
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error),
               PENSTOCK_INVALID, "UTF-8");
  event = event_of("s");
  event.attributes = (const penstock_attribute *)&event;
  event.attribute_count = 257;
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error),
               PENSTOCK_INVALID, "256");
  penstock_attribute pair = {penstock_text("_mine"), penstock_text("")};
  event = event_of("s");
  event.attributes = &pair;
  event.attribute_count = 1;
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error),
               PENSTOCK_INVALID, "_mine");
}

static penstock_code commit(
    penstock_writer *writer, const char *stream, const penstock_condition *conditions,
    size_t count) {
  penstock_new_event event = event_of(stream);
  return penstock_writer_commit(writer, &event, 1, conditions, count, NULL, NULL, &error);
}

static void refuse_commits(penstock_writer *writer) {
  penstock_condition conditions[2];
  memset(conditions, 0, sizeof conditions);
  EXPECT_ERROR(commit(writer, "/o", conditions, 1), PENSTOCK_INVALID, "kind 0");
  conditions[0].kind = PENSTOCK_IF_UNCHANGED;
  EXPECT_ERROR(commit(writer, "/o", conditions, 1), PENSTOCK_INVALID, "no journal");
  conditions[0].journal = penstock_text("/o");
  conditions[0].kind = PENSTOCK_IF_NONE;
  EXPECT_ERROR(commit(writer, "/o", conditions, 1), PENSTOCK_INVALID, "names a type");
  conditions[0].kind = conditions[1].kind = PENSTOCK_SINCE;
  EXPECT_ERROR(commit(writer, "/o", conditions, 2), PENSTOCK_INVALID, "one PENSTOCK_SINCE");
  EXPECT_ERROR(commit(writer, "plain", conditions, 1), PENSTOCK_INVALID, "only journals");
}

// A text that is longer than an error's is cut between two characters; the longest type fits.
static void cut_texts(penstock_writer *writer) {
  static char name[2001];
  for (size_t i = 0; i < sizeof name - 1; i += 2) memcpy(name + i, "\xC3\xBC", 2);
  penstock_head head;
  EXPECT_ERROR(penstock_writer_head(writer, penstock_text(name), &head, &error), PENSTOCK_INVALID,
               "\xC3\xBC");
  EXPECT(strlen(error.text) == PENSTOCK_ERROR_SIZE - 1);
  EXPECT_ERROR(penstock_writer_head(writer, penstock_text(name + 2), NULL, &error),
               PENSTOCK_INVALID, "NULL");
  name[0] = name[1] = 'x';
  EXPECT_ERROR(penstock_writer_head(writer, penstock_text(name + 1), &head, &error),
               PENSTOCK_INVALID, "x\xC3\xBC");
  EXPECT(strlen(error.text) == PENSTOCK_ERROR_SIZE - 2);

  penstock_new_event event = event_of("/long");
  event.type = penstock_text(name + 2);
  penstock_condition since = {PENSTOCK_SINCE, {NULL, 0}, NULL, 0, 0};
  penstock_conflict conflict;
  EXPECT(penstock_writer_head(writer, event.stream, &head, &error) == PENSTOCK_OK);
  since.position = head.at;
  EXPECT_ERROR(penstock_writer_commit(writer, &event, 1, &since, 1, NULL, NULL, &error),
               PENSTOCK_REFUSED, "bad-type");
  event.type.count = PENSTOCK_NAME_SIZE - 1;
  EXPECT(penstock_writer_commit(writer, &event, 1, &since, 1, NULL, NULL, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_writer_commit(writer, &event, 1, &since, 1, NULL, &conflict, &error),
               PENSTOCK_CONFLICT, "/long");
  EXPECT(conflict.has_type && conflict.journal_count == 5);
  EXPECT(conflict.type_count == event.type.count && strlen(conflict.type) == event.type.count);
  EXPECT(memcmp(conflict.type, event.type.data, event.type.count) == 0);
}

static void refuse_child(penstock_writer *writer) {
  penstock_new_event event = event_of("s");
  int status = -1;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error),
                 PENSTOCK_FORKED, "forked");
    _exit(0);
  }
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **arguments) {
  if (count != 3) return 64;
  penstock_store *store = NULL;
  penstock_writer *writer = NULL, *elsewhere = NULL;
  penstock_new_event event = event_of("/orders/42");
  refuse_stores(arguments[2]);
  EXPECT(penstock_store_open(penstock_text(arguments[1]), &store, &error) == PENSTOCK_OK);
  EXPECT(penstock_writer_open(store, 0, 0, &writer, &error) == PENSTOCK_OK);
  refuse_handles(store, writer);
  refuse_events(writer);
  refuse_commits(writer);
  cut_texts(writer);
  EXPECT(penstock_writer_open(store, PENSTOCK_ANY_LOG, 0, &elsewhere, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_writer_put(elsewhere, &event, 1, PENSTOCK_SYNCED, NULL, &error),
               PENSTOCK_OWNED_ELSEWHERE, "log 0");
  EXPECT(error.log == 0);
  EXPECT(penstock_writer_close(elsewhere, &error) == PENSTOCK_OK);
  refuse_child(writer);
  EXPECT(penstock_store_close(store, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_writer_open(store, 0, 0, &elsewhere, &error), PENSTOCK_INVALID, "closed");
  event = event_of("s");
  EXPECT(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error) == PENSTOCK_OK);
  EXPECT(penstock_writer_close(writer, &error) == PENSTOCK_OK);
  EXPECT_ERROR(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, NULL, &error),
               PENSTOCK_INVALID, "closed before");
  return 0;
}
