/* A peer with valid keys that sends what it likes: handshakes with parameters of the test's choice,
 * and any payload on any path, from any address, straight into a node.
 *
 * It keeps no rules by itself: what the test does not ask for does not happen.
 */
#ifndef TESTS_SUPPORT_ROGUE_H
#define TESTS_SUPPORT_ROGUE_H

#include <base/addr.h>
#include <base/rng.h>

#include "crypto/aead.h"
#include "crypto/handshake.h"
#include "node/node.h"
#include "wire/packet.h"
#include "wire/params.h"

struct rogue {
    struct node *node; /* the victim; the rogue is its peer 0 */
    struct public_key node_key;
    struct key_pair keys;
    struct cookie_jar jar;
    struct handshake hs;             /* under way */
    struct aead_key send, recv;      /* once a handshake is done */
    uint32_t local, remote;          /* indices of these */
    uint64_t next[PACKET_PATHS_MAX]; /* packet numbers */
    struct params params;            /* said in handshakes; the timestamp is set by itself */
    struct addr from;                /* where its datagrams come from */
    uint64_t now;
    struct node_batch batch; /* of the node's, being heard */
    size_t at;
    struct pcg pcg;
    struct rng rng;
};

/* One datagram of the node's. */
struct rogue_heard {
    struct addr to;
    uint8_t type;                 /* enum packet_type; 0 = none of ours */
    uint8_t path;                 /* data */
    uint64_t number;              /* data */
    bool opened;                  /* data: under the present keys */
    uint8_t data[PACKET_MTU_MAX]; /* opened: the payload; else the datagram */
    size_t len;
};

void rogue_init(struct rogue *r);
void rogue_deinit(struct rogue *r);

/* Writes an initiation and gives it to the node. */
void rogue_call(struct rogue *r);
/* The same, and takes the answer: there are keys then. Fails the test if there is no answer. */
void rogue_agree(struct rogue *r);
/* The same, and a first packet, a ping. */
void rogue_connect(struct rogue *r);
/* A data packet on a path of the rogue's. */
void rogue_send(struct rogue *r, uint8_t path, const void *payload, size_t len);
/* The next datagram that the node has to send now; false if there is none. */
bool rogue_hear(struct rogue *r, struct rogue_heard *out);
/* All of them; how many. */
size_t rogue_hear_all(struct rogue *r);
/* Time passes and the node does what it has to; how many datagrams it sent meanwhile. */
size_t rogue_wait(struct rogue *r, uint64_t ns);

#endif
