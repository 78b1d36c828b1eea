/* Asks one gateway to map a port of its outside to our shared socket: PCP (RFC 6887), and NAT-PMP
 * (RFC 6886) where the gateway does not speak it.
 *
 *     off --start--> pcp --version error or silence--> natpmp --silence or refusal--> resting
 *         pcp, natpmp --answer--> mapped --half of the lifetime--> mapped (renewed)
 *         mapped --lifetime over--> pcp, --refused--> resting
 *         resting --10 min, or what the refusal said--> pcp
 *         any --stop--> releasing --answered or 3 tries--> off
 *
 * One nonce for each start: renewal, repair and removal must prove to be from whom it was made. A
 * gateway that restarted has forgotten us; its epoch gives it away (RFC 6887 8.5, RFC 6886 3.6) and
 * the mapping is asked for again, with the same outside port. The epoch is looked at every 10 min,
 * on every announcement, and when the shell asks with portmap_check (a path or the STUN address
 * changed).
 *
 * Datagrams leave from the shared socket: its port is the one that gets mapped, and NAT-PMP takes
 * the packet's source for the client. Input is whatever comes from the gateway's port 5351; to hear
 * announcements, the shell may also hand in what it gets on 224.0.0.1:5350. One machine serves one
 * gateway and family; IPv6 gateways open their firewall in the same way (outside = inside address).
 *
 *     if (portmap_input(m, from, data, len, now)) ...          true = the gateway said it
 *     while ((len = portmap_output(m, &to, buf, sizeof(buf), now)) > 0) send(to, buf, len);
 *     while (portmap_event(m, &ev)) ...
 *
 * At exit: portmap_stop, send what portmap_output has, and wait a moment for portmap_is_off.
 */
#ifndef PATH_PORTMAP_H
#define PATH_PORTMAP_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/log.h>
#include <base/rng.h>

#include <stdbool.h>

#include "wire/pcp.h"

#define PORTMAP_LIFETIME_S 7200
#define PORTMAP_LIFETIME_MIN_S 20 /* what a gateway grants is taken for at least so much */
#define PORTMAP_LIFETIME_MAX_S 86400
#define PORTMAP_REST_NS (600 * NS_PER_S)
#define PORTMAP_REST_MIN_NS (30 * NS_PER_S)
#define PORTMAP_REST_MAX_NS (1800 * NS_PER_S)
#define PORTMAP_CHECK_NS (600 * NS_PER_S)

enum portmap_state {
    PORTMAP_OFF,
    PORTMAP_PCP,       /* asked with PCP */
    PORTMAP_NATPMP,    /* asked with NAT-PMP */
    PORTMAP_MAPPED,    /* by what `natpmp` says */
    PORTMAP_RESTING,   /* nobody there, or it will not */
    PORTMAP_RELEASING, /* taking the mapping down */
};

struct portmap_stats {
    uint64_t sent, answered;
    uint64_t malformed; /* from the gateway, and not readable */
    uint64_t strangers; /* not from the gateway, or about another mapping */
    uint64_t refused;   /* errors */
    uint64_t checks;    /* asked for with portmap_check */
    uint64_t restarts;  /* of the gateway, noticed by its epoch */
};

struct portmap {
    enum portmap_state state;
    bool natpmp;
    struct addr gateway; /* with PCP_PORT */
    struct addr client;  /* our address there, with the shared socket's port */
    uint8_t nonce[PCP_NONCE_LEN];
    struct addr external; /* assigned; kept as the suggestion for the next time */
    bool has_address;     /* NAT-PMP: this part of `external` is known ... */
    bool has_port;        /* ... and this */
    uint8_t tries;        /* rounds of sending in this state; mapped: of this renewal */
    bool turn;            /* NAT-PMP sends two datagrams a round: the second is due */
    bool repairing;       /* mapped: the gateway seems to have forgotten us */
    uint8_t check_tries;  /* mapped: looks at the epoch without an answer */
    uint64_t next_ns;     /* next round, or the end of this state's patience; mapped: renewal */
    uint64_t check_ns;    /* mapped: next look at the epoch */
    uint64_t granted_ns;  /* mapped: since when, and for how long */
    uint64_t lifetime_ns;
    bool epoch_known;
    uint32_t epoch_s; /* the last one, and when it came */
    uint64_t epoch_ns;
    bool told;             /* the shell has heard MAPPED ... */
    struct addr told_addr; /* ... with this address */
    bool silent;           /* see portmap_is_silent */
    struct rng rng;
    const struct log *log;
    struct portmap_stats stats;
};

enum portmap_event_type {
    PORTMAP_EV_MAPPED, /* external; again when it changes */
    PORTMAP_EV_LOST,
};

struct portmap_event {
    enum portmap_event_type type;
    struct addr external;
    /* The gateway's outside is no public address either: another NAT stands behind it, and only
     * who shares that one can use this address. */
    bool behind_another_nat;
};

/* log: may be NULL, outlives the machine. */
void portmap_init(struct portmap *m, struct rng rng, const struct log *log);
/* gateway: port ignored. client: our address on the link to it, with the port to be mapped. A new
 * start forgets what was before (another network: nothing there to be released). */
void portmap_start(struct portmap *m, const struct addr *gateway, const struct addr *client,
                   uint64_t now);
/* Removes the mapping; off at once if there is none. */
void portmap_stop(struct portmap *m, uint64_t now);
bool portmap_is_off(const struct portmap *m);
/* Neither protocol has brought a mapping: something else may be tried. Stays so until one does. */
bool portmap_is_silent(const struct portmap *m);
/* Something looks different: see whether the gateway still knows us; ends a rest. */
void portmap_check(struct portmap *m, uint64_t now);

/* The gateway has probably forgotten us: the mapping is asked for again at once, which also brings
 * it back where the epoch would not tell (a gateway that had only just started before). */
void portmap_renew(struct portmap *m, uint64_t now);

/* False: not from the gateway's port. */
bool portmap_input(struct portmap *m, const struct addr *from, const void *data, size_t len,
                   uint64_t now);
/* The next datagram, or 0. buf: at least PCP_REQUEST_MAX. */
size_t portmap_output(struct portmap *m, struct addr *to, uint8_t *buf, size_t cap, uint64_t now);
void portmap_tick(struct portmap *m, uint64_t now);
uint64_t portmap_next_ns(const struct portmap *m);
bool portmap_event(struct portmap *m, struct portmap_event *ev);

#endif
