// Writes and reads a store through penstock.h; its argument is the folder.
//
//     cc -o example example.c -I INCLUDE -L LIB -lpenstock

#include <inttypes.h>
#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>

static penstock_error error;

static void check(penstock_code code, const char *what) {
  if (code == PENSTOCK_OK) return;
  fprintf(stderr, "%s: code %d: %s\n", what, (int)code, error.text);
  exit(1);
}

static void print(penstock_store *store, const penstock_read_options *options) {
  penstock_cursor *cursor;
  penstock_event event;
  penstock_code code;
  size_t damage;
  check(penstock_cursor_open(store, options, &cursor, &error), "read");
  while ((code = penstock_cursor_next(cursor, &event, &error)) == PENSTOCK_OK) {
    printf("%" PRIu64 " %.*s %.*s", event.sequence, (int)event.stream.count, event.stream.data,
           (int)event.type.count, event.type.data);
    for (size_t i = 0; i < event.attribute_count; i += 1) {
      const penstock_attribute *pair = &event.attributes[i];
      printf(" %.*s=%.*s", (int)pair->key.count, pair->key.data, (int)pair->value.count,
             pair->value.data);
    }
    printf(" [%.*s]\n", (int)event.payload.count, event.payload.data);
  }
  if (code != PENSTOCK_END) check(code, "next");
  check(penstock_cursor_damage(cursor, &damage, &error), "damage");
  if (damage > 0) printf("%zu damaged places\n", damage);
  check(penstock_cursor_close(cursor, &error), "close cursor");
}

static void write_events(penstock_writer *writer) {
  // snippet
  penstock_attribute user = {penstock_text("user"), penstock_text("7")};
  penstock_new_event login = {.stream = penstock_text("app/web"), .type = penstock_text("Login"),
                              .attributes = &user, .attribute_count = 1,
                              .payload = penstock_text("anna")};
  penstock_receipt receipt;
  check(penstock_writer_put(writer, &login, 1, PENSTOCK_SYNCED, &receipt, &error), "put");
  printf("event %" PRIu64 " of log %u is durable\n", receipt.first, receipt.log);
  // end

  login.payload = penstock_text("berta");
  check(penstock_writer_put(writer, &login, 1, PENSTOCK_WRITTEN, NULL, &error), "put");
  check(penstock_writer_flush(writer, &error), "flush");
}

static void commit_events(penstock_writer *writer) {
  // snippet
  penstock_head head;
  penstock_bytes order = penstock_text("/orders/42");
  check(penstock_writer_head(writer, order, &head, &error), "head");

  penstock_new_event placed = {
      .stream = order, .type = penstock_text("Placed"), .payload = penstock_text("A1")};
  penstock_condition since = {PENSTOCK_SINCE, {NULL, 0}, NULL, 0, head.at};
  penstock_conflict conflict;
  for (int attempt = 1; attempt <= 2; attempt += 1) {
    penstock_code code =
        penstock_writer_commit(writer, &placed, 1, &since, 1, NULL, &conflict, &error);
    if (code == PENSTOCK_CONFLICT)  // nothing was stored
      printf("%s has %s at %" PRIu64 "\n", conflict.journal, conflict.type, conflict.position);
    else
      check(code, "commit");
  }
  // end

  penstock_bytes types[2] = {penstock_text("Paid"), penstock_text("Placed")};
  penstock_condition conditions[2] = {
      {PENSTOCK_IF_NONE, order, types, 2, conflict.position},
      {PENSTOCK_IF_UNCHANGED, order, NULL, 0, conflict.position},
  };
  penstock_new_event paid[2] = {placed, placed};
  penstock_receipt receipt;
  paid[0].type = paid[1].type = types[0];
  check(penstock_writer_commit(writer, paid, 2, conditions, 2, &receipt, &conflict, &error),
        "commit two");
  printf("%" PRIu64 " events from %" PRIu64 "\n", receipt.count, receipt.first);

  if (penstock_writer_commit(writer, paid, 2, &conditions[1], 1, &receipt, &conflict, &error) !=
      PENSTOCK_CONFLICT)
    exit(2);
  printf("%s has %s at %" PRIu64 "\n", conflict.journal,
         conflict.has_type ? conflict.type : "any event", conflict.position);
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  penstock_store *store;
  penstock_writer *writer;
  for (int round = 0; round < 2; round += 1) {
    check(penstock_store_open(penstock_text(arguments[1]), &store, &error), "open");
    check(penstock_writer_open(store, PENSTOCK_ANY_LOG, 0, &writer, &error), "open writer");
    if (round == 0) {
      write_events(writer);
      commit_events(writer);
    } else {
      penstock_read_options newest = {.limit = 1, .is_reverse = true};
      penstock_read_options logins = {.stream = penstock_text("app/*")};
      print(store, NULL);
      print(store, &newest);
      print(store, &logins);
    }
    check(penstock_writer_close(writer, &error), "close writer");
    check(penstock_store_close(store, &error), "close");
  }
  return 0;
}
