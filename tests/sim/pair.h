/* Two conns and the paths between them: the simulated stand-in for node and loop.
 *
 * Each path is a pair of links. Its id differs from side to side, as in life. Packets carry their
 * real header and, in the place of the AEAD tag, a checksum, so that a flipped bit becomes a
 * dropped packet. Timers tick by the millisecond, as libuv's do. The simulator's own memory does
 * not come through base/mem.h, so that tests can let only the conns run out of it.
 */
#ifndef SIM_PAIR_H
#define SIM_PAIR_H

#include "sim/app.h"
#include "sim/link.h"
#include "sim/world.h"
#include "transport/conn.h"

enum { PAIR_PATHS_MAX = 4 };

struct pair_config {
    const char *name; /* of the program */
    uint64_t seed;
    size_t paths;
    struct link_config link[PAIR_PATHS_MAX][2]; /* [path][sending side] */
    struct conn_limits limits[2];
    enum conn_congestion congestion;
    struct pair *with; /* lives in this one's world and shares its links' queues; freed before it */
    bool switch_when_suspect; /* go to the next path, and send again what is in flight */
};

struct side;

struct side_path {
    struct side *side;
    size_t index;
    uint8_t id; /* this side's */
    bool open;
    struct link out;
};

struct side {
    struct pair *pair;
    size_t index;
    struct pcg pcg;
    struct conn *conn;
    struct app app;
    struct world_event tick;
    struct side_path path[PAIR_PATHS_MAX];
    uint64_t packets_out, packets_in, packets_forged;
    uint64_t bytes_out;
    uint64_t ticks, idle_ticks; /* all, and those that made no packet */
};

struct pair {
    struct world world;
    struct pair_config config;
    struct side side[2];
    uint64_t start_ns;
    struct pair *next; /* in the list of those alive */
};

/* One path of 100 Mbit/s with 20 ms each way and a queue of 200 ms. The environment's ADIT_SEED
 * takes the place of `seed`. */
struct pair_config pair_config_default(const char *name, uint64_t seed);
/* The same link in both directions of a path. */
void pair_config_path(struct pair_config *config, size_t path, const struct link_config *link);

/* All paths open, the first one used by both. */
struct pair *pair_new(const struct pair_config *config);
/* Asserts what must hold in every scenario: no busy waiting. */
void pair_free(struct pair *p);

uint64_t pair_open(struct pair *p, size_t side, const struct app_plan *plan);
/* Lets the conn say what it wants to after a call from outside. */
void pair_drive(struct pair *p, size_t side);
void pair_use(struct pair *p, size_t side, size_t path, bool resend);
void pair_close_path(struct pair *p, size_t path);
void pair_open_path(struct pair *p, size_t path);
/* Both directions. */
void pair_set_up(struct pair *p, size_t path, bool up);

/* Runs for so long. */
void pair_rest(struct pair *p, uint64_t ns);
/* Runs until every stream is gone on both sides, at most so long. */
bool pair_run(struct pair *p, uint64_t ns);
/* The same; the test fails if it takes longer. Returns the time until the last stream's end was
 * read, counted from the making of the pair. */
uint64_t pair_finish(struct pair *p, uint64_t ns);

/* A few seconds later nothing may be left on either side: no stream, no timer, no activity. */
void pair_settle(struct pair *p);

/* Least time for so many bytes over a path: half a round trip for the way, the rounds that slow
 * start needs to fill path or transfer from ten packets on, and the bytes at the line's rate,
 * with 4 % for headers and 2 % for window updates and the like. */
uint64_t pair_ideal_ns(uint64_t bytes, uint64_t rate_bps, uint64_t rtt_ns);
/* Least number of packets for so many bytes. */
uint64_t pair_ideal_packets(uint64_t bytes);

#endif
