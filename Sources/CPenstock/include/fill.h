// Texts into the fixed buffers of penstock.h. Not part of the interface.

#ifndef PENSTOCK_FILL_H
#define PENSTOCK_FILL_H

#include "penstock.h"

/// Fills in what went wrong. A text that is too long is cut between two characters.
void penstock_fill_error(
    penstock_error *error, uint64_t from, int32_t log, const char *text, size_t count);

/// Fills in the event that broke a condition.
void penstock_fill_conflict(
    penstock_conflict *conflict, uint64_t position, bool has_type, const char *journal,
    size_t journal_count, const char *type, size_t type_count);

#endif
