#include "app/loglimit.h"

#include <string.h>

void loglimit_init(struct loglimit *l)
{
    *l = (struct loglimit){.count = 0};
}

static struct loglimit_event *find(struct loglimit *l, const char *module, const char *name)
{
    struct loglimit_event *e = l->events;
    while (e < l->events + l->count &&
           (strcmp(e->name, name) != 0 || strcmp(e->module, module) != 0)) {
        e++;
    }
    if (e < l->events + l->count) {
        return e;
    }
    if (l->count == LOGLIMIT_EVENTS) {
        return e - 1;
    }
    l->count++;
    *e = (struct loglimit_event){.module = module, .name = name};
    return e;
}

/* Each line puts off the rest by its share; who is a whole burst behind has to wait. */
struct loglimit_verdict loglimit_ask(struct loglimit *l, const char *module, const char *name,
                                     uint64_t now)
{
    const uint64_t burst_ns = LOGLIMIT_BURST * LOGLIMIT_EACH_NS;
    struct loglimit_event *e = find(l, module, name);
    uint64_t rested_ns = (e->rested_ns > now ? e->rested_ns : now) + LOGLIMIT_EACH_NS;
    if (rested_ns - now > burst_ns) {
        e->left_out++;
        return (struct loglimit_verdict){.write = false};
    }
    struct loglimit_verdict v = {
        .write = true,
        .last = rested_ns - now + LOGLIMIT_EACH_NS > burst_ns,
        .left_out = e->left_out,
    };
    e->rested_ns = rested_ns;
    e->left_out = 0;
    return v;
}
