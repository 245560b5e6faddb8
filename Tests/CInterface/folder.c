// A program that goes to another folder while it has a store open. The argument is a folder with a
// folder "elsewhere" in it. Ends with 0 when all went into the store that was meant.

#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static penstock_error error;

#define EXPECT(condition)                                                                  \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      printf("line %d: %s; the last error: %s\n", __LINE__, #condition, error.text);       \
      exit(1);                                                                             \
    }                                                                                      \
  } while (0)

static void put(penstock_store *store, const char *text, uint32_t log) {
  penstock_writer *writer = NULL;
  penstock_receipt receipt;
  penstock_new_event event = {.stream = penstock_text("s"), .payload = penstock_text(text)};
  EXPECT(penstock_writer_open(store, PENSTOCK_ANY_LOG, 0, &writer, &error) == PENSTOCK_OK);
  EXPECT(penstock_writer_put(writer, &event, 1, PENSTOCK_SYNCED, &receipt, &error) ==
         PENSTOCK_OK);
  EXPECT(receipt.log == log);
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  penstock_store *first = NULL, *second = NULL, *linked = NULL;
  EXPECT(chdir(arguments[1]) == 0);
  EXPECT(penstock_store_open(penstock_text("store"), &first, &error) == PENSTOCK_OK);
  EXPECT(symlink("store", "link") == 0);
  EXPECT(penstock_store_open(penstock_text("link/"), &linked, &error) == PENSTOCK_OK);
  EXPECT(chdir("elsewhere") == 0);
  // The same words, and another store: its log 0 is held by nobody.
  EXPECT(penstock_store_open(penstock_text("store"), &second, &error) == PENSTOCK_OK);
  put(first, "first", 0);
  put(second, "second", 0);
  // Other words, and the first store: its log 0 is held here.
  put(linked, "linked", 1);
  return 0;
}
