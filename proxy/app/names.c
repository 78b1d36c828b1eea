#include "app/names.h"

#include <base/clock.h>
#include <base/mem.h>

#include <string.h>

#define KEEP_NS (60 * NS_PER_S)
#define KEEP_NONE_NS (5 * NS_PER_S) /* a name that was not found */

struct waiting {
    STAILQ_ENTRY(waiting) link;
    uint16_t port;
    size_t len;
    uint8_t data[];
};

struct names_entry {
    LIST_ENTRY(names_entry) link;
    struct names *all;
    struct resolver_asker *asker; /* while it is being resolved */
    uint64_t until_ns;
    struct addr addrs[RESOLVER_ADDRS];
    size_t count;
    STAILQ_HEAD(, waiting) waiting;
    char name[TARGET_NAME_MAX + 1];
};

void names_init(struct names *n, struct resolver *resolver, size_t owner, names_found *found,
                void *user)
{
    *n = (struct names){.resolver = resolver, .owner = owner, .found = found, .user = user};
    LIST_INIT(&n->list);
}

static struct waiting *take_waiting(struct names_entry *e)
{
    struct waiting *w = STAILQ_FIRST(&e->waiting);
    if (w) {
        STAILQ_REMOVE_HEAD(&e->waiting, link);
        e->all->waiting--;
        e->all->waiting_bytes -= w->len;
    }
    return w;
}

static void drop(struct names_entry *e)
{
    struct waiting *w;
    while ((w = take_waiting(e)) != NULL) {
        mem_free(w);
    }
    if (e->asker) {
        resolver_forget(e->asker);
    }
    LIST_REMOVE(e, link);
    e->all->count--;
    mem_free(e);
}

void names_deinit(struct names *n)
{
    struct names_entry *e;
    while ((e = LIST_FIRST(&n->list)) != NULL) {
        drop(e);
    }
}

static uint64_t now_of(const struct names *n)
{
    return uv_now(n->resolver->loop) * NS_PER_MS;
}

static void forget_old(struct names *n)
{
    struct names_entry *e = LIST_FIRST(&n->list);
    while (e) {
        struct names_entry *next = LIST_NEXT(e, link);
        if (!e->asker && e->until_ns <= now_of(n)) {
            drop(e);
        }
        e = next;
    }
}

static void on_found(void *user, uint8_t family, const struct addr *addrs, size_t count)
{
    struct names_entry *e = user;
    struct names *n = e->all;
    struct waiting *w;
    (void)family;
    e->asker = NULL;
    e->count = count;
    e->until_ns = now_of(n) + (count > 0 ? KEEP_NS : KEEP_NONE_NS);
    if (count > 0) {
        memcpy(e->addrs, addrs, count * sizeof(*addrs));
    }
    while ((w = take_waiting(e)) != NULL) {
        struct target t = {.kind = TARGET_NAME, .port = w->port};
        memcpy(t.name, e->name, sizeof(t.name));
        n->found(n->user, &t, e->addrs, e->count, w->data, w->len);
        mem_free(w);
    }
}

static struct names_entry *add(struct names *n, const char *name)
{
    struct names_entry *e = n->count < NAMES_MAX ? mem_new(1, sizeof(*e)) : NULL;
    if (!e) {
        return NULL;
    }
    e->all = n;
    STAILQ_INIT(&e->waiting);
    memcpy(e->name, name, strlen(name) + 1);
    LIST_INSERT_HEAD(&n->list, e, link);
    n->count++;
    const struct resolver_question q = {.name = e->name, .owner = n->owner, .family = ADDR_NONE};
    e->asker = resolver_ask(n->resolver, &q, on_found, e);
    if (!e->asker) {
        drop(e);
        return NULL;
    }
    return e;
}

static struct names_entry *find(struct names *n, const char *name)
{
    struct names_entry *e;
    LIST_FOREACH (e, &n->list, link) {
        if (strcmp(e->name, name) == 0) {
            return e;
        }
    }
    return add(n, name);
}

static bool let_wait(struct names_entry *e, uint16_t port, const uint8_t *data, size_t len)
{
    struct names *n = e->all;
    bool room = n->waiting < NAMES_WAITING_MAX && n->waiting_bytes + len <= NAMES_WAITING_BYTES;
    struct waiting *w = room ? mem_new(1, sizeof(*w) + len) : NULL;
    if (!w) {
        return false;
    }
    w->port = port;
    w->len = len;
    if (len > 0) {
        memcpy(w->data, data, len);
    }
    STAILQ_INSERT_TAIL(&e->waiting, w, link);
    n->waiting++;
    n->waiting_bytes += len;
    return true;
}

bool names_send(struct names *n, const struct target *t, const uint8_t *data, size_t len)
{
    struct addr local[RESOLVER_ADDRS];
    size_t count = resolver_localhost(t->name, local);
    if (count > 0) {
        n->found(n->user, t, local, count, data, len);
        return true;
    }
    forget_old(n);
    struct names_entry *e = find(n, t->name);
    if (e && e->asker) {
        return let_wait(e, t->port, data, len);
    }
    if (e) {
        n->found(n->user, t, e->addrs, e->count, data, len);
    }
    return e != NULL;
}
