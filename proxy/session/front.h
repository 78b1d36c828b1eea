/* One application's connection at the front, from its first byte to the reply: negotiation only.
 *
 * The five calls, as in every core. The bytes after the request belong to the tunnel: front_input
 * does not take them. After every call send what front_output gives and look at front_event.
 *
 *     NEGOTIATING --CONNECT--> CONNECTING --front_connected--> OPEN      (bytes are not ours)
 *          |                       |  '----front_failed------> CLOSING   (reply, FIN, then DROP)
 *          '--bad request, late----'-------------------------> CLOSING
 *
 * A client that goes on sending after a failure is listened to for a moment (CLOSING), because a
 * socket closed over unread bytes is reset, and the reset overtakes the reply.
 */
#ifndef SESSION_FRONT_H
#define SESSION_FRONT_H

#include "proto/sniff.h"
#include "proto/socks5.h"

#include <adit/cause.h>
#include <base/addr.h>
#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long each part may take; ns. */
struct front_times {
    uint64_t negotiate; /* first byte to request */
    uint64_t connect;   /* request to answer of the target */
    uint64_t linger;    /* after a failure was told */
};

extern const struct front_times front_times_default; /* 15 s, 30 s, 5 s */

enum front_state {
    FRONT_NEGOTIATING,
    FRONT_CONNECTING,
    FRONT_OPEN,
    FRONT_CLOSING,
};

enum front_event_type {
    FRONT_EVENT_NONE,
    FRONT_EVENT_CONNECT, /* dial front_target, then front_connected or front_failed */
    FRONT_EVENT_EXPIRED, /* no answer in time: give up what dials, then front_failed */
    FRONT_EVENT_CLOSE,   /* send the output, then FIN; read on and throw away */
    FRONT_EVENT_DROP,    /* close now */
};

/* What was wrong with the client, for the counters. */
enum front_fault {
    FRONT_FAULT_NONE,
    FRONT_FAULT_PROTOCOL, /* not SOCKS5 at all */
    FRONT_FAULT_REQUEST,  /* SOCKS5, but malformed or unsupported */
    FRONT_FAULT_SLOW,     /* past the deadline */
};

struct front {
    enum front_state state;
    enum front_fault fault;
    bool sniffed;
    uint8_t events; /* bit set of enum front_event_type */
    uint64_t deadline;
    struct front_times times;
    const char *why; /* static; NULL if nothing was wrong */
    struct socks5 socks;
};

void front_init(struct front *f, const struct front_times *times, uint64_t now);

/* Bytes taken, at most `len`. In CLOSING all are taken and thrown away. */
size_t front_input(struct front *f, const void *data, size_t len, uint64_t now);
size_t front_output(struct front *f, void *out, size_t cap);
void front_tick(struct front *f, uint64_t now);
uint64_t front_next_ns(const struct front *f);
/* The next event; FRONT_EVENT_NONE when there is none. */
enum front_event_type front_event(struct front *f);

/* Answers the request; `bound` is the address that dialled, NULL if unknown. Both do nothing
 * unless the state is CONNECTING. */
void front_connected(struct front *f, const struct addr *bound);
void front_failed(struct front *f, enum cause cause, uint64_t now);

enum front_state front_state(const struct front *f);
const struct target *front_target(const struct front *f);

/* The reply code for a cause; one table. */
enum socks5_rep front_rep(enum cause cause);

#endif
