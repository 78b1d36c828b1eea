/* Two conns and the wire between them in virtual time, for the tests of transport/conn. */
#ifndef TESTS_SUPPORT_CONN_PAIR_H
#define TESTS_SUPPORT_CONN_PAIR_H

#include <base/clock.h>
#include <base/rng.h>

#include "transport/conn.h"

enum { WIRE_MAX = 4096, PAYLOAD_MAX = 1500, MTU = 1400 };

struct conn_pair_packet {
    uint64_t at_ns;
    uint64_t number;
    size_t len;
    int to;
    uint8_t path;
    uint8_t data[PAYLOAD_MAX];
};

struct conn_pair {
    struct conn *side[2];
    uint64_t now;
    uint64_t delay_ns[3]; /* one way, by path */
    bool dead[3];
    bool mangled;        /* so even good packets may be refused */
    bool drain_events;   /* in conn_pair_settle() */
    bool reply_same;     /* acknowledgements on the path of the packet */
    unsigned drop_every; /* 0 = none */
    unsigned sent;
    unsigned hash_drop; /* per mille, pseudo-random */
    size_t count;
    struct conn_pair_packet *wire;
    /* Sees every packet that leaves, also one that is dropped. */
    void (*spy)(struct conn_pair *p, const struct conn_pair_packet *packet);
    void *spy_user;
    struct pcg pcg;
    struct rng rng;
};

/* One end of a stream: how far its application got. */
struct conn_end {
    uint64_t id;
    uint64_t written, to_write, read;
    bool finished, eof, opened, accepted, gone, reset;
    uint64_t cause;
    char text[FRAME_TARGET_MAX + 1];
};

/* Small enough to be reached. */
struct conn_limits conn_pair_limits(void);
/* A conn alone; NULL when out of memory. Its start: two open paths, 1 used. */
struct conn *conn_pair_make_side(bool even, const struct conn_limits *limits);
void conn_pair_start_side(struct conn *c, const struct conn_limits *peer, uint64_t now);
/* Two started conns on a wire that loses nothing yet. */
void conn_pair_init_with(struct conn_pair *p, const struct conn_limits *limits);
void conn_pair_init(struct conn_pair *p);
/* ... that use CUBIC. */
void conn_pair_init_cubic(struct conn_pair *p);
void conn_pair_free(struct conn_pair *p);
/* One step of virtual time; false when nothing will ever happen again. */
bool conn_pair_step(struct conn_pair *p);
/* Writes what is left to write and finishes. */
void conn_pair_feed(struct conn *c, struct conn_end *e);
/* What an application would do about the event; `side` and its end. */
void conn_pair_note_event(struct conn_pair *p, int side, struct conn_end *e,
                          const struct conn_event *ev);
void conn_pair_run_events(struct conn_pair *p, struct conn_end *ends);
void conn_pair_open(struct conn_pair *p, struct conn_end *e);
/* Runs until both ends are gone; how long it took. */
uint64_t conn_pair_run_to_end(struct conn_pair *p, struct conn_end *ends, uint64_t limit_ns);
void conn_pair_check_complete(const struct conn_pair *p, const struct conn_end *ends);
/* Accepts what was opened and reads all there is, on both sides; nobody else takes events then. */
void conn_pair_read_all(struct conn_pair *p);
/* So long in virtual time, reading all. */
void conn_pair_run_reading(struct conn_pair *p, uint64_t ns);
/* Lets the last acknowledgements pass: then nothing is left to do. */
void conn_pair_settle(struct conn_pair *p);

#endif
