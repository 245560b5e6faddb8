// Sockets: opening, connecting and asking them things. Every function returns a descriptor or a
// value, or -errno; name resolution failures are -EADDRNOTAVAIL.
#pragma once
#include <features.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A bound TCP listener or UDP socket with SO_REUSEPORT, close-on-exec. A TCP listener hands
// TCP_NODELAY to what it accepts. A UDP socket gets UDP_GRO and the largest receive buffer up to
// `receive_bytes` that the kernel grants. Retries an address in use for `retry_ms`: the sockets of
// a killed process stay bound until its ring is torn down.
int penstock_listen_tcp(const char *host, uint16_t port, int backlog, int retry_ms);
int penstock_bind_udp(const char *host, uint16_t port, int receive_bytes, int retry_ms);
// 0 when nobody has the address, also nobody who would share it: SO_REUSEPORT alone lets two
// programs of one user split what arrives without either noticing.
int penstock_address_is_free(const char *host, uint16_t port, bool datagram, int retry_ms);
// A unix stream listener; a stale socket file nobody listens on is replaced.
int penstock_listen_unix(const char *path, int backlog);

int penstock_connect_tcp(const char *host, uint16_t port);
int penstock_connect_udp(const char *host, uint16_t port);
int penstock_connect_unix(const char *path);
// The same, non-blocking: -EAGAIN where the listener has too many connections waiting.
int penstock_connect_unix_at_once(const char *path);

// The same over TCP: the socket can be written to once it is connected, or is not to be.
int penstock_connect_tcp_at_once(const char *host, uint16_t port);
// What became of such a connection: 0 or -errno.
int penstock_connect_outcome(int descriptor);

// The port a socket is bound to.
int penstock_bound_port(int descriptor);
// 1 for a datagram socket, 0 for a stream socket.
int penstock_is_datagram(int descriptor);
// Buffers the kernel dropped on this socket since it was made (SO_MEMINFO); with UDP_GRO one
// buffer can hold many datagrams.
int64_t penstock_dropped_buffers(int descriptor);
// The receive buffer the kernel granted, in bytes of its own accounting.
int penstock_receive_buffer(int descriptor);
// Spreads the datagrams of one SO_REUSEPORT group over its sockets at random, so that a single
// sender does not keep a single core busy. Attach to one socket of the group.
int penstock_spread_datagrams(int descriptor, unsigned socket_count);
// Makes every datagram that goes out hold `segment` bytes of a larger send (UDP_SEGMENT).
int penstock_segment_sends(int descriptor, int segment);

int penstock_set_nonblocking(int descriptor, bool nonblocking);

// Two connected stream sockets.
int penstock_socket_pair(int *ends);

// Waits up to `timeout_ms` (negative: for ever) until the descriptor can be read, and with
// `wants_write` until it can be written: PENSTOCK_READABLE and PENSTOCK_WRITABLE, or 0.
enum { PENSTOCK_READABLE = 1, PENSTOCK_WRITABLE = 2 };
int penstock_await(int descriptor, bool wants_write, int timeout_ms);

// Waits as penstock_await does until any of up to PENSTOCK_AWAIT_MAX descriptors is ready; `ready`
// gets for each what it is ready for. 0 or -errno.
enum { PENSTOCK_AWAIT_MAX = 512 };
int penstock_await_any(const int *descriptors, const bool *wants_write, int *ready, int count,
                       int timeout_ms);
