// An embedded Penstock store for C99, and for every language that can call C: libpenstock.so.
//
//   penstock_store *store;
//   penstock_writer *writer;
//   penstock_error error;
//   if (penstock_store_open(penstock_text("events"), &store, &error) != PENSTOCK_OK ||
//       penstock_writer_open(store, PENSTOCK_ANY_LOG, 0, &writer, &error) != PENSTOCK_OK)
//     return complain(error.text);
//
// Every function returns a code, and on any but PENSTOCK_OK, PENSTOCK_END and PENSTOCK_NO_EVENT
// fills in `error` when it is not NULL. What a function gives is written only when it returns PENSTOCK_OK.
//
// Arguments. Texts and payloads have explicit counts and need no NUL; names are UTF-8. They are
// read during the call only. NULL, counts no store takes, and handles that were closed or are none
// give PENSTOCK_INVALID, nothing worse. Nothing is ever handed over that the caller has to free,
// but handles, which are to be closed.
//
// Threads. Stores and writers are used by any number of threads at once: what they put while one
// barrier is on its way goes under the next one together. A cursor or a follower is used by one
// thread at a time; a second one is given PENSTOCK_INVALID. Any thread may close it.
//
// Processes. Any number of processes write to a store at once, each to logs of its own. A forked
// child may not write: it is given PENSTOCK_FORKED, and keeps its parent's logs leased until it
// ends or executes another program. It calls nothing here when other threads used the library as it
// was forked: as always, what they held stays held.
//
// Opening a writer makes the process ignore SIGPIPE and SIGXFSZ.

#ifndef PENSTOCK_H
#define PENSTOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct penstock_store penstock_store;
typedef struct penstock_writer penstock_writer;
typedef struct penstock_cursor penstock_cursor;
typedef struct penstock_follower penstock_follower;

/// What became of a call. Numbers never change; new ones may come.
typedef enum penstock_code {
  PENSTOCK_OK = 0,
  /// The cursor has given its last event.
  PENSTOCK_END = 1,
  /// A file, a folder or the kernel refused.
  PENSTOCK_FAILED = 2,
  /// Another writer, here or in another process, holds the log, or every log there may be.
  PENSTOCK_LEASE_HELD = 3,
  /// The store or the writer was closed meanwhile.
  PENSTOCK_CLOSED = 4,
  /// This process was forked off the one that opened the writer, and must not write.
  PENSTOCK_FORKED = 5,
  /// The log cannot be written any more: what was not acknowledged may be stored or not. Close the
  /// writer and open another: its recovery decides.
  PENSTOCK_WRITER_LOST = 6,
  /// There can be no such argument, event or request.
  PENSTOCK_INVALID = 7,
  /// An event, or all that is stored together, is larger than a store takes.
  PENSTOCK_TOO_LARGE = 8,
  /// A condition does not hold. Nothing was stored.
  PENSTOCK_CONFLICT = 9,
  /// The conditions reach further back than the log remembers: read again, and commit with a
  /// position from `error.from` on.
  PENSTOCK_TOO_OLD = 10,
  /// The journal belongs to another log, `error.log`: commit through a writer of that one.
  PENSTOCK_OWNED_ELSEWHERE = 11,
  /// Refused for a reason that is not one of the above; the text begins with the reason's name.
  PENSTOCK_REFUSED = 12,
  /// Another process archives the store.
  PENSTOCK_ARCHIVE_HELD = 13,
  /// No event became durable in the time a follower was given.
  PENSTOCK_NO_EVENT = 14
} penstock_code;

/// Bytes of an error's text, its NUL included; a longer one is cut.
#define PENSTOCK_ERROR_SIZE 512
/// Bytes of a journal's or a type's name in a conflict, its NUL included: the longest fits.
#define PENSTOCK_NAME_SIZE 1025
/// Any log that is free.
#define PENSTOCK_ANY_LOG (-1)

/// Why something was not done.
typedef struct penstock_error {
  /// With PENSTOCK_TOO_OLD, the first position that is remembered; else 0.
  uint64_t from;
  /// With PENSTOCK_OWNED_ELSEWHERE, the log the journal belongs to; else -1.
  int32_t log;
  /// What happened, to what, and what to do; UTF-8 with a NUL behind it.
  char text[PENSTOCK_ERROR_SIZE];
} penstock_error;

/// Bytes, or a text without a NUL. `data` may be NULL when there are none.
typedef struct penstock_bytes {
  const char *data;
  size_t count;
} penstock_bytes;

/// The bytes of a C string; none for NULL.
static inline penstock_bytes penstock_text(const char *text) {
  penstock_bytes bytes = {text, text == NULL ? 0 : strlen(text)};
  return bytes;
}

/// A key with its value.
typedef struct penstock_attribute {
  penstock_bytes key;
  penstock_bytes value;
} penstock_attribute;

// MARK: Stores

/// Opens the store in a folder, making it when there is none.
penstock_code penstock_store_open(
    penstock_bytes path, penstock_store **store, penstock_error *error);

/// How a store talks to the kernel.
typedef enum penstock_io {
  /// io_uring where it is allowed, else epoll.
  PENSTOCK_IO_AUTOMATIC = 0,
  PENSTOCK_IO_RING = 1,
  PENSTOCK_IO_POLL = 2
} penstock_io;

/// Live segments are archived on request only.
#define PENSTOCK_UNLIMITED UINT64_MAX

/// What a store is opened with. All zero but `size`: the usual. Later versions add fields behind
/// these; a field that is not there, or is zero, is the usual, so a program and a library of
/// different versions fit together. PENSTOCK_INVALID when a field is set that the library is too old
/// to know.
///
///   penstock_store_options options = {.size = sizeof options, .journal_log_count = 4};
typedef struct penstock_store_options {
  /// Bytes of this struct as the program was compiled with it.
  size_t size;
  /// Logs the store's journals are spread over, 1 to 256; fixed when the store is made. 0 for 1.
  uint32_t journal_log_count;
  penstock_io io;
  /// Size of the segments that are prepared, in bytes, 4 to 512 MiB; 0 to size them by the rate of
  /// writing.
  uint64_t segment_byte_count;
  /// Live segments are archived, by whichever process does so first, before they exceed so many
  /// bytes; 0 for 512 MiB, PENSTOCK_UNLIMITED for on request only.
  uint64_t live_byte_count_max;
} penstock_store_options;

/// Opens the store in a folder with options.
/// - options: NULL for the usual ones.
penstock_code penstock_store_open_with(
    penstock_bytes path, const penstock_store_options *options, penstock_store **store,
    penstock_error *error);

/// Archives everything this process's writers have stored so far, and what is settled of other logs:
/// sealed segments become compressed, indexed tables.
/// - wait_milliseconds: how long it may take; negative for as long as it takes.
/// - is_complete: whether all of it is in the archive; may be NULL.
penstock_code penstock_store_archive(
    penstock_store *store, int64_t wait_milliseconds, bool *is_complete, penstock_error *error);

/// Closes a store, and ends its archiving by itself. Its writers, cursors and followers stay open
/// until they are closed themselves.
penstock_code penstock_store_close(penstock_store *store, penstock_error *error);

// MARK: Writers

/// Leases a log and recovers it.
/// - log: 0 to 255, or PENSTOCK_ANY_LOG. Journals belong to log 0, unless the store was made with
///   more logs for them.
/// - wait_milliseconds: how long a log that was asked for by number is waited for while another
///   writer holds it; negative for as long as it takes.
penstock_code penstock_writer_open(
    penstock_store *store, int32_t log, int64_t wait_milliseconds, penstock_writer **writer,
    penstock_error *error);

/// Makes everything put so far durable and gives the log back. The handle is closed in any case;
/// an error says why something that was not waited for was not stored.
penstock_code penstock_writer_close(penstock_writer *writer, penstock_error *error);

/// An event to be stored.
typedef struct penstock_new_event {
  /// 1 to 1024 bytes; a name that begins with "/" is a journal's.
  penstock_bytes stream;
  /// Empty for none; of a journal's event at most 1024 bytes.
  penstock_bytes type;
  /// Keys, none of which begins with "_", and values, in order.
  const penstock_attribute *attributes;
  size_t attribute_count;
  /// Any bytes. All that is stored together has at most 1 MiB.
  penstock_bytes payload;
  /// A number of the caller's, which readers get; looked at when `has_id`.
  uint32_t id;
  bool has_id;
} penstock_new_event;

/// Whether to wait until events are on stable storage.
typedef enum penstock_durability {
  /// They are when the call returns.
  PENSTOCK_SYNCED = 0,
  /// Not waited for: stored in order and as soon as possible. A crash of the process loses what
  /// penstock_writer_flush was not called for.
  PENSTOCK_WRITTEN = 1
} penstock_durability;

/// Where events are stored.
typedef struct penstock_receipt {
  /// The log they are in, and the number of the first one there; 0 when it was not waited for.
  uint64_t first;
  /// Events, numbered from `first` on without a gap.
  uint64_t count;
  uint32_t log;
} penstock_receipt;

/// Stores events: with PENSTOCK_SYNCED together or not at all, all of journals or none; with
/// PENSTOCK_WRITTEN one after the other, so that those before one that is refused are taken.
/// Events of journals are always waited for.
/// - receipt: may be NULL.
penstock_code penstock_writer_put(
    penstock_writer *writer, const penstock_new_event *events, size_t count,
    penstock_durability durability, penstock_receipt *receipt, penstock_error *error);

/// Waits until everything put so far is on stable storage. An error says why the first event that
/// was not waited for was not stored.
penstock_code penstock_writer_flush(penstock_writer *writer, penstock_error *error);

/// What a log knows of a journal.
typedef struct penstock_head {
  /// The number of the journal's last event: 0 when there is none.
  uint64_t last;
  /// The position up to which this is so: what a commit is conditional on.
  uint64_t at;
  /// Whether `last` is known; not when it lies further back than the log remembers.
  bool is_known;
} penstock_head;

/// The last event of a journal.
penstock_code penstock_writer_head(
    penstock_writer *writer, penstock_bytes journal, penstock_head *head, penstock_error *error);

/// What has to hold, or nothing of a commit is stored.
typedef enum penstock_condition_kind {
  /// None of the commit's own types was written in its journals behind `position`. One at most;
  /// `journal` and `types` are not looked at.
  PENSTOCK_SINCE = 1,
  /// `journal` has no event of one of `types` behind `position`.
  PENSTOCK_IF_NONE = 2,
  /// `journal` has no event at all behind `position`; `types` are not looked at.
  PENSTOCK_IF_UNCHANGED = 3
} penstock_condition_kind;

/// A condition of a commit.
typedef struct penstock_condition {
  penstock_condition_kind kind;
  penstock_bytes journal;
  const penstock_bytes *types;
  size_t type_count;
  uint64_t position;
} penstock_condition;

/// The event that broke a condition.
typedef struct penstock_conflict {
  uint64_t position;
  /// Bytes of the names.
  size_t journal_count;
  size_t type_count;
  /// Whether it was of a type that is excluded; false when any event at all broke the condition.
  bool has_type;
  /// UTF-8 with a NUL behind it.
  char journal[PENSTOCK_NAME_SIZE];
  char type[PENSTOCK_NAME_SIZE];
} penstock_conflict;

/// Stores events of journals of the writer's log together, under conditions, or nothing.
/// - receipt, conflict: may be NULL. `conflict` is filled in with PENSTOCK_CONFLICT.
penstock_code penstock_writer_commit(
    penstock_writer *writer, const penstock_new_event *events, size_t count,
    const penstock_condition *conditions, size_t condition_count, penstock_receipt *receipt,
    penstock_conflict *conflict, penstock_error *error);

// MARK: Reading

/// Which events are read, and how. All zero: everything, oldest first.
typedef struct penstock_read_options {
  /// A pattern with "*", "?" and "[a-z]" for the names of streams; empty for all.
  penstock_bytes stream;
  /// Not before this time, in nanoseconds since 1970; 0 for no bound.
  int64_t since;
  /// Before this time; 0 for no bound.
  int64_t until;
  /// So many events at most; 0 for all.
  uint64_t limit;
  /// The newest first.
  bool is_reverse;
} penstock_read_options;

/// Begins to read a store as it stands: what is durable, in all logs, ordered by time, then by log
/// and sequence. No lease is needed.
/// - options: NULL for everything.
penstock_code penstock_cursor_open(
    penstock_store *store, const penstock_read_options *options, penstock_cursor **cursor,
    penstock_error *error);

/// An event that was read.
typedef struct penstock_event {
  /// The log it stands in, and its number there: its position.
  uint64_t sequence;
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  int64_t time;
  penstock_bytes stream;
  /// Empty for none.
  penstock_bytes type;
  /// In order; keys that begin with "_" are the store's own.
  const penstock_attribute *attributes;
  size_t attribute_count;
  penstock_bytes payload;
  uint32_t log;
  /// The number its sender gave it, when `has_id`; the attribute `_id` is the same as a text.
  uint32_t id;
  bool has_id;
} penstock_event;

/// The next event. Its bytes are valid until the next call with this cursor. PENSTOCK_END when
/// there is none.
penstock_code penstock_cursor_next(
    penstock_cursor *cursor, penstock_event *event, penstock_error *error);

/// How many places were damaged and left out so far.
penstock_code penstock_cursor_damage(
    penstock_cursor *cursor, size_t *count, penstock_error *error);

/// Closes a cursor.
penstock_code penstock_cursor_close(penstock_cursor *cursor, penstock_error *error);

// MARK: Following

/// Begins to follow what becomes durable from now on, in all logs, whichever process writes it.
/// - stream: a pattern for the names of streams; empty for all.
penstock_code penstock_follower_open(
    penstock_store *store, penstock_bytes stream, penstock_follower **follower,
    penstock_error *error);

/// The next event, once it is durable. Its bytes are valid until the next call with this follower.
/// Each event is given once while the store is only written to; when a log is recovered meanwhile
/// one may come twice, and none is left out.
/// - wait_milliseconds: how long it is waited for: 0 to look only, negative for as long as it takes.
///   PENSTOCK_NO_EVENT when none came, PENSTOCK_CLOSED when another thread closed the follower.
penstock_code penstock_follower_next(
    penstock_follower *follower, int64_t wait_milliseconds, penstock_event *event,
    penstock_error *error);

/// Closes a follower, also while another thread waits for its next event.
penstock_code penstock_follower_close(penstock_follower *follower, penstock_error *error);

#ifdef __cplusplus
}
#endif

#endif
