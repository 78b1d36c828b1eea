/* Where descriptors run out: listeners stop accepting while few are left, so that what is
 * connected, the control socket and the tunnel go on working, and go on when there are some again.
 * The kernel keeps who waits; nobody polls but a timer, ten times a second, while somebody waits.
 */
#ifndef APP_GATE_H
#define APP_GATE_H

#include <base/log.h>

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

/* One who waits. */
struct gate_entry {
    LIST_ENTRY(gate_entry) entry;
    void (*open)(void *user); /* there may be room again; from the loop, once */
    void *user;
    bool waiting;
};

struct gate_timer;

struct gate {
    uv_loop_t *loop;
    const struct log *log;
    LIST_HEAD(, gate_entry) list;
    struct gate_timer *timer; /* NULL while nobody waits */
    bool is_short;            /* and it was logged */
    uint64_t looked_ms;       /* when the system was last asked, */
    uint64_t trust;           /* so many may come until it is asked again */
};

void gate_init(struct gate *g, uv_loop_t *loop, const struct log *log);
/* Are so few descriptors left that no new connection is to be taken? */
bool gate_is_shut(struct gate *g);
void gate_wait(struct gate *g, struct gate_entry *e);
/* Also if it does not wait. */
void gate_leave(struct gate *g, struct gate_entry *e);

#endif
