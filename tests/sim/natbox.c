#include "sim/natbox.h"

#include <base/check.h>
#include <base/clock.h>

#include <stdlib.h>

enum { PERMITS_MAX = 4096, MAPPINGS_MAX = 1024, PORT_MIN = 1024 };

struct natbox_map {
    struct addr inside;
    struct addr key; /* of the destination: what the mapping depends on */
    uint16_t port;
    uint64_t made_ns, used_ns;
    struct addr *permits; /* of the destinations: what the filter asks for; made on demand */
    size_t permit_count;
};

void natbox_init(struct natbox *n, const struct natbox_config *config, const struct addr *outside,
                 struct rng rng)
{
    *n = (struct natbox){.config = *config, .outside = *outside, .rng = rng};
    n->outside.port = 0;
    n->config.idle_ns = config->idle_ns == 0 ? 120 * NS_PER_S : config->idle_ns;
    n->config.mappings_max = config->mappings_max == 0 ? MAPPINGS_MAX : config->mappings_max;
    n->maps = calloc(n->config.mappings_max, sizeof(*n->maps));
    CHECK(n->maps);
    n->next_port = (uint16_t)(PORT_MIN + rng_below(rng, 60000));
}

void natbox_flush(struct natbox *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->maps[i].permits);
    }
    n->count = 0;
}

void natbox_deinit(struct natbox *n)
{
    natbox_flush(n);
    free(n->maps);
    n->maps = NULL;
}

static bool is_alive(const struct natbox *n, const struct natbox_map *m, uint64_t now)
{
    bool young = n->config.life_ns == 0 || time_since(m->made_ns, now) < n->config.life_ns;
    return young && time_since(m->used_ns, now) < n->config.idle_ns;
}

static void expire(struct natbox *n, uint64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++) {
        if (is_alive(n, &n->maps[i], now)) {
            n->maps[kept++] = n->maps[i];
        } else {
            free(n->maps[i].permits);
        }
    }
    n->count = kept;
}

/* What of an address counts: nothing, the IP, all of it. */
static struct addr part(const struct addr *a, bool ip, bool port)
{
    struct addr p = ip ? *a : (struct addr){0};
    p.port = port ? a->port : 0;
    return p;
}

static struct natbox_map *by_port(struct natbox *n, uint16_t port)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->maps[i].port == port) {
            return &n->maps[i];
        }
    }
    return NULL;
}

static uint16_t following(uint16_t port)
{
    return port == UINT16_MAX ? PORT_MIN : (uint16_t)(port + 1);
}

static uint16_t free_port(struct natbox *n, const struct addr *inside)
{
    uint16_t port = n->next_port;
    if (n->config.ports == NATBOX_PRESERVING) {
        port = inside->port;
    } else if (n->config.ports == NATBOX_RANDOM) {
        port = (uint16_t)(PORT_MIN + rng_below(n->rng, 65536 - PORT_MIN));
    }
    while (by_port(n, port)) {
        port = following(port);
    }
    n->next_port = following(port);
    return port;
}

static struct natbox_map *map_of(struct natbox *n, const struct addr *inside, const struct addr *to,
                                 uint64_t now)
{
    enum natbox_mapping m = n->config.mapping;
    struct addr key = part(to, m != NATBOX_EIM, m == NATBOX_APDM);
    expire(n, now);
    for (size_t i = 0; i < n->count; i++) {
        if (addr_equal(&n->maps[i].inside, inside) && addr_equal(&n->maps[i].key, &key)) {
            return &n->maps[i];
        }
    }
    if (n->count == n->config.mappings_max) {
        n->no_room++;
        return NULL;
    }
    uint16_t port = free_port(n, inside);
    n->made++;
    n->maps[n->count] =
        (struct natbox_map){.inside = *inside, .key = key, .port = port, .made_ns = now};
    return &n->maps[n->count++];
}

static struct addr permit_of(const struct natbox *n, const struct addr *remote)
{
    enum natbox_filtering f = n->config.filtering;
    return part(remote, f != NATBOX_EIF, f == NATBOX_APDF);
}

static bool is_permitted(const struct natbox *n, const struct natbox_map *m,
                         const struct addr *remote)
{
    struct addr permit = permit_of(n, remote);
    for (size_t i = 0; i < m->permit_count; i++) {
        if (addr_equal(&m->permits[i], &permit)) {
            return true;
        }
    }
    return false;
}

static void permit(const struct natbox *n, struct natbox_map *m, const struct addr *to)
{
    if (is_permitted(n, m, to) || m->permit_count == PERMITS_MAX) {
        return;
    }
    m->permits = realloc(m->permits, (m->permit_count + 1) * sizeof(*m->permits));
    CHECK(m->permits);
    m->permits[m->permit_count++] = permit_of(n, to);
}

bool natbox_out(struct natbox *n, const struct addr *inside, const struct addr *to,
                struct addr *from, uint64_t now)
{
    struct natbox_map *m = map_of(n, inside, to, now);
    if (!m) {
        return false;
    }
    m->used_ns = now;
    permit(n, m, to);
    *from = n->outside;
    from->port = m->port;
    return true;
}

bool natbox_in(struct natbox *n, uint16_t port, const struct addr *from, struct addr *inside,
               uint64_t now)
{
    expire(n, now);
    const struct natbox_map *m = by_port(n, port);
    if (!m) {
        n->unmapped++;
        return false;
    }
    if (!is_permitted(n, m, from)) {
        n->filtered++;
        return false;
    }
    *inside = m->inside;
    return true;
}
