#include "sim/link.h"

#include <base/check.h>

#include <stdlib.h>
#include <string.h>

struct link_packet {
    struct world_event event;
    struct link *link;
    struct link_packet *next, **prev; /* in link.flying */
    size_t len;
    uint8_t data[];
};

void link_init(struct link *l, struct world *world, const struct link_config *config)
{
    CHECK(config->rate_bps > 0);
    *l = (struct link){.world = world, .config = *config, .up = true};
    l->wire = l;
}

static void unlist(struct link_packet *p)
{
    *p->prev = p->next;
    if (p->next) {
        p->next->prev = p->prev;
    }
}

void link_deinit(struct link *l)
{
    while (l->flying) {
        struct link_packet *p = l->flying;
        unlist(p);
        heap_remove(&l->world->heap, &p->event.node);
        free(p);
    }
}

static void arrive(struct world_event *event)
{
    struct link_packet *p = container_of(event, struct link_packet, event);
    p->link->stats.delivered++;
    p->link->deliver(p->link->user, p->data, p->len);
    unlist(p);
    free(p);
}

/* How much later a packet comes that others overtake. */
static uint64_t reorder_ns(struct link *l)
{
    if (!world_chance(l->world, l->config.reorder_ppm)) {
        return 0;
    }
    l->stats.reordered++;
    uint64_t full_ns = (l->config.mtu + l->config.extra) * 8 * NS_PER_S / l->config.rate_bps;
    return (1 + rng_below(l->world->rng, l->config.reorder_packets)) * full_ns;
}

static void fly(struct link *l, const uint8_t *data, size_t len, uint64_t at)
{
    struct link_packet *p = calloc(1, sizeof(*p) + len);
    CHECK(p);
    p->event.fire = arrive;
    p->link = l;
    p->len = len;
    memcpy(p->data, data, len);
    p->next = l->flying;
    p->prev = &l->flying;
    if (p->next) {
        p->next->prev = &p->next;
    }
    l->flying = p;
    if (world_chance(l->world, l->config.corrupt_ppm)) {
        l->stats.corrupted++;
        p->data[rng_below(l->world->rng, len)] ^= (uint8_t)(1 << rng_below(l->world->rng, 8));
    }
    uint64_t jitter = l->config.jitter_ns > 0 ? rng_below(l->world->rng, l->config.jitter_ns) : 0;
    world_at(l->world, &p->event, at + l->config.delay_ns + jitter + reorder_ns(l));
}

static bool is_lost(struct link *l)
{
    uint64_t now = l->world->now;
    if (now >= l->burst_end_ns && world_chance(l->world, l->config.burst_ppm)) {
        l->burst_end_ns = now + 1 + rng_below(l->world->rng, 2 * l->config.burst_ns);
    }
    return now < l->burst_end_ns || world_chance(l->world, l->config.loss_ppm);
}

size_t link_queued(const struct link *l)
{
    uint64_t wait_ns = time_since(l->world->now, l->wire->free_ns);
    return (size_t)((double)wait_ns * (double)l->config.rate_bps / 8e9);
}

void link_send(struct link *l, const uint8_t *data, size_t len)
{
    l->stats.sent++;
    l->stats.bytes += len;
    size_t queued = link_queued(l);
    size_t size = len + l->config.extra;
    if (!l->up) {
        l->stats.while_down++;
    } else if (len > l->config.mtu) {
        l->stats.too_large++;
    } else if (queued + size > l->config.queue_bytes) {
        l->stats.overflowed++;
    } else {
        l->stats.queue_peak =
            queued + size > l->stats.queue_peak ? queued + size : l->stats.queue_peak;
        struct link *w = l->wire;
        uint64_t start = w->free_ns > l->world->now ? w->free_ns : l->world->now;
        w->free_ns = start + size * 8 * NS_PER_S / l->config.rate_bps;
        if (is_lost(l)) {
            l->stats.lost++;
            return;
        }
        fly(l, data, len, w->free_ns);
        if (world_chance(l->world, l->config.duplicate_ppm)) {
            l->stats.duplicated++;
            fly(l, data, len, w->free_ns);
        }
    }
}

void link_set_up(struct link *l, bool up)
{
    l->up = up;
}
