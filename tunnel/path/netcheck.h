/* What kind of network this is: does UDP work, how does the NAT map and filter (RFC 4787), under
 * which addresses does the world see us, and what follows for direct connections.
 *
 * Two sources of knowledge:
 *
 *   observations  the shell hands in what stunclient learns on the shared socket, for what matters
 *                 is that socket's mapping. Two servers with different IPs that name the same
 *                 address make it endpoint-independent (EIM); two ports of one IP tell
 *                 address-dependent (ADM) from address-and-port-dependent (APDM) apart.
 *
 *   tests         of a server with two addresses (RFC 5780; stunclient's result has its
 *                 OTHER-ADDRESS): section 4.3 (mapping) on the shared socket, then 4.4 (filtering)
 *                 on a fresh one. The shared socket has talked to both of the server's addresses,
 *                 so its filters are open and would always pass for endpoint-independent. A test
 *                 takes at most 15 s and sends at most 15 datagrams; with a shorter plan less.
 *
 *                 filtering:  plain --answer--> change both --answer--> EIF
 *                                               silence --> change port --answer--> ADF
 *                                                                       --silence--> APDF
 *
 * netcheck_output says on which socket a datagram belongs: the shell opens a socket of that family
 * on the first one for NETCHECK_FRESH, hands its input in with the same name, and closes it at the
 * event DONE. Tests of IPv4 and IPv6 run side by side, each with a fresh socket of its own.
 *
 * A verdict stays until there is another one, or netcheck_reset for a new network.
 */
#ifndef PATH_NETCHECK_H
#define PATH_NETCHECK_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>

#include "path/stuntx.h"

enum {
    NETCHECK_SAMPLES_MAX = 24, /* of each family; the oldest makes room */
    NETCHECK_HOSTS_MAX = 32,
    NETCHECK_PUBLICS_MAX = 4,
    NETCHECK_STEP_MAX = 64, /* ports further apart than this are no sequence */
};

enum netcheck_mapping {
    NETCHECK_MAPPING_UNKNOWN,
    NETCHECK_MAPPING_NONE, /* our own address: no NAT */
    NETCHECK_MAPPING_EIM,
    NETCHECK_MAPPING_ADM,
    NETCHECK_MAPPING_APDM,
    NETCHECK_MAPPING_EDM, /* ADM or APDM, which of them is not known */
};

enum netcheck_filtering {
    NETCHECK_FILTERING_UNKNOWN,
    NETCHECK_FILTERING_EIF,
    NETCHECK_FILTERING_ADF,
    NETCHECK_FILTERING_APDF,
};

enum netcheck_socket {
    NETCHECK_SHARED,
    NETCHECK_FRESH,
};

/* A server saw the shared socket there. */
struct netcheck_sample {
    struct addr server;
    struct addr mapped;
    uint64_t since_ns; /* when the request left that first found this mapping ... */
    uint64_t order;    /* ... and its order among those that left together */
    uint64_t heard_ns; /* the last answer that confirmed it */
};

struct netcheck_verdict {
    bool tried; /* a server was asked, whatever came of it */
    bool udp;   /* and one answered, not long ago */
    enum netcheck_mapping mapping;
    enum netcheck_filtering filtering;
    bool port_preserved; /* the outside port is the local one */
    bool sequential;     /* not EIM, and each new mapping lies `step` ports further */
    int step;
    size_t public_count; /* distinct IPs, port 0, newest first */
    struct addr publics[NETCHECK_PUBLICS_MAX];
};

struct netcheck_report {
    struct netcheck_verdict ipv4, ipv6;
    const char *text; /* the whole of it in one sentence; static */
};

enum netcheck_step {
    NETCHECK_IDLE,
    NETCHECK_MAP_IP,       /* RFC 5780 4.3 test II: the other IP, the same port */
    NETCHECK_MAP_PORT,     /* III: the other IP and port */
    NETCHECK_FILTER_PLAIN, /* RFC 5780 4.4 test I */
    NETCHECK_FILTER_BOTH,  /* II */
    NETCHECK_FILTER_PORT,  /* III */
};

struct netcheck_test {
    enum netcheck_step step;
    struct addr server, other;
    enum stun_form form;
    struct stuntx tx;
    bool tell_done;
};

struct netcheck_family {
    size_t count;
    struct netcheck_sample samples[NETCHECK_SAMPLES_MAX];
    bool tried, udp;
    uint64_t heard_ns;
    enum netcheck_mapping mapping;
    enum netcheck_filtering filtering;
    int step;   /* of the last burst long enough to show one */
    bool close; /* the ports of the last burst, were it of two, lay as close as in a sequence */
    struct netcheck_test test;
};

struct netcheck_stats {
    uint64_t sent, answered;
    uint64_t strangers;   /* STUN that is no answer to a test, or from elsewhere */
    uint64_t unsupported; /* tests that the server refused or ignored */
    uint64_t no_room;     /* host addresses past the ceiling */
};

struct netcheck {
    struct netcheck_family ipv4, ipv6;
    size_t host_count;
    struct addr hosts[NETCHECK_HOSTS_MAX];
    bool port_mapped;
    const struct stuntx_plan *plan; /* of the tests */
    struct rng rng;
    struct netcheck_stats stats;
};

enum netcheck_event_type {
    NETCHECK_EV_DONE, /* close that family's fresh socket; look at the report */
};

struct netcheck_event {
    enum netcheck_event_type type;
    enum addr_family family;
};

void netcheck_init(struct netcheck *n, struct rng rng);
/* How long the tests wait for answers; until then stuntx_plan_silence. */
void netcheck_set_plan(struct netcheck *n, const struct stuntx_plan *plan);
/* Another network, or a rebind: nothing is known, tests are dropped without an event. */
void netcheck_reset(struct netcheck *n);

/* One of our interfaces' addresses, with the shared socket's port. */
void netcheck_add_host(struct netcheck *n, const struct addr *host);
/* Whether a port mapping (path/portmap.h, UPnP) stands on a public address: for the sentence. */
void netcheck_set_port_mapped(struct netcheck *n, bool mapped);

/* stunclient's MAPPED (the server's address, and the event's addr, since_ns and order). */
void netcheck_observe(struct netcheck *n, const struct netcheck_sample *sample);
/* stunclient's TIMEOUT with error 0. */
void netcheck_unanswered(struct netcheck *n, enum addr_family family, uint64_t now);

/* Starts the tests of this family. 0, ERR_STATE while they run, ERR_MALFORMED if `other` is not a
 * different IP and port to which anybody would send. */
int netcheck_test(struct netcheck *n, const struct addr *server, const struct addr *other,
                  enum stun_form form, uint64_t now);

/* False: no answer to a test. */
bool netcheck_input(struct netcheck *n, enum netcheck_socket socket, const struct addr *from,
                    const void *data, size_t len, uint64_t now);
/* The next datagram, or 0. buf: at least 64 bytes. */
size_t netcheck_output(struct netcheck *n, enum netcheck_socket *socket, struct addr *to,
                       uint8_t *buf, size_t cap, uint64_t now);
void netcheck_tick(struct netcheck *n, uint64_t now);
uint64_t netcheck_next_ns(const struct netcheck *n);
bool netcheck_event(struct netcheck *n, struct netcheck_event *ev);

void netcheck_report(const struct netcheck *n, struct netcheck_report *out);
/* Addresses at which the next new mapping will probably appear, likeliest first; 0 unless ports
 * are given out in sequence. For the candidates of a hard NAT; good for a moment only, so ask all
 * servers (stunclient_ask_all) right before. */
size_t netcheck_predict(const struct netcheck *n, enum addr_family family, struct addr *out,
                        size_t cap);

/* A hard NAT that gives out its ports in sequence, for all that is known. */
bool netcheck_is_sequence(const struct netcheck *n, enum addr_family family);

/* "endpoint-independent", "none", ... */
const char *netcheck_mapping_text(enum netcheck_mapping mapping);
const char *netcheck_filtering_text(enum netcheck_filtering filtering);

#endif
