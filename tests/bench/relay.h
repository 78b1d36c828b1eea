/* What measures a relay, ours or another's: DERP clients on plain sockets, as many as asked for. */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
    int fd;
    uint8_t key[32];
    uint8_t *in; /* what was read and is no whole frame yet */
    size_t in_len;
    uint8_t *out; /* what the socket did not take yet */
    size_t out_at, out_len;
};

enum { PEER_IN_BYTES = 256 << 10, PEER_OUT_BYTES = 256 << 10 };

/* A peer that has just read what there was. */
struct heard {
    uint64_t packets;
    uint64_t bytes;
};

uint64_t bench_now(void);
/* "relay: WHAT: why", and the end. */
void bench_die(const char *what) __attribute__((noreturn));

/* Connects to 127.0.0.1:port and logs in with a key of its own; on return the relay knows it. The
 * buffers are made when they are needed first. */
void peer_open(struct peer *p, uint16_t port);
void peer_close(struct peer *p);
void peer_unblock(struct peer *p);
/* As many packets of len bytes to `to` as there is room for, `count` at most; returns how many.
 * What the socket does not take waits for peer_flush. */
size_t peer_send(struct peer *p, const uint8_t to[32], size_t len, size_t count);
/* True when nothing waits. */
bool peer_flush(struct peer *p);
struct heard peer_read(struct peer *p);

#endif
