/* Do the system's batches get lost? Some kernels and devices spoil the datagrams of a batch
 * (UDP_SEGMENT) without any error; all that shows is loss. So where much is lost while batches go
 * out, a while is tried without them. If that helps, and the loss comes back with them, three times
 * in a row, it is them. Loss that has other reasons is the same either way, or does not come back.
 *
 * Knows no clock and no socket: whoever sends says every second how much was sent and lost.
 */
#ifndef OS_UDP_WATCH_H
#define OS_UDP_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    UDP_WATCH_LEAST = 32,   /* datagrams, less say nothing */
    UDP_WATCH_PERCENT = 15, /* lost with batches: worth a trial */
    UDP_WATCH_BETTER = 4,   /* so many times less without */
    UDP_WATCH_TRIALS = 3,
};

#define UDP_WATCH_EVERY_MS 1000
#define UDP_WATCH_WAIT_NS UINT64_C(10000000000) /* after a trial that did not help; doubles */
#define UDP_WATCH_WAIT_MAX_NS UINT64_C(640000000000)

/* Totals since the socket was opened. */
struct udp_watch_totals {
    uint64_t sent;    /* datagrams */
    uint64_t batched; /* of these in batches */
    uint64_t lost;    /* as far as acknowledgements tell */
};

/* Zeroed memory is a fresh one. */
struct udp_watch {
    struct udp_watch_totals from; /* where the present look began */
    bool without;                 /* a trial */
    bool fresh;                   /* the last switch was at `from`: old losses still come in */
    bool over;                    /* batches are given up */
    uint64_t percent;             /* lost before the trial */
    unsigned helped;              /* trials in a row */
    uint64_t wait_ns, not_before_ns;
};

/* Shall batches be used from now on? */
bool udp_watch_look(struct udp_watch *w, const struct udp_watch_totals *totals, uint64_t now);

#endif
