/* Two nodes and a relay between, each with a loop of its own, so that each can be stopped alone. */
#include <adit/adit.h>
#include <adit/relay.h>

#include <base/clock.h>

#include "os/sysclock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

enum {
    OUT_BUFFER = 128 << 10, /* what the node fills before it writes to its relay */
    ROUND = 256 << 10,      /* what is read of the relay before it is handed out, */
    READ = 64 << 10,        /* in pieces of this size */
    IN_FLIGHT = 4 * ROUND,  /* so much shall be on its way at once */
    HANDED_ON = 2 * ROUND,  /* or at the receiver's socket, at least */
    RUN = 100,              /* rounds of a loop that change nothing any more */
};
#define DEADLINE_NS (60 * NS_PER_S)

struct end {
    uv_loop_t loop;
    struct adit *adit;
    uint8_t secret[ADIT_KEY_LEN], public[ADIT_KEY_LEN];
    uint64_t stream;
    bool opened;
    bool writes;
    uint64_t read;
};

struct world {
    struct end a, b;
    uv_loop_t relay_loop;
    struct adit_relay *relay;
    uint64_t end_ns;
};

static void write_some(struct end *e)
{
    uint8_t *at;
    size_t room;
    while (e->writes && (room = adit_space(e->adit, e->stream, OUT_BUFFER, &at)) > 0) {
        memset(at, 'x', room);
        adit_wrote(e->adit, e->stream, room);
    }
}

static void read_all(struct end *e)
{
    const uint8_t *at;
    bool fin;
    size_t len;
    while ((len = adit_peek(e->adit, e->stream, &at, &fin)) > 0) {
        e->read += len;
        adit_consume(e->adit, e->stream, len);
    }
}

static void on_event(void *user, const struct adit_event *ev)
{
    struct end *e = user;
    if (ev->type == ADIT_EVENT_OPENED) {
        e->stream = ev->stream;
        e->opened = true;
        assert_int_equal(adit_accept(e->adit, ev->stream, "", 0), 0);
    } else if (ev->type == ADIT_EVENT_READABLE) {
        read_all(e);
    } else if (ev->type == ADIT_EVENT_WRITABLE) {
        write_some(e);
    }
}

static void start_relay(struct world *w)
{
    struct addr listen = addr_ipv4(127, 0, 0, 1, 0);
    struct adit_relay_server_config config = {.listen = &listen, .listen_count = 1, .open = true};
    adit_key_generate(config.secret);
    assert_int_equal(uv_loop_init(&w->relay_loop), 0);
    assert_int_equal(adit_relay_start(&w->relay_loop, &config, &w->relay), 0);
}

/* They know no address of each other and tell none, so that there is only the relay. The window of
 * CUBIC grows for as long as nothing is lost, on the slowest machine. */
static void start_end(struct world *w, struct end *e, const struct end *peer)
{
    struct addr at;
    assert_true(adit_relay_address(w->relay, 0, &at));
    struct adit_relay_config relay = {
        .name = "hub", .host = "127.0.0.1", .port = at.port, .home = true};
    struct adit_peer_config other = {.name = "other"};
    memcpy(other.key, peer->public, ADIT_KEY_LEN);
    struct adit_config config = {.name = "node",
                                 .listen = addr_ipv4(127, 0, 0, 1, 0),
                                 .congestion = ADIT_CONGESTION_CUBIC,
                                 .resume_timeout_ns = 3600 * NS_PER_S,
                                 .relays = &relay,
                                 .relay_count = 1,
                                 .peers = &other,
                                 .peer_count = 1};
    memcpy(config.secret, e->secret, ADIT_KEY_LEN);
    assert_int_equal(uv_loop_init(&e->loop), 0);
    assert_int_equal(adit_start(&e->loop, &config, on_event, e, &e->adit), 0);
}

static void start_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->end_ns = sys_now_ns() + DEADLINE_NS;
    assert_int_equal(adit_init(), 0);
    struct end *ends[] = {&w->a, &w->b};
    for (size_t i = 0; i < 2; i++) {
        adit_key_generate(ends[i]->secret);
        assert_int_equal(adit_key_public(ends[i]->public, ends[i]->secret), 0);
    }
    start_relay(w);
    start_end(w, &w->b, &w->a);
    start_end(w, &w->a, &w->b);
}

static void end_world(struct world *w)
{
    adit_stop(w->a.adit, NULL, NULL);
    adit_stop(w->b.adit, NULL, NULL);
    adit_relay_stop(w->relay, NULL, NULL);
    uv_loop_t *loops[] = {&w->a.loop, &w->b.loop, &w->relay_loop};
    for (size_t i = 0; i < 3; i++) {
        (void)uv_run(loops[i], UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(loops[i]), 0);
    }
}

static void step(struct world *w, uv_loop_t *loop)
{
    assert_true(sys_now_ns() < w->end_ns);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

static void step_all(struct world *w)
{
    step(w, &w->a.loop);
    step(w, &w->relay_loop);
    step(w, &w->b.loop);
}

static struct adit_peer_stats stats_of(const struct end *e)
{
    struct adit_peer_stats stats;
    assert_true(adit_peer_stats(e->adit, 0, &stats));
    return stats;
}

static void drain(struct world *w)
{
    w->a.writes = false;
    while (stats_of(&w->a).path.in_flight > 0) {
        step_all(w);
    }
    for (int i = 0; i < RUN; i++) {
        step_all(w);
    }
}

/* A stream from a to b that has moved so much that a's window lets IN_FLIGHT go; nothing is under
 * way. */
static void open_wide(struct world *w)
{
    assert_int_equal(adit_open(w->a.adit, 0, "x", 1, NULL, &w->a.stream), 0);
    w->a.writes = true;
    write_some(&w->a);
    while (stats_of(&w->a).path.cwnd < IN_FLIGHT) {
        step_all(w);
    }
    drain(w);
    assert_true(w->b.opened);
    assert_int_equal(stats_of(&w->a).path.kind, ADIT_PATH_RELAY);
}

/* True if once all that the node's buffer holds was written and the loop did not sleep then. */
static bool goes_on_at_once(struct world *w)
{
    bool any = false;
    w->a.writes = true;
    write_some(&w->a);
    for (uint64_t now = 0; now <= IN_FLIGHT / 2;) {
        uint64_t before = now;
        step(w, &w->a.loop);
        now = stats_of(&w->a).path.in_flight;
        any = any || (now > before + OUT_BUFFER * 3 / 4 && uv_backend_timeout(&w->a.loop) == 0);
    }
    drain(w);
    return any;
}

/* Nobody else runs meanwhile. It may be the pace that has run out, so there are some tries. */
static void a_sender_does_not_wait_for_an_answer(void **state)
{
    (void)state;
    enum { TRIES = 20 };
    struct world w;
    start_world(&w);
    open_wide(&w);
    for (int i = 0; !goes_on_at_once(&w); i++) {
        assert_true(i < TRIES);
    }
    assert_int_equal(stats_of(&w.a).path.kind, ADIT_PATH_RELAY);
    end_world(&w);
}

/* A receiver that finds much at its socket hands it out, and says so, part by part. */
static void a_receiver_takes_no_more_than_a_round(void **state)
{
    (void)state;
    struct world w;
    start_world(&w);
    open_wide(&w);
    w.a.writes = true;
    write_some(&w.a);
    while (stats_of(&w.a).path.in_flight < HANDED_ON) {
        step(&w, &w.a.loop);
        step(&w, &w.relay_loop);
    }
    for (int i = 0; i < RUN; i++) {
        step(&w, &w.relay_loop);
    }
    uint64_t end = stats_of(&w.b).bytes_in + HANDED_ON / 2;
    for (uint64_t now = stats_of(&w.b).bytes_in; now < end;) {
        step(&w, &w.b.loop);
        uint64_t before = now;
        now = stats_of(&w.b).bytes_in;
        assert_true(now - before < ROUND + READ);
    }
    assert_int_equal(stats_of(&w.a).path.kind, ADIT_PATH_RELAY);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_does_not_wait_for_an_answer),
        cmocka_unit_test(a_receiver_takes_no_more_than_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
