/* The application of one node: streams that write a pattern and check every byte that they read.
 *
 * A stream's plan travels in its target, so the accepting side knows what is expected of it. The
 * pattern depends on the plan's seed, the direction and the offset.
 */
#ifndef SIM_FLEET_APP_H
#define SIM_FLEET_APP_H

#include "node/node.h"
#include "sim/world.h"

struct fleet_plan {
    uint64_t seed;       /* set by fleet_open */
    uint64_t up, down;   /* bytes of opener and acceptor; then they finish */
    uint64_t pace_bytes; /* written every pace_ns; 0 = as fast as possible */
    uint64_t pace_ns;
    bool endless; /* the opener never finishes */
    enum frame_lane lane;
};

struct fleet_stream;

struct fleet_app {
    struct node *node;
    struct world *world;
    void (*wake)(void *user); /* the node has something to say */
    void *user;
    struct fleet_stream *streams;        /* by id */
    uint64_t opened, accepted, answered; /* by us, from peers, ours that the peer accepted */
    uint64_t unfinished;                 /* streams that are not over yet */
    uint64_t completed;                  /* of all: both directions to the last byte */
    uint64_t resets, strays;             /* strays: resets of streams never heard of */
    enum cause last_cause;
    uint64_t pongs;
    struct adit_pong last_pong;
    uint64_t bytes_read, bytes_written;
    uint64_t first_ns;   /* when the first stream of a peer was opened here */
    uint64_t read_ns;    /* when the last byte was read */
    uint64_t max_gap_ns; /* longest time between two reads since it was set to 0 */
};

void fleet_app_init(struct fleet_app *a, struct world *world, void (*wake)(void *user), void *user);
/* The node of before is gone, and its streams with it; NULL = no new one yet. */
void fleet_app_attach(struct fleet_app *a, struct node *node);
uint64_t fleet_app_open(struct fleet_app *a, size_t peer, const struct fleet_plan *plan);
/* Writes so much more on an endless stream. */
void fleet_app_more(struct fleet_app *a, uint64_t stream, uint64_t bytes);
/* Ends an endless stream. */
void fleet_app_finish(struct fleet_app *a, uint64_t stream);
/* False if it is none of a stream. */
bool fleet_app_event(struct fleet_app *a, const struct node_event *ev);

#endif
