/* A STUN server: tells who asks under which address it is seen (RFC 8489, Binding), and with a
 * second address how the NAT in between maps and filters (RFC 5780).
 *
 * A site is the addresses of one family at which it is asked: one, or four made of two IPs and two
 * ports. At which of the four a datagram arrived is told by the shell, and the answer says from
 * which it has to leave. The index of a socket is 2 x IP + port, so that "another IP" is one bit
 * and "another port" the other.
 *
 * DERP clients' own form of request gets the short answer that they expect, everybody else what the
 * standard asks for and no more: an answer always goes to the address that asked, and RESPONSE-PORT
 * and PADDING, which could be turned against others, are refused. One address (IPv6: one /64) gets
 * at most STUN_SERVER_PER_S answers a second; what is over that, and what is no request, is dropped
 * and counted. No memory per client: addresses share a table of counters by hash, so that a flood
 * can only silence itself and the few that share its slot.
 */
#ifndef RELAY_STUN_SERVER_H
#define RELAY_STUN_SERVER_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STUN_SERVER_SLOTS = 4096,
    STUN_SERVER_PER_S = 20,
    STUN_SERVER_REPLY_MAX = 128,
    STUN_SITE_SOCKETS = 4,
};

struct stun_server_stats {
    uint64_t answered;
    uint64_t refused; /* answered with an error */
    uint64_t limited; /* over the rate of their address */
    uint64_t ignored; /* no Binding request */
};

struct stun_server {
    uint64_t hash_key;
    uint64_t second; /* the one that the counters are of */
    uint8_t counts[STUN_SERVER_SLOTS];
    struct stun_server_stats stats;
};

struct stun_site {
    struct addr at[STUN_SITE_SOCKETS]; /* looked at only if it is whole */
    bool whole;                        /* all four are there */
};

struct stun_reply {
    size_t len;   /* 0 = none */
    unsigned via; /* index of the socket that it has to leave from */
    uint8_t data[STUN_SERVER_REPLY_MAX];
};

void stun_server_init(struct stun_server *s, struct rng rng);
/* A datagram that arrived at socket `at` of the site; 0 if the site is not whole. */
void stun_server_input(struct stun_server *s, const struct stun_site *site, unsigned at,
                       const struct addr *from, const void *data, size_t len, uint64_t now,
                       struct stun_reply *reply);

#endif
