/* Two nodes in one loop on loopback that talk, and may send bulk beside it: the loop's rounds and
 * waits.
 */
#ifndef TESTS_UNIT_LOOP_TALK_WORLD_H
#define TESTS_UNIT_LOOP_TALK_WORLD_H

#include <adit/adit.h>
#include <adit/key.h>
#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

enum { TALK_DEADLINE_MS = 60000 };

struct end {
    struct world *world;
    struct adit *adit;
    uint8_t secret[ADIT_KEY_LEN], public[ADIT_KEY_LEN];
    uint64_t stream; /* of words */
    unsigned heard;
    uint64_t bulk; /* the other stream, if there is one */
    bool has_bulk;
    bool silent; /* does not answer */
};

struct world {
    uv_loop_t loop;
    uv_timer_t timer;
    bool over;
    uint64_t spin_ns;
    struct end a, b;
    int stopping;
};

/* Runs the loop until the condition holds; fails the test at the deadline. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        while (!(condition) && !(w)->over) {                                                       \
            (void)uv_run(&(w)->loop, UV_RUN_ONCE);                                                 \
        }                                                                                          \
        assert_false((w)->over);                                                                   \
    } while (0)

static inline void talk_say(struct end *e)
{
    uint8_t *at;
    assert_true(adit_space(e->adit, e->stream, 1, &at) >= 1);
    *at = 'x';
    adit_wrote(e->adit, e->stream, 1);
}

static inline void talk_fill(struct end *e)
{
    uint8_t *at;
    size_t room;
    while ((room = adit_space(e->adit, e->bulk, 65536, &at)) > 0) {
        memset(at, 0, room);
        adit_wrote(e->adit, e->bulk, room);
    }
}

/* The first stream is for words, and each answers what it hears; bulk flows on the second. */
static inline void talk_on_event(void *user, const struct adit_event *ev)
{
    struct end *e = user;
    const uint8_t *at;
    bool fin;
    size_t len;
    bool is_bulk = e->has_bulk && ev->stream == e->bulk;
    if (ev->type == ADIT_EVENT_OPENED && ev->data && memcmp(ev->data, "bulk", 4) == 0) {
        e->bulk = ev->stream;
        e->has_bulk = true;
        assert_int_equal(adit_accept(e->adit, ev->stream, NULL, 0), 0);
    } else if (ev->type == ADIT_EVENT_OPENED) {
        e->stream = ev->stream;
        assert_int_equal(adit_accept(e->adit, ev->stream, NULL, 0), 0);
    } else if (ev->type == ADIT_EVENT_WRITABLE && is_bulk) {
        talk_fill(e);
    } else if (ev->type == ADIT_EVENT_READABLE && is_bulk) {
        while ((len = adit_peek(e->adit, ev->stream, &at, &fin)) > 0) {
            adit_consume(e->adit, ev->stream, len);
        }
    } else if (ev->type == ADIT_EVENT_READABLE) {
        len = adit_peek(e->adit, ev->stream, &at, &fin);
        adit_consume(e->adit, ev->stream, len);
        e->heard++;
        if (!e->silent) {
            talk_say(e);
        }
    }
}

static inline void talk_on_timer(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->over = true;
}

static inline void talk_start(struct end *e, const struct end *peer)
{
    char text[ADDR_TEXT_MAX];
    struct addr there;
    if (peer->adit) {
        adit_local(peer->adit, &there);
        (void)addr_format(&there, text);
    }
    const char *const endpoints[] = {text};
    struct adit_peer_config peers = {
        .name = "other", .endpoints = endpoints, .endpoint_count = peer->adit ? 1 : 0};
    memcpy(peers.key, peer->public, ADIT_KEY_LEN);
    struct adit_config config = {.name = "node",
                                 .listen = addr_ipv4(127, 0, 0, 1, 0),
                                 .offload = true,
                                 .spin_ns = e->world->spin_ns,
                                 .resume_timeout_ns = 3600 * NS_PER_S,
                                 .peers = &peers,
                                 .peer_count = 1};
    memcpy(config.secret, e->secret, ADIT_KEY_LEN);
    assert_int_equal(adit_start(&e->world->loop, &config, talk_on_event, e, &e->adit), 0);
}

static inline void talk_begin(struct world *w, uint64_t spin_ns)
{
    memset(w, 0, sizeof(*w));
    w->spin_ns = spin_ns;
    assert_int_equal(adit_init(), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->timer), 0);
    w->timer.data = w;
    (void)uv_timer_start(&w->timer, talk_on_timer, TALK_DEADLINE_MS, 0);
    struct end *ends[] = {&w->a, &w->b};
    for (size_t i = 0; i < 2; i++) {
        ends[i]->world = w;
        adit_key_generate(ends[i]->secret);
        assert_int_equal(adit_key_public(ends[i]->public, ends[i]->secret), 0);
    }
    talk_start(&w->b, &w->a);
    talk_start(&w->a, &w->b);
    assert_int_equal(adit_open(w->a.adit, 0, "web:80", 6, NULL, &w->a.stream), 0);
    talk_say(&w->a);
}

static inline void talk_on_stopped(void *user)
{
    struct world *w = user;
    w->stopping--;
}

static inline void talk_finish(struct world *w)
{
    w->stopping = 2;
    adit_stop(w->a.adit, talk_on_stopped, w);
    adit_stop(w->b.adit, talk_on_stopped, w);
    while (w->stopping > 0) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&w->timer, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static inline void talk_assert_direct(const struct end *e)
{
    struct adit_peer_stats stats;
    assert_true(adit_peer_stats(e->adit, 0, &stats));
    assert_int_equal(stats.path.kind, ADIT_PATH_DIRECT);
}

#endif
