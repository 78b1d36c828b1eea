#include "transport/ack.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>

enum {
    RANGES_MANY = 8,
    ASK_EVERY = 32,     /* ack-eliciting packets per question */
    REORDER_ROOM = 256, /* packets below a confirmed number that may still arrive late */
};

void ack_init(struct ack *a)
{
    *a = (struct ack){.due_ns = TIME_NEVER, .every = ACK_EVERY};
    ranges_init(&a->got, FRAME_ACK_RANGES_MAX);
}

void ack_deinit(struct ack *a)
{
    ranges_deinit(&a->got);
}

static uint64_t end_of(const struct ack *a)
{
    return a->got.count > 0 ? a->got.list[a->got.count - 1].end : a->floor;
}

bool ack_has_seen(const struct ack *a, uint64_t number)
{
    return number < a->floor || (number < end_of(a) && ranges_contains(&a->got, number));
}

/* Adds the number, forgetting the lowest range if need be. */
static int add(struct ack *a, uint64_t number)
{
    int err = ranges_add(&a->got, number, number + 1);
    if (err == ERR_NO_ROOM) {
        uint64_t floor = a->got.list[0].end;
        if (number < floor) {
            return ERR_NO_MEMORY;
        }
        ranges_drop_lowest(&a->got);
        a->floor = floor;
        err = ranges_add(&a->got, number, number + 1);
    }
    return err;
}

uint64_t ack_period(uint64_t rtt_ns)
{
    return time_min(rtt_ns / ACK_PERIOD_SHARE, ACK_PERIOD_MAX_NS);
}

/* How many come in a period. One that is over long ago says that few do. */
static void count(struct ack *a, uint64_t period_ns, uint64_t now)
{
    a->counted++;
    uint64_t elapsed = time_since(a->counted_ns, now);
    if (elapsed < period_ns || elapsed == 0) {
        return;
    }
    uint64_t every = a->counted * period_ns / elapsed;
    every = every < ACK_EVERY_MAX ? every : ACK_EVERY_MAX;
    a->every = every > ACK_EVERY ? (uint32_t)every : ACK_EVERY;
    a->counted = 0;
    a->counted_ns = now;
}

/* The sender tells from the numbers behind a gap what is lost. */
static bool is_near_gap(const struct ack *a)
{
    const struct range *last = &a->got.list[a->got.count - 1];
    return a->got.count > 1 && last->end - last->start < ACK_GAP_NEAR;
}

static bool are_enough(const struct ack *a)
{
    bool big = a->bytes >= (uint64_t)ACK_EVERY * ACK_FULL_BYTES;
    return a->eliciting >= a->every && (big || a->eliciting >= ACK_SMALL_MAX || is_near_gap(a));
}

int ack_on_received(struct ack *a, uint64_t number, size_t eliciting, uint64_t delay_ns,
                    uint64_t period_ns, uint64_t now)
{
    uint64_t expected = end_of(a);
    int err = add(a, number);
    if (err < 0) {
        return ERR_NO_MEMORY;
    }
    if (number >= expected) {
        a->largest_ns = now;
    }
    a->along = a->along || is_near_gap(a);
    if (eliciting == 0) {
        return 0;
    }
    a->eliciting++;
    a->bytes += eliciting;
    a->untold++;
    count(a, period_ns, now);
    uint64_t wait_ns = a->every > ACK_EVERY ? time_min(delay_ns, 2 * period_ns) : delay_ns;
    bool in_order = number == expected;
    uint64_t due = in_order && !are_enough(a) ? time_add(now, wait_ns) : 0;
    a->due_ns = time_min(a->due_ns, due);
    return 0;
}

bool ack_make(const struct ack *a, struct frame_ack *out, uint64_t now)
{
    size_t count = a->got.count;
    if (count == 0) {
        return false;
    }
    out->delay_us = time_since(a->largest_ns, now) / NS_PER_US;
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct range *r = &a->got.list[count - 1 - i];
        out->ranges[i] = (struct frame_range){r->start, r->end - 1};
    }
    return true;
}

void ack_on_sent(struct ack *a)
{
    a->due_ns = TIME_NEVER;
    a->along = false;
    a->eliciting = 0;
    a->bytes = 0;
}

bool ack_wants_confirmation(const struct ack *a)
{
    return a->got.count > RANGES_MANY && a->untold >= ASK_EVERY;
}

void ack_on_asked(struct ack *a)
{
    a->untold = 0;
}

void ack_on_confirmed(struct ack *a, uint64_t largest)
{
    a->untold = 0;
    if (largest <= REORDER_ROOM || largest >= end_of(a)) {
        return;
    }
    uint64_t floor = largest - REORDER_ROOM;
    if (floor > a->floor) {
        a->floor = floor;
        ranges_remove_below(&a->got, floor);
    }
}
