/* How many datagrams may go to ports that are only guessed, at an IP that nothing proves to be the
 * peer's.
 *
 * Where one NAT filters and the other is hard nothing can come from the peer's IP before a guess
 * hits: so no proof exists beforehand, and a peer, though it is authenticated and trusted enough to
 * be in the configuration, could name a stranger's IP. What it can have sent there is bounded: by
 * hour, for each IP, and for all of them together, whoever names them. The driver asks before each
 * run (of birthday.h or sequence.h) with all that the run may send, and need not ask for an IP from
 * which the peer has answered. IPs on the node's own side of the world are never guessed at: there,
 * guessing would search a LAN.
 */
#ifndef PATH_GUESS_H
#define PATH_GUESS_H

#include <base/addr.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    GUESS_IPS_MAX = 32,
    GUESS_IP_COUNT_MAX = 3 * 1750,  /* an hour: three runs of birthday probing */
    GUESS_ALL_COUNT_MAX = 6 * 1750, /* an hour, to all of them */
};

#define GUESS_WINDOW_NS (3600 * NS_PER_S)

struct guess_window {
    uint64_t since_ns;
    unsigned count;
};

struct guess_target {
    struct addr ip; /* ADDR_NONE = free */
    struct guess_window window;
};

struct guess {
    struct guess_target targets[GUESS_IPS_MAX];
    struct guess_window all;
    uint64_t refused; /* runs */
};

void guess_init(struct guess *g);
/* True, and counted, if a run may send `count` datagrams there. */
bool guess_allow(struct guess *g, const struct addr *to, unsigned count, uint64_t now);

#endif
