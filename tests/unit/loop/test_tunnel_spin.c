/* The loop's waits between two nodes that talk on loopback. Both are in one loop, so that whoever
 * waits is answered as soon as it can be. */
#include <adit/adit.h>
#include <adit/key.h>
#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

enum { DEADLINE_MS = 60000, SILENCE_MS = 100, SILENT_ROUNDS_MAX = 1500 };

struct end {
    struct world *world;
    struct adit *adit;
    uint8_t secret[ADIT_KEY_LEN], public[ADIT_KEY_LEN];
    uint64_t stream;
    unsigned heard;
};

struct world {
    uv_loop_t loop;
    uv_timer_t timer;
    bool over;
    bool spin;
    struct end a, b;
    int stopping;
};

static void say(struct end *e)
{
    uint8_t *at;
    assert_true(adit_space(e->adit, e->stream, 1, &at) >= 1);
    *at = 'x';
    adit_wrote(e->adit, e->stream, 1);
}

/* Each answers what it hears. */
static void on_event(void *user, const struct adit_event *ev)
{
    struct end *e = user;
    const uint8_t *at;
    bool fin;
    if (ev->type == ADIT_EVENT_OPENED) {
        e->stream = ev->stream;
        assert_int_equal(adit_accept(e->adit, ev->stream, NULL, 0), 0);
    } else if (ev->type == ADIT_EVENT_READABLE) {
        size_t len = adit_peek(e->adit, ev->stream, &at, &fin);
        adit_consume(e->adit, ev->stream, len);
        e->heard++;
        say(e);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->over = true;
}

static void start_end(struct end *e, const struct end *peer)
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
                                 .spin = e->world->spin,
                                 .resume_timeout_ns = 3600 * NS_PER_S,
                                 .peers = &peers,
                                 .peer_count = 1};
    memcpy(config.secret, e->secret, ADIT_KEY_LEN);
    assert_int_equal(adit_start(&e->world->loop, &config, on_event, e, &e->adit), 0);
}

static void begin(struct world *w, bool spin)
{
    memset(w, 0, sizeof(*w));
    w->spin = spin;
    assert_int_equal(adit_init(), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->timer), 0);
    w->timer.data = w;
    (void)uv_timer_start(&w->timer, on_timer, DEADLINE_MS, 0);
    struct end *ends[] = {&w->a, &w->b};
    for (size_t i = 0; i < 2; i++) {
        ends[i]->world = w;
        adit_key_generate(ends[i]->secret);
        assert_int_equal(adit_key_public(ends[i]->public, ends[i]->secret), 0);
    }
    start_end(&w->b, &w->a);
    start_end(&w->a, &w->b);
    assert_int_equal(adit_open(w->a.adit, 0, "web:80", 6, NULL, &w->a.stream), 0);
    say(&w->a);
}

static void on_stopped(void *user)
{
    struct world *w = user;
    w->stopping--;
}

static void finish(struct world *w)
{
    w->stopping = 2;
    adit_stop(w->a.adit, on_stopped, w);
    adit_stop(w->b.adit, on_stopped, w);
    while (w->stopping > 0) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&w->timer, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static uint64_t spins(const struct end *e)
{
    struct adit_counters n;
    adit_counters(e->adit, &n);
    return n.waits_polled;
}

static void assert_direct(const struct end *e)
{
    struct adit_peer_stats stats;
    assert_true(adit_peer_stats(e->adit, 0, &stats));
    assert_int_equal(stats.path.kind, ADIT_PATH_DIRECT);
}

/* Who is talked to quickly does not sleep between two words. */
static void a_conversation_is_had_awake(void **state)
{
    (void)state;
    struct world w;
    begin(&w, true);
    while (!w.over && (spins(&w.a) < 10 || spins(&w.b) < 10)) {
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    }
    assert_false(w.over);
    assert_direct(&w.a);
    assert_direct(&w.b);
    finish(&w);
}

static void unless_it_shall_not(void **state)
{
    (void)state;
    struct world w;
    begin(&w, false);
    while (!w.over && w.a.heard < 500) {
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    }
    assert_false(w.over);
    assert_true(spins(&w.a) + spins(&w.b) == 0);
    finish(&w);
}

/* The word that is not answered ends it: the loop sleeps, and its rounds can be counted. */
static void silence_is_slept_through(void **state)
{
    (void)state;
    struct world w;
    begin(&w, true);
    while (!w.over && (spins(&w.a) < 10 || spins(&w.b) < 10)) {
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    }
    assert_false(w.over);
    adit_abort(w.a.adit, w.a.stream, CAUSE_CANCELLED);
    (void)uv_timer_start(&w.timer, on_timer, SILENCE_MS, 0);
    unsigned rounds = 0;
    while (!w.over) {
        (void)uv_run(&w.loop, UV_RUN_ONCE);
        rounds++;
    }
    assert_in_range(rounds, 1, SILENT_ROUNDS_MAX);
    finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_is_had_awake),
        cmocka_unit_test(unless_it_shall_not),
        cmocka_unit_test(silence_is_slept_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
