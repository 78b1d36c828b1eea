#include "transport/reassembly.h"

#include <base/mem.h>

#include <string.h>

void reassembly_init(struct reassembly *r)
{
    *r = (struct reassembly){0};
    for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
        ranges_init(&r->slots[i].got, REASSEMBLY_RANGES_MAX);
    }
}

void reassembly_clear(struct reassembly *r)
{
    uint64_t lost = r->lost;
    for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
        lost += r->slots[i].used;
        mem_free(r->slots[i].data);
        ranges_deinit(&r->slots[i].got);
    }
    reassembly_init(r);
    r->lost = lost;
}

static void give_up(struct reassembly *r, struct reassembly_slot *s)
{
    r->lost++;
    s->used = false;
}

static void forget_old(struct reassembly *r, uint64_t now)
{
    for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
        struct reassembly_slot *s = &r->slots[i];
        if (s->used && time_since(s->since_ns, now) > REASSEMBLY_NS) {
            give_up(r, s);
        }
    }
}

static struct reassembly_slot *find(struct reassembly *r, const struct reassembly_part *part)
{
    for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
        struct reassembly_slot *s = &r->slots[i];
        if (s->used && s->stream == part->stream && s->number == part->number) {
            return s;
        }
    }
    return NULL;
}

/* A free slot, else the oldest. */
static struct reassembly_slot *take_slot(struct reassembly *r)
{
    struct reassembly_slot *best = &r->slots[0];
    for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
        struct reassembly_slot *s = &r->slots[i];
        if (!s->used) {
            return s;
        }
        best = s->since_ns < best->since_ns ? s : best;
    }
    give_up(r, best);
    return best;
}

static bool make_room(struct reassembly_slot *s, size_t total)
{
    if (s->size >= total) {
        return true;
    }
    uint8_t *data = mem_resize(s->data, total);
    if (data) {
        s->data = data;
        s->size = total;
    }
    return data != NULL;
}

static struct reassembly_slot *begin(struct reassembly *r, const struct reassembly_part *part,
                                     uint64_t now)
{
    struct reassembly_slot *s = take_slot(r);
    if (!make_room(s, part->total)) {
        r->lost++;
        return NULL;
    }
    ranges_clear(&s->got);
    s->used = true;
    s->stream = part->stream;
    s->number = part->number;
    s->total = part->total;
    s->since_ns = now;
    return s;
}

const uint8_t *reassembly_add(struct reassembly *r, const struct reassembly_part *part,
                              uint64_t now)
{
    forget_old(r, now);
    struct reassembly_slot *s = find(r, part);
    s = s ? s : begin(r, part, now);
    if (!s) {
        return NULL;
    }
    if (s->total != part->total ||
        ranges_add(&s->got, part->offset, part->offset + part->len) < 0) {
        give_up(r, s);
        return NULL;
    }
    memcpy(s->data + part->offset, part->data, part->len);
    if (!ranges_covers(&s->got, 0, s->total)) {
        return NULL;
    }
    s->used = false;
    return s->data;
}
