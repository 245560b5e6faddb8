"""Writes and reads a store through libpenstock.so; its arguments are the library and the folder."""

import ctypes
import sys
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint
from ctypes import c_uint32, c_uint64, c_void_p

OK, END, CONFLICT, NO_EVENT = 0, 1, 9, 14
SYNCED, WRITTEN = 0, 1
SINCE, IF_NONE, IF_UNCHANGED = 1, 2, 3
ANY_LOG = -1


class Error(ctypes.Structure):
    _fields_ = [("first", c_uint64), ("log", c_int32), ("text", c_char * 512)]


class Bytes(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("count", c_size_t)]

    @classmethod
    def of(cls, data):
        data = data.encode() if isinstance(data, str) else data
        # ctypes keeps the bytes as long as this, or what it is put into.
        return cls(ctypes.cast(c_char_p(data), c_void_p), len(data))

    def get(self):
        return ctypes.string_at(self.data, self.count) if self.count else b""


class Attribute(ctypes.Structure):
    _fields_ = [("key", Bytes), ("value", Bytes)]


class NewEvent(ctypes.Structure):
    _fields_ = [("stream", Bytes), ("type", Bytes), ("attributes", POINTER(Attribute)),
                ("attribute_count", c_size_t), ("payload", Bytes), ("id", c_uint32),
                ("has_id", c_bool)]


class Receipt(ctypes.Structure):
    _fields_ = [("first", c_uint64), ("count", c_uint64), ("log", c_uint32)]


class Head(ctypes.Structure):
    _fields_ = [("last", c_uint64), ("at", c_uint64), ("is_known", c_bool)]


class Condition(ctypes.Structure):
    _fields_ = [("kind", c_uint), ("journal", Bytes), ("types", POINTER(Bytes)),
                ("type_count", c_size_t), ("position", c_uint64)]


class Conflict(ctypes.Structure):
    _fields_ = [("position", c_uint64), ("journal_count", c_size_t), ("type_count", c_size_t),
                ("has_type", c_bool), ("journal", c_char * 1025), ("type", c_char * 1025)]


class ReadOptions(ctypes.Structure):
    _fields_ = [("stream", Bytes), ("since", c_int64), ("until", c_int64), ("limit", c_uint64),
                ("is_reverse", c_bool)]


class Event(ctypes.Structure):
    _fields_ = [("sequence", c_uint64), ("time", c_int64), ("stream", Bytes), ("type", Bytes),
                ("attributes", POINTER(Attribute)), ("attribute_count", c_size_t),
                ("payload", Bytes), ("log", c_uint32), ("id", c_uint32), ("has_id", c_bool)]


class StoreOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("journal_log_count", c_uint32), ("io", c_uint),
                ("segment_byte_count", c_uint64), ("live_byte_count_max", c_uint64)]


library = ctypes.CDLL(sys.argv[1])
ARGUMENTS = {
    "store_open": [Bytes, POINTER(c_void_p)],
    "store_open_with": [Bytes, POINTER(StoreOptions), POINTER(c_void_p)],
    "store_archive": [c_void_p, c_int64, POINTER(c_bool)],
    "store_close": [c_void_p],
    "writer_open": [c_void_p, c_int32, c_int64, POINTER(c_void_p)],
    "writer_close": [c_void_p],
    "writer_put": [c_void_p, POINTER(NewEvent), c_size_t, c_uint, POINTER(Receipt)],
    "writer_flush": [c_void_p],
    "writer_head": [c_void_p, Bytes, POINTER(Head)],
    "writer_commit": [c_void_p, POINTER(NewEvent), c_size_t, POINTER(Condition), c_size_t,
                      POINTER(Receipt), POINTER(Conflict)],
    "cursor_open": [c_void_p, POINTER(ReadOptions), POINTER(c_void_p)],
    "cursor_next": [c_void_p, POINTER(Event)],
    "cursor_damage": [c_void_p, POINTER(c_size_t)],
    "cursor_close": [c_void_p],
    "follower_open": [c_void_p, Bytes, POINTER(c_void_p)],
    "follower_next": [c_void_p, c_int64, POINTER(Event)],
    "follower_close": [c_void_p],
}


def call(name, *arguments, allowed=(OK,)):
    function = getattr(library, "penstock_" + name)
    function.argtypes = ARGUMENTS[name] + [POINTER(Error)]
    function.restype = c_uint
    error = Error()
    code = function(*arguments, byref(error))
    if code not in allowed:
        raise RuntimeError(f"{name}: code {code}: {error.text.decode()}")
    return code


def new_event(stream, type="", payload=b"", **attributes):
    pairs = (Attribute * len(attributes))(
        *(Attribute(Bytes.of(key), Bytes.of(value)) for key, value in attributes.items()))
    return NewEvent(Bytes.of(stream), Bytes.of(type), pairs, len(attributes), Bytes.of(payload))


def read(store, **options):
    if "stream" in options:
        options["stream"] = Bytes.of(options["stream"])
    cursor, event = c_void_p(), Event()
    call("cursor_open", store, byref(ReadOptions(**options)), byref(cursor))
    while call("cursor_next", cursor, byref(event), allowed=(OK, END)) == OK:
        pairs = [event.attributes[index] for index in range(event.attribute_count)]
        attributes = {pair.key.get().decode(): pair.value.get().decode() for pair in pairs}
        yield (event.sequence, event.stream.get().decode(), event.type.get().decode(),
               attributes, event.payload.get())
    damage = c_size_t()
    call("cursor_damage", cursor, byref(damage))
    assert damage.value == 0
    call("cursor_close", cursor)


def follow_and_archive(store, writer):
    follower, event, is_complete = c_void_p(), Event(), c_bool()
    call("follower_open", store, Bytes.of("seen/*"), byref(follower))
    assert call("follower_next", follower, 20, byref(event), allowed=(NO_EVENT,)) == NO_EVENT
    seen = new_event("seen/a", payload=b"3")
    seen.id, seen.has_id = 42, True
    call("writer_put", writer, byref(seen), 1, SYNCED, byref(Receipt()))
    call("follower_next", follower, -1, byref(event))
    print("followed", event.stream.get().decode(), event.payload.get(), event.has_id, event.id)
    call("follower_close", follower)
    call("store_archive", store, -1, byref(is_complete))
    print("archived", is_complete.value)


def main():
    store, writer = c_void_p(), c_void_p()
    call("store_open", Bytes.of(sys.argv[2]), byref(store))
    call("writer_open", store, ANY_LOG, 0, byref(writer))

    receipt = Receipt()
    login = new_event("app/web", "Login", bytes(range(256)), user="ä b", empty="")
    call("writer_put", writer, byref(login), 1, SYNCED, byref(receipt))
    print("put", receipt.log, receipt.first, receipt.count)
    two = (NewEvent * 2)(new_event("app/a", payload=b"1"), new_event("app/b", payload=b"2"))
    call("writer_put", writer, two, 2, SYNCED, byref(receipt))
    print("put", receipt.log, receipt.first, receipt.count)
    call("writer_put", writer, two, 2, WRITTEN, byref(receipt))
    print("put", receipt.log, receipt.first, receipt.count)
    call("writer_flush", writer)

    head = Head()
    call("writer_head", writer, Bytes.of("/orders/42"), byref(head))
    print("head", head.last, head.is_known)
    placed = new_event("/orders/42", "Placed", b"A1")
    conflict = Conflict()
    for kind in (SINCE, SINCE, IF_NONE, IF_UNCHANGED):
        types = (Bytes * 2)(Bytes.of("Paid"), Bytes.of("Placed"))
        condition = Condition(kind, Bytes.of("/orders/42"), types, 2, head.at)
        code = call("writer_commit", writer, byref(placed), 1, byref(condition), 1, byref(receipt),
                    byref(conflict), allowed=(OK, CONFLICT))
        if code == OK:
            print("commit", receipt.first, receipt.count)
        else:
            print("conflict", conflict.journal.decode(), conflict.type.decode(),
                  conflict.has_type, conflict.position)

    follow_and_archive(store, writer)
    call("writer_close", writer)
    call("store_close", store)
    options = StoreOptions(ctypes.sizeof(StoreOptions), 0, 2, 4 << 20, 64 << 20)
    call("store_open_with", Bytes.of(sys.argv[2]), byref(options), byref(store))
    for event in read(store):
        print(*event)
    print("newest", *next(iter(list(read(store, limit=1, is_reverse=True)))))
    print("app/[ab]", [event[0] for event in read(store, stream="app/[ab]")])
    call("store_close", store)


main()
