/* The relay that the programs of fuzz_relay_uv run against, its eight clients, and what must hold.
 */
#ifndef TESTS_FUZZ_RELAY_UV_STAGE_H
#define TESTS_FUZZ_RELAY_UV_STAGE_H

#include "fuzz/relay_uv/client.h"

#include "loop/relay_uv.h"
#include "relay/stun_server.h"

#include <base/rng.h>

enum { STAGE_CLIENTS = 8, STAGE_PORT = 80, STAGE_PORT_TLS = 443 };

/* Bits of what a relay's configuration says. */
enum {
    STAGE_LISTED = 1, /* only two keys are admitted */
    STAGE_RATE = 2,
    STAGE_SHORT_QUEUES = 4,
    STAGE_SMALL_POOL = 8,
    STAGE_ONE_ADDRESS = 16, /* few connections of each */
    STAGE_SHORT_HEADER = 32,
    STAGE_IMPATIENT = 64,
    STAGE_FEW = 128,
};

struct stage {
    uv_loop_t loop;
    struct relay_uv *relay; /* NULL: it has stopped */
    bool draining;
    uint8_t rules;     /* that hold */
    bool was_short;    /* of memory, at any time */
    uint8_t short_for; /* allocations that the next run may still make; 0 = any number */
    struct pcg pcg;
    struct stun_server_stats stun;
    struct log log;
    struct client clients[STAGE_CLIENTS];
};

extern struct stage stage;

/* As new, without a relay. */
void stage_open(void);
/* If there is too little memory for a relay then there is none. */
void stage_start(uint8_t rules);
void stage_reload(uint8_t rules);
void stage_drain(uint64_t wait_ns);
/* So many rounds of the loop, after each of which clients hear what comes; then the counters must
 * be right. */
void stage_run(unsigned rounds);
/* Nobody hinders the relay any more: then nothing may be left undone. */
void stage_settle(void);
/* The relay stops, or is done with its draining; nothing may be left. */
void stage_close(void);

#endif
