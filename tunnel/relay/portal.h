/* Captive portals: does somebody else answer in our relays' place, until somebody logs in?
 *
 * When no relay is to be had, one of their hosts is asked over plain HTTP for /generate_204 with a
 * challenge, as DERP clients do: only a relay knows the answer. Who answers otherwise (a page, a
 * way to another host, 511 of RFC 6585 6) is a portal. Who refuses, or is what the host has for a
 * web server (404, a way to its own HTTPS), proves nothing.
 *
 *     idle --suspect--> ASK --request, input--> verdict --> idle, or asked again while one stands
 *
 * While a portal stands it is asked often, so that relays are tried as soon as somebody has logged
 * in: every 3 s at first, every 15 s after two minutes, every minute after ten.
 *
 * A core: the owner carries the bytes. After every call: take the events.
 */
#ifndef RELAY_PORTAL_H
#define RELAY_PORTAL_H

#include <base/clock.h>
#include <base/rng.h>

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTAL_APART_NS (30 * NS_PER_S) /* between questions while none is known of */
#define PORTAL_LEAST_NS (2 * NS_PER_S)  /* between any two */
#define PORTAL_ANSWER_NS (5 * NS_PER_S) /* for an answer, with all that it takes */
#define PORTAL_OFTEN_NS (3 * NS_PER_S)
#define PORTAL_OFTEN_FOR_NS (120 * NS_PER_S)
#define PORTAL_LESS_NS (15 * NS_PER_S)
#define PORTAL_LESS_FOR_NS (600 * NS_PER_S)
#define PORTAL_RARELY_NS (60 * NS_PER_S)

enum {
    PORTAL_HOST_MAX = 256,
    PORTAL_REQUEST_MAX = 512,
    PORTAL_ANSWER_MAX = 16 << 10, /* bytes of header */
    PORTAL_CHALLENGE = 24,
    PORTAL_VALUE_MAX = 256,
};

enum portal_event {
    PORTAL_EV_ASK,   /* connect to the host of p->relay, then _request; or _closed */
    PORTAL_EV_CLOSE, /* close that connection */
    PORTAL_EV_FOUND, /* a portal, where none was known of */
    PORTAL_EV_GONE,  /* no more */
    PORTAL_EV_ASKED, /* somebody was asked, and there was a portal before: try the relays */
};

struct portal {
    struct rng rng;
    bool stands;
    bool asking;
    size_t relay;         /* that is asked; the caller's number */
    unsigned status;      /* of HTTP, of the last answer */
    uint64_t asked_ns;    /* when the last question began; 0 = never */
    uint64_t since_ns;    /* when the portal was found */
    uint64_t again_ns;    /* the next question by itself; TIME_NEVER = none */
    uint64_t deadline_ns; /* of the present one */
    unsigned events;      /* bit set of those to be taken */
    uint64_t questions, found;

    char host[PORTAL_HOST_MAX];
    char challenge[PORTAL_CHALLENGE + 1];
    http_parser http;
    size_t http_bytes;
    bool in_value;
    size_t name_len, value_len;
    char name[32]; /* the header that comes in */
    char value[PORTAL_VALUE_MAX];
    bool right;   /* the challenge is answered */
    bool another; /* the way is shown to another host */
};

void portal_init(struct portal *p, struct rng rng);

/* No relay is to be had, and this is one that has just failed: asks, if it is time to. */
void portal_suspect(struct portal *p, size_t relay, uint64_t now);
/* A relay is up: nobody stands in between. */
void portal_clear(struct portal *p);
/* Another network: what was learned does not count. */
void portal_moved(struct portal *p, uint64_t now);

/* The request to be sent; `host` is that of the Host header, with its port if that is not 80. Its
 * length, or ERR_TOO_LARGE. */
int portal_request(struct portal *p, const char *host, char out[PORTAL_REQUEST_MAX]);
void portal_input(struct portal *p, const void *data, size_t len, uint64_t now);
/* The connection has ended, or there never was one. */
void portal_closed(struct portal *p, uint64_t now);

void portal_tick(struct portal *p, uint64_t now);
uint64_t portal_next_ns(const struct portal *p);
/* False when there is none. */
bool portal_event(struct portal *p, enum portal_event *ev);

#endif
