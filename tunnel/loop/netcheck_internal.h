/* Shared by netcheck_uv.c (life, verdict), netcheck_udp.c (sockets and what is asked over them) and
 * netcheck_tcp.c (relays).
 */
#ifndef LOOP_NETCHECK_INTERNAL_H
#define LOOP_NETCHECK_INTERNAL_H

#include <adit/netcheck.h>

#include <base/clock.h>

#include <uv.h>

#include "loop/channel_uv.h"
#include "loop/resolve_uv.h"
#include "loop/udp_uv.h"
#include "loop/upnp_uv.h"
#include "path/netcheck.h"
#include "path/portmap.h"
#include "path/stunclient.h"

#define CHECK_MEASURE_NS (4500 * NS_PER_MS) /* then nothing is asked any more ... */
#define CHECK_END_NS (4900 * NS_PER_MS)     /* ... and then a port is given back or it is not */
#define CHECK_LOOK_NS (50 * NS_PER_MS)

enum check_place {
    CHECK_SHARED,     /* asks the STUN servers, as the node's would */
    CHECK_FRESH_IPV4, /* for the filtering tests */
    CHECK_FRESH_IPV6,
    CHECK_PORTMAP, /* the router maps its port, so it would show another NAT than there is */
    CHECK_SOCKETS,
};

struct check_socket {
    struct adit_netcheck *check;
    enum check_place place;
    struct udp_uv *udp; /* NULL = not open */
};

struct check_lookup {
    struct adit_netcheck *check;
    const struct adit_stun_config *config;
    struct resolve_uv *resolve; /* NULL = done */
};

struct check_relay {
    struct adit_netcheck *check;
    struct adit_netcheck_relay *result;
    struct tls_context *tls;
    struct channel_uv *channel; /* NULL = over, or never begun */
    uint64_t since_ns;          /* of the request */
    bool over;
    size_t answer_len;
    char request[512];
    char answer[512];
};

struct adit_netcheck {
    uv_loop_t *loop;
    struct adit_netcheck_config config;
    void (*done)(void *user, const struct adit_netcheck_report *report);
    void *user;
    uv_timer_t timer;
    uint64_t started_ns;
    bool ended;

    struct udp_batch batch; /* of all sockets */
    struct check_socket sockets[CHECK_SOCKETS];
    struct addr hosts[NETCHECK_HOSTS_MAX];
    size_t host_count;
    struct check_lookup lookups[ADIT_NETCHECK_STUN_MAX];
    size_t lookup_count;

    struct stunclient stun;
    struct netcheck netcheck;
    struct portmap portmap;
    struct upnp_uv *upnp;          /* NULL = not asked */
    bool tested_ipv4, tested_ipv6; /* the filtering test was begun */

    struct check_relay relays[ADIT_NETCHECK_RELAYS_MAX];
    struct adit_netcheck_relay relay_results[ADIT_NETCHECK_RELAYS_MAX];
    struct adit_netcheck_report report; /* the port mapping's part is written as it comes */
    struct stream_uv_buffers buffers;
};

/* --- netcheck_uv.c --- */

/* Something has happened: sends what is due, ends the check if nothing is awaited any more. */
void netcheck_uv_go_on(struct adit_netcheck *c);

/* --- netcheck_udp.c --- */

int netcheck_udp_start(struct adit_netcheck *c);
/* Everything that is due, over all sockets. */
void netcheck_udp_pump(struct adit_netcheck *c, uint64_t now);
bool netcheck_udp_is_over(const struct adit_netcheck *c);
bool netcheck_udp_has_released(const struct adit_netcheck *c);
/* Gives back what the router has mapped. */
void netcheck_udp_release(struct adit_netcheck *c, uint64_t now);
uint64_t netcheck_udp_next_ns(const struct adit_netcheck *c);
void netcheck_udp_stop(struct adit_netcheck *c);

/* --- netcheck_tcp.c --- */

void netcheck_tcp_start(struct adit_netcheck *c);
bool netcheck_tcp_is_over(const struct adit_netcheck *c);
void netcheck_tcp_stop(struct adit_netcheck *c);

#endif
