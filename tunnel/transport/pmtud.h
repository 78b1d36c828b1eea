/* Path MTU search of one path: DPLPMTUD, RFC 8899.
 *
 * Sizes are those of whole datagrams. One padded probe at a time; what is acknowledged is the new
 * size. A probe's loss is no sign of congestion. It takes PMTUD_PROBES_MAX of them to believe that
 * a size does not pass. The usual Ethernet size is tried first, then the search goes by halves
 * through a table of sizes that networks have.
 *
 *   SEARCHING --all sizes known--> COMPLETE --PMTUD_RAISE_NS--> SEARCHING with the larger ones
 *   any --PMTUD_LOST_MAX full-size packets lost and no newer one acknowledged (4.4, black hole),
 *         or the caller's doubt--> BASE, searching again after a pause that doubles if that recurs
 *
 * Probes leave only where the caller sends data anyway; this knows times to wait, but has no timer.
 */
#ifndef TRANSPORT_PMTUD_H
#define TRANSPORT_PMTUD_H

#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PMTUD_PROBES_MAX = 3, /* MAX_PROBES, 5.1.2 */
    PMTUD_LOST_MAX = 6,
};
#define PMTUD_RAISE_NS (600 * NS_PER_S) /* PMTU_RAISE_TIMER, 5.1.1 */
#define PMTUD_PAUSE_NS (1 * NS_PER_S)   /* after a fall back to the base, doubling ... */
#define PMTUD_PAUSE_MAX_NS (64 * NS_PER_S)

struct pmtud {
    size_t base;
    size_t most;
    size_t size;       /* known to pass */
    size_t passes;     /* index of the largest size known to pass */
    size_t fails;      /* of the smallest one that does not; past the end = none known */
    size_t trying;     /* of the one being probed */
    unsigned lost;     /* probes of that size */
    bool flying;       /* a probe is out */
    uint64_t probe;    /* its number */
    uint64_t from;     /* packets below were sent before the last fall back: they prove nothing */
    uint64_t proof;    /* one past the newest packet over the base that was acknowledged */
    unsigned bad;      /* newer ones that were lost */
    uint64_t quiet_ns; /* no probe before this; TIME_NEVER = no search on this path */
    uint64_t pause_ns;
    uint64_t fell_ns; /* when it last fell back; 0 = never */
};

/* No search: `size` is what the path carries. */
void pmtud_init(struct pmtud *m, size_t size);
/* Searches from the present size up to `most`. */
void pmtud_search(struct pmtud *m, size_t most, uint64_t now);

/* The size of a probe to be sent now, or 0. */
size_t pmtud_wants(struct pmtud *m, uint64_t now);
void pmtud_on_sent(struct pmtud *m, uint64_t number);
/* True if the size rose. */
bool pmtud_on_acked(struct pmtud *m, uint64_t number, size_t bytes, uint64_t now);
/* Its probe was lost, or given up. */
void pmtud_on_probe_lost(struct pmtud *m, uint64_t number, uint64_t now);
/* A packet that was no probe was lost; `next` is the number of the next one to be sent. True if
 * the size fell. */
bool pmtud_on_lost(struct pmtud *m, uint64_t number, size_t bytes, uint64_t next, uint64_t now);
/* The path does not answer, perhaps only to packets of this size. True if the size fell. */
bool pmtud_on_doubt(struct pmtud *m, uint64_t next, uint64_t now);

#endif
