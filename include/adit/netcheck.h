/* What kind of network is this? Measured once, without a node: how the NAT maps and filters
 * (RFC 4787), under which addresses the world sees this machine, whether the router maps ports,
 * how far the relays are, and what follows from all that for direct connections.
 *
 * It opens UDP sockets of its own, so a node may run beside it. Everything that was configured is
 * asked at once; what has not answered after 4.5 s counts as silent. A port that the router has
 * mapped is given back at once.
 */
#ifndef ADIT_NETCHECK_H
#define ADIT_NETCHECK_H

#include <adit/adit.h>

enum {
    ADIT_NETCHECK_PUBLICS_MAX = 4,
    ADIT_NETCHECK_RELAYS_MAX = 32, /* the rest is not asked */
    ADIT_NETCHECK_STUN_MAX = 16,
};

/* Borrowed until the check is done. */
struct adit_netcheck_config {
    struct addr listen; /* as the node's: address and family are what matters, not the port */
    bool portmap;       /* ask the router too */
    const struct adit_stun_config *stun;
    size_t stun_count;
    const struct adit_relay_config *relays;
    size_t relay_count;
    const struct log *log; /* may be NULL */
};

struct adit_netcheck_family {
    bool asked; /* a STUN server of this family was asked */
    bool udp;   /* and one answered */
    /* "none" (no NAT), "endpoint-independent", ..., "unknown"; static */
    const char *mapping, *filtering;
    bool port_preserved; /* the port outside is the socket's own */
    int step;            /* ports are given out in sequence, this far apart; 0: they are not */
    size_t public_count;
    struct addr publics[ADIT_NETCHECK_PUBLICS_MAX]; /* port 0, newest first */
};

struct adit_netcheck_relay {
    const struct adit_relay_config *config;
    bool answered;       /* 200 to GET /derp/probe */
    uint64_t connect_ns; /* of TCP; 0 = none made */
    uint64_t answer_ns;  /* from the request to the answer; 0 = none came */
    int error;           /* a negative error if there is no answer */
    char why[256];       /* what TLS or a proxy says of that error; "" = nothing */
    unsigned status;     /* of HTTP; if it is not 200, no relay answers there */
    bool portal;         /* but, it seems, a captive portal: a redirection, or a page for people */
};

struct adit_netcheck_report {
    bool answered;    /* by whoever it may be: else there is no network */
    const char *text; /* the verdict in one sentence; static */
    struct adit_netcheck_family ipv4, ipv6;
    bool captive_portal;              /* somebody answers in the place of a relay */
    size_t stun_asked, stun_answered; /* servers, by address */
    struct addr gateway;              /* the router that was asked; family ADDR_NONE: none */
    enum adit_portmap portmap;        /* what it speaks, the first of these that worked */
    bool upnp;                        /* it speaks UPnP IGD, perhaps besides the other */
    struct addr portmapped;           /* the outside address it gave */
    bool behind_another_nat;          /* which is no public one */
    const struct adit_netcheck_relay *relays;
    size_t relay_count;
};

struct adit_netcheck;

/* `done` is called once, from the loop, at most 5 s later; the report is gone after it, and so is
 * the check. 0, ERR_NO_MEMORY, or a negative system error when there is no UDP socket to be had. */
int adit_netcheck_start(struct uv_loop_s *loop, const struct adit_netcheck_config *config,
                        void (*done)(void *user, const struct adit_netcheck_report *report),
                        void *user, struct adit_netcheck **out);
/* `done` will not come. */
void adit_netcheck_cancel(struct adit_netcheck *c);

#endif
