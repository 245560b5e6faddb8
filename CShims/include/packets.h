// Unix sockets of packets, with which processes lend each other descriptors, and what a process that
// answers on lent sockets needs. Every function that can fail returns -errno.
#pragma once
#include <features.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A listener and a non-blocking connection whose packets keep their bounds (SOCK_SEQPACKET).
int penstock_listen_packets(const char *path, int backlog);
int penstock_connect_packets_at_once(const char *path);
// Sends one packet, and with it a descriptor unless that is negative, without waiting.
int64_t penstock_send_packet(int socket, const void *bytes, size_t count, int descriptor);
// Receives one packet without waiting: its size, 0 at the end. `descriptor` gets what came with it,
// or -1. What of a packet does not fit is lost.
int64_t penstock_receive_packet(int socket, void *bytes, size_t count, int *descriptor);

// Sends bytes of a file; as many as went.
int64_t penstock_send_file(int socket, int file, int64_t offset, size_t count);
// Makes sends that would wait give up after so long; 0 lets them wait for ever.
int penstock_limit_send_wait(int socket, int milliseconds);

enum { PENSTOCK_POLL_MAX = 1024 };
enum { PENSTOCK_POLL_READ = 1, PENSTOCK_POLL_WRITE = 2, PENSTOCK_POLL_ENDED = 4 };
// Waits until one of the descriptors is as wanted, or for `timeout_ns` (negative: for ever).
int penstock_poll(const int *descriptors, const uint8_t *wanted, uint8_t *ready, int count,
                  int64_t timeout_ns);
