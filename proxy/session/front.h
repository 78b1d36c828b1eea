/* One application's connection at the front, from its first byte to the reply: negotiation only.
 * Its first byte decides which protocol it is: SOCKS5, SOCKS4/4a or HTTP.
 *
 * The five calls, as in every core. The bytes after the request belong to the tunnel: front_input
 * does not take them. After every call send what front_output gives and look at front_event.
 *
 *     NEGOTIATING --CONNECT--> CONNECTING --front_connected--> OPEN      (bytes are not ours)
 *       |  ^                    |     |  '---front_connected--> RELAYING  (plain HTTP: messages)
 *       |  |                    |     '---------front_failed--> CLOSING   (reply, FIN, then DROP)
 *       |  '--------------------+------front_answered(keep)-------'|
 *       '---bad request, late, wrong password-----------------> CLOSING
 *
 * RELAYING is where a plain HTTP request is being answered (session/exchange.h); the connection may
 * then bring another one. A client that goes on sending after a failure is listened to for a moment
 * (CLOSING), because a socket closed over unread bytes is reset, and the reset overtakes the reply.
 */
#ifndef SESSION_FRONT_H
#define SESSION_FRONT_H

#include "proto/httpmsg.h"
#include "proto/httpreq.h"
#include "proto/sniff.h"
#include "proto/socks4.h"
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
    uint64_t idle;      /* HTTP: from an answer to the next request */
    uint64_t bind;      /* BIND: from the first reply to the connection */
};

extern const struct front_times front_times_default; /* 15 s, 30 s, 5 s, 60 s, 130 s */

struct front_options {
    bool password_needed;
    bool name_wanted; /* a user name is of interest all the same: FRONT_EVENT_LOGIN if there is one
                       */
    /* Copied; not NULL: there is no negotiation, the application wants to go there. */
    const struct target *fixed;
};

enum front_state {
    FRONT_NEGOTIATING,
    FRONT_CONNECTING,
    FRONT_RELAYING,
    FRONT_OPEN,
    FRONT_CLOSING,
};

enum front_event_type {
    FRONT_EVENT_NONE,
    FRONT_EVENT_LOGIN,   /* a user name came: look at front_login, front_authorize, input again */
    FRONT_EVENT_PAC,     /* the PAC file is asked for: front_show */
    FRONT_EVENT_CONNECT, /* dial front_target, then front_connected or front_failed */
    FRONT_EVENT_EXPIRED, /* no answer in time: give up what dials, then front_failed */
    FRONT_EVENT_CLOSE,   /* send the output, then FIN; read on and throw away */
    FRONT_EVENT_DROP,    /* close now */
};

/* What was wrong with the client, for the counters. */
enum front_fault {
    FRONT_FAULT_NONE,
    FRONT_FAULT_PROTOCOL, /* none of ours */
    FRONT_FAULT_REQUEST,  /* malformed or unsupported */
    FRONT_FAULT_SLOW,     /* past the deadline */
    FRONT_FAULT_LOGIN,    /* no password, or a wrong one */
};

enum front_kind { FRONT_UNKNOWN, FRONT_SOCKS5, FRONT_SOCKS4, FRONT_HTTP, FRONT_FIXED };

struct front {
    enum front_state state;
    enum front_fault fault;
    enum front_kind kind;
    bool password_needed, name_wanted;
    bool resting;   /* a request was answered; the next may come or not */
    uint8_t events; /* bit set of enum front_event_type */
    uint64_t deadline;
    struct front_times times;
    const char *why; /* static; NULL if nothing was wrong */
    union {
        struct socks5 socks5;
        struct socks4 socks4;
        struct target fixed;
    } as;
    /* HTTP only: the request, and an answer of ours on its way out. */
    struct httpmsg *http;
    struct httpreq request;
    char *page;      /* owned, may be NULL */
    const char *out; /* what is left of it, or of a constant text */
    size_t out_len;
};

/* `options` NULL: none. */
void front_init(struct front *f, const struct front_times *times,
                const struct front_options *options, uint64_t now);
void front_deinit(struct front *f);

/* Bytes taken, at most `len`. In CLOSING all are taken and thrown away. */
size_t front_input(struct front *f, const void *data, size_t len, uint64_t now);
size_t front_output(struct front *f, void *out, size_t cap);
void front_tick(struct front *f, uint64_t now);
uint64_t front_next_ns(const struct front *f);
/* The next event; FRONT_EVENT_NONE when there is none. */
enum front_event_type front_event(struct front *f);

/* Who the client says it is; only after FRONT_EVENT_LOGIN. Wipe it. */
void front_login(const struct front *f, struct httpreq_login *out);
void front_authorize(struct front *f, bool right, uint64_t now);
/* Answers FRONT_EVENT_PAC. */
void front_show(struct front *f, unsigned status, const char *type, const char *text, uint64_t now);

/* Answers the request; `bound` is the address that dialled, NULL if unknown. Both do nothing
 * unless the state is CONNECTING; front_failed works in RELAYING, too, as long as nothing of the
 * target's answer was passed on. */
void front_connected(struct front *f, const struct addr *bound);
void front_failed(struct front *f, enum cause cause, uint64_t now);

/* RELAYING: the answer is out. `keep`: the next request may come; else CLOSING. */
void front_answered(struct front *f, bool keep, uint64_t now);
/* RELAYING: the connection that was used again had ended already; FRONT_EVENT_CONNECT follows. */
void front_again(struct front *f, uint64_t now);

/* BIND: somebody can connect at `at` now; front_connected, with the address of who did, or
 * front_failed follow. Nothing unless the state is CONNECTING. False: the client's protocol cannot
 * say that address (SOCKS4 knows IPv4 only), front_failed is next. */
bool front_bound(struct front *f, const struct addr *at, uint64_t now);

enum front_state front_state(const struct front *f);
/* What is to be done with front_target; for HTTP and fixed targets it is CONNECT. */
enum socks5_command front_command(const struct front *f);
const struct target *front_target(const struct front *f);

/* RELAYING and CONNECTING to there: the request. */
struct httpmsg *front_http(const struct front *f);
const struct httpreq *front_request(const struct front *f);

/* The SOCKS5 reply code for a cause; one table. */
enum socks5_rep front_rep(enum cause cause);

#endif
