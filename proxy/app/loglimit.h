/* How many lines of one event may be written: who may provoke a line (a peer, an application, a
 * stranger) must not fill a disk with it. Each event (module and name, which are static texts) has
 * LOGLIMIT_BURST lines, and gets one more each LOGLIMIT_EACH_NS; what is left out is counted.
 */
#ifndef APP_LOGLIMIT_H
#define APP_LOGLIMIT_H

#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOGLIMIT_EVENTS = 128, /* more than there are; all beyond share one */
    LOGLIMIT_BURST = 200,
};

#define LOGLIMIT_EACH_NS (10 * NS_PER_S)

struct loglimit_event {
    const char *module, *name;
    uint64_t rested_ns; /* when it has its whole burst again */
    uint64_t left_out;  /* since the last line */
};

struct loglimit {
    struct loglimit_event events[LOGLIMIT_EVENTS];
    size_t count;
};

struct loglimit_verdict {
    bool write;
    bool last;         /* the next one, at this pace, is left out */
    uint64_t left_out; /* before this one, if it is written */
};

void loglimit_init(struct loglimit *l);
/* A line is to be written at `now`, which does not go back. */
struct loglimit_verdict loglimit_ask(struct loglimit *l, const char *module, const char *name,
                                     uint64_t now);

#endif
