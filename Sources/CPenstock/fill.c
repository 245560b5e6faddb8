#include "fill.h"

#include <string.h>

// Copies as much as fits with a NUL behind it, never a part of a UTF-8 character.
static void fill(char *into, size_t size, const char *text, size_t count) {
  size_t length = count;
  if (length >= size) {
    length = size - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length -= 1;
  }
  if (length > 0) memcpy(into, text, length);
  into[length] = 0;
}

void penstock_fill_error(
    penstock_error *error, uint64_t from, int32_t log, const char *text, size_t count) {
  error->from = from;
  error->log = log;
  fill(error->text, sizeof error->text, text, count);
}

void penstock_fill_conflict(
    penstock_conflict *conflict, uint64_t position, bool has_type, const char *journal,
    size_t journal_count, const char *type, size_t type_count) {
  conflict->position = position;
  conflict->has_type = has_type;
  conflict->journal_count = journal_count;
  conflict->type_count = type_count;
  fill(conflict->journal, sizeof conflict->journal, journal, journal_count);
  fill(conflict->type, sizeof conflict->type, type, type_count);
}
