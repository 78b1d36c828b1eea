/* The application of one side: opens streams, writes a pattern, checks every byte that it reads.
 *
 * A stream's plan travels in its target, so the accepting side knows what is expected of it. The
 * pattern depends on stream, direction and offset: a byte that is lost, doubled, moved or of
 * another stream fails the test where it is read.
 */
#ifndef SIM_APP_H
#define SIM_APP_H

#include "sim/world.h"
#include "transport/conn.h"

#define APP_NEVER UINT64_MAX
enum { APP_CAUSE_OPENER = 77, APP_CAUSE_ACCEPTOR = 78 };

struct app_plan {
    uint64_t up;              /* bytes that the opener writes, then it finishes */
    uint64_t down;            /* bytes that the acceptor writes, then it finishes */
    uint64_t opener_aborts;   /* after writing so many bytes; APP_NEVER */
    uint64_t acceptor_aborts; /* after reading so many bytes; APP_NEVER */
    bool down_after_up;       /* the acceptor begins to write when it has read all */
    bool stays_open;          /* nobody finishes: after the last byte the stream is idle */
    uint64_t message;         /* the opener says so many bytes, hears them echoed, says the next */
};

struct app_stream;

struct app {
    struct conn *conn;
    struct world *world;
    struct app_stream *streams; /* by id */
    bool hold;                  /* nothing is read while set: app_release() */
    /* what has happened */
    uint64_t opened, accepted_from_peer;
    uint64_t unread;     /* streams whose end has not been read */
    uint64_t unfinished; /* streams that are not gone yet */
    uint64_t resets, last_cause;
    uint64_t bytes_read, bytes_written;
    uint64_t read_ns; /* when the last stream's end was read */
    uint64_t suspects;
    bool closed;
    uint64_t close_cause;
    size_t candidates;
    /* Set: streams that open with no plan are accepted, and what comes there is told. */
    void (*on_datagram)(void *user, const struct conn_event *ev);
    void *user;
};

void app_init(struct app *a, struct conn *conn, struct world *world);
void app_deinit(struct app *a);

/* A plan without aborts. */
struct app_plan app_transfer(uint64_t up, uint64_t down);
/* Opens a stream and begins to write; fails the test if the conn refuses. */
uint64_t app_open(struct app *a, const struct app_plan *plan);
/* The same; false where one side's limit is reached or memory is out. */
bool app_try_open(struct app *a, const struct app_plan *plan);
void app_abort(struct app *a, uint64_t id);
/* Takes one event of the conn. */
void app_event(struct app *a, const struct conn_event *ev);

/* Reads nothing more of this stream until released. */
void app_hold(struct app *a, uint64_t id);
void app_release(struct app *a, uint64_t id);
void app_release_all(struct app *a);
/* Reads at most `max` bytes of a held stream. */
void app_read_some(struct app *a, uint64_t id, size_t max);
uint64_t app_stream_read(const struct app *a, uint64_t id);
uint64_t app_stream_written(const struct app *a, uint64_t id);
bool app_stream_is_over(const struct app *a, uint64_t id);

#endif
