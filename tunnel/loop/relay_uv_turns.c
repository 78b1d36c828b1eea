/* Turns: who has much to say or to hear does not make the others wait.
 *
 * When a poll has told who is ready, light clients are read from and their packets are gone; only
 * then heavy ones have a turn, and the loop polls again before the next of them. If many wait half
 * of them come at once: a poll tells of all, and would else cost as much as the turns between.
 *
 * Two clients of which one sends bulk to the other, which acknowledges it, are a pair. Where nobody
 * else has spoken for a while its turns are longer: each costs five system calls and wakes both.
 */
#include "loop/relay_uv_internal.h"

#include <base/check.h>

enum {
    READ_BYTES = 16 << 10, /* of a heavy client in its turn */
    ALONE_BYTES = STREAM_UV_READ,
    ALONE_TURNS = 256, /* in which nobody else has spoken */
    PART = 2,          /* of those that wait, between two polls */
};

/* One more becomes part of the pair in place of the one that was it longer. */
static void pair_with(struct relay_uv *r, uint64_t id)
{
    if (r->pair[0] != id) {
        r->pair[1] = r->pair[0];
        r->pair[0] = id;
    }
}

void relay_uv_turns_heard(struct relay_uv_client *c)
{
    struct relay_uv *r = c->relay;
    if (c->id != r->pair[0] && c->id != r->pair[1]) {
        r->short_turns = ALONE_TURNS;
    }
    if (c->stream.heavy) {
        pair_with(r, c->id);
    }
}

void relay_uv_turns_wrote(struct relay_uv_client *c, size_t bytes)
{
    if (bytes >= STREAM_UV_LIGHT) {
        pair_with(c->relay, c->id);
    }
}

static void read_on(struct relay_uv *r, size_t count)
{
    size_t bytes = r->short_turns > 0 ? READ_BYTES : ALONE_BYTES;
    r->short_turns -= r->short_turns > 0;
    stream_uv_turn(&r->buffers, count, bytes);
}

static void write_on(struct relay_uv *r, size_t count)
{
    struct relay_uv_client *c;
    uint64_t now = uv_hrtime();
    while (count-- > 0 && (c = TAILQ_FIRST(&r->writers))) {
        relay_uv_turns_remove(c);
        relay_uv_client_flush(c, now);
        relay_uv_run_events(r, now);
    }
}

static size_t part_of(size_t count)
{
    return (count + PART - 1) / PART;
}

static void on_check(uv_check_t *check)
{
    struct relay_uv *r = check->data;
    if (r->buffers.heavy_count > 0) {
        read_on(r, part_of(r->buffers.heavy_count));
    }
    if (r->writers_count > 0) {
        write_on(r, part_of(r->writers_count));
    }
}

/* That it is on lets the loop poll without waiting. */
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void relay_uv_turns_init(struct relay_uv *r)
{
    stream_uv_take_turns(&r->buffers);
    TAILQ_INIT(&r->writers);
    r->turns.data = r;
    r->again.data = r;
    /* None of these can fail, says libuv. */
    CHECK(uv_check_init(r->loop, &r->turns) == 0 && uv_idle_init(r->loop, &r->again) == 0);
    CHECK(uv_check_start(&r->turns, on_check) == 0);
    r->handles += 2;
}

void relay_uv_turns_close(struct relay_uv *r)
{
    uv_close((uv_handle_t *)&r->turns, relay_uv_on_part_closed);
    uv_close((uv_handle_t *)&r->again, relay_uv_on_part_closed);
}

void relay_uv_turns_add_writer(struct relay_uv_client *c)
{
    struct relay_uv *r = c->relay;
    if (!c->writes) {
        TAILQ_INSERT_TAIL(&r->writers, c, turn);
        c->writes = true;
        r->writers_count++;
        CHECK(uv_idle_start(&r->again, on_idle) == 0);
    }
}

void relay_uv_turns_remove(struct relay_uv_client *c)
{
    struct relay_uv *r = c->relay;
    if (c->writes) {
        TAILQ_REMOVE(&r->writers, c, turn);
        c->writes = false;
        if (--r->writers_count == 0) {
            CHECK(uv_idle_stop(&r->again) == 0);
        }
    }
}
