/* A whole check against real servers on loopback. */
#include <adit/netcheck.h>
#include <adit/relay.h>

#include "loop/udp_uv.h"
#include "wire/stun.h"

#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

enum { RELAYS = 2, STUN_SOCKETS = 4, TRIES = 20 };

/* What the report said, as far as it outlives the call. */
struct outcome {
    int calls;
    struct adit_netcheck_report report;
    struct adit_netcheck_relay relays[RELAYS + 1];
};

/* A STUN server with two addresses and two ports: socket i has address i / 2 and port i % 2. */
struct behaviour {
    struct udp_uv *udp[STUN_SOCKETS];
    struct addr at[STUN_SOCKETS];
    struct place {
        struct behaviour *server;
        size_t index;
    } places[STUN_SOCKETS];
};

struct world {
    uv_loop_t loop;
    struct adit_relay *servers[RELAYS];
    struct behaviour behaviour;
    size_t stopped;
    struct adit_stun_config stun[RELAYS + 1];
    struct adit_relay_config relays[RELAYS + 1];
    struct adit_netcheck_config config;
    struct outcome outcome;
};

static const char *const hosts[RELAYS] = {"127.0.0.1", "127.0.0.2"};

static void open_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    assert_int_equal(adit_init(), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->config.stun = w->stun;
    w->config.relays = w->relays;
}

/* A relay with a STUN server beside it. */
static void start_server(struct world *w, size_t i)
{
    struct addr at = addr_ipv4(127, 0, 0, (uint8_t)(i + 1), 0);
    struct adit_relay_server_config config = {
        .listen = &at, .listen_count = 1, .stun = &at, .stun_count = 1, .open = true};
    adit_key_generate(config.secret);
    assert_int_equal(adit_relay_start(&w->loop, &config, &w->servers[i]), 0);
    assert_true(adit_relay_address(w->servers[i], 0, &at));
    w->relays[i] = (struct adit_relay_config){.name = hosts[i], .host = hosts[i], .port = at.port};
    assert_true(adit_relay_stun_address(w->servers[i], 0, &at));
    w->stun[i] = (struct adit_stun_config){.host = hosts[i], .port = at.port};
    w->config.stun_count = w->config.relay_count = i + 1;
}

static void on_stopped(void *user)
{
    struct world *w = user;
    w->stopped++;
}

static void close_world(struct world *w)
{
    size_t started = 0;
    for (size_t i = 0; i < RELAYS; i++) {
        if (w->servers[i]) {
            started++;
            adit_relay_stop(w->servers[i], on_stopped, w);
        }
    }
    for (size_t i = 0; i < STUN_SOCKETS; i++) {
        if (w->behaviour.udp[i]) {
            udp_uv_close(w->behaviour.udp[i]);
        }
    }
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->stopped, started);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void on_done(void *user, const struct adit_netcheck_report *report)
{
    struct outcome *o = user;
    o->calls++;
    o->report = *report;
    assert_true(report->relay_count <= RELAYS + 1);
    memcpy(o->relays, report->relays, report->relay_count * sizeof(o->relays[0]));
}

/* Runs the check; the time it took in ms. */
static uint64_t check(struct world *w)
{
    struct adit_netcheck *c;
    uint64_t start = uv_hrtime();
    assert_int_equal(adit_netcheck_start(&w->loop, &w->config, on_done, &w->outcome, &c), 0);
    while (w->outcome.calls == 0) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_int_equal(w->outcome.calls, 1);
    return (uv_hrtime() - start) / NS_PER_MS;
}

/* --- servers that answer --- */

static void two_servers_that_agree_show_that_there_is_no_nat(void **state)
{
    (void)state;
    struct world w;
    char text[ADDR_TEXT_MAX];
    open_world(&w);
    start_server(&w, 0);
    start_server(&w, 1);
    assert_true(check(&w) < 4000); /* it does not wait for what will not come */
    const struct adit_netcheck_report *r = &w.outcome.report;
    assert_true(r->answered);
    assert_int_equal(r->stun_asked, 2);
    assert_int_equal(r->stun_answered, 2);
    assert_true(r->ipv4.asked && r->ipv4.udp && !r->ipv6.asked);
    assert_string_equal(r->ipv4.mapping, "none");
    assert_string_equal(r->ipv4.filtering, "unknown"); /* these servers cannot test it */
    assert_string_equal(r->ipv6.mapping, "unknown");
    assert_int_equal(r->ipv4.public_count, 1);
    assert_string_equal(addr_format_ip(&r->ipv4.publics[0], text), "127.0.0.1");
    assert_non_null(strstr(r->text, "direct connections will work"));
    close_world(&w);
}

static void relays_are_measured(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, 0);
    start_server(&w, 1);
    (void)check(&w);
    assert_int_equal(w.outcome.report.relay_count, 2);
    for (size_t i = 0; i < RELAYS; i++) {
        const struct adit_netcheck_relay *r = &w.outcome.relays[i];
        assert_ptr_equal(r->config, &w.relays[i]);
        assert_true(r->answered);
        assert_int_equal(r->status, 200);
        assert_int_equal(r->error, 0);
        assert_true(r->connect_ns > 0 && r->connect_ns < NS_PER_S);
        assert_true(r->answer_ns > 0 && r->answer_ns < NS_PER_S);
    }
    close_world(&w);
}

/* The port of a socket that was closed again: nobody is there. */
static uint16_t unused_port(struct world *w)
{
    uv_tcp_t tcp;
    struct sockaddr_in at;
    int len = sizeof(at);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &at), 0);
    assert_int_equal(uv_tcp_init(&w->loop, &tcp), 0);
    assert_int_equal(uv_tcp_bind(&tcp, (const struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_tcp_getsockname(&tcp, (struct sockaddr *)&at, &len), 0);
    uv_close((uv_handle_t *)&tcp, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    return (uint16_t)(at.sin_port << 8 | at.sin_port >> 8);
}

static void a_relay_that_is_down_does_not_spoil_the_rest(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    uint16_t port = unused_port(&w);
    start_server(&w, 0);
    w.relays[1] = (struct adit_relay_config){.name = "down", .host = "127.0.0.1", .port = port};
    w.config.relay_count = 2;
    (void)check(&w);
    assert_true(w.outcome.report.answered);
    assert_true(w.outcome.relays[0].answered);
    assert_false(w.outcome.relays[1].answered);
    assert_int_equal(w.outcome.relays[1].error, UV_ECONNREFUSED);
    assert_int_equal(w.outcome.relays[1].status, 0);
    close_world(&w);
}

static void where_nothing_answers_it_says_so_in_time(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    uint16_t port = unused_port(&w);
    w.relays[0] = (struct adit_relay_config){.name = "down", .host = "127.0.0.1", .port = port};
    w.stun[0] = (struct adit_stun_config){.host = "127.0.0.1", .port = port};
    w.config.relay_count = w.config.stun_count = 1;
    assert_true(check(&w) < 5000);
    const struct adit_netcheck_report *r = &w.outcome.report;
    assert_false(r->answered);
    assert_true(r->ipv4.asked);
    assert_false(r->ipv4.udp);
    assert_int_equal(r->stun_asked, 1);
    assert_int_equal(r->stun_answered, 0);
    assert_non_null(strstr(r->text, "nothing answers"));
    close_world(&w);
}

static void nothing_to_ask_is_over_at_once(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    assert_true(check(&w) < 1000);
    assert_false(w.outcome.report.answered);
    assert_false(w.outcome.report.ipv4.asked);
    assert_int_equal(w.outcome.report.portmap, ADIT_PORTMAP_NONE);
    close_world(&w);
}

/* --- RFC 5780 --- */

static void answer(struct place *p, const struct udp_datagram *d)
{
    struct behaviour *b = p->server;
    struct stun_message ask;
    uint8_t out[STUN_MESSAGE_MAX];
    if (stun_read(&ask, d->data, d->len) != 0 || ask.type != STUN_REQUEST) {
        return;
    }
    size_t from = p->index ^ (ask.change & STUN_CHANGE_IP ? 2U : 0U) ^
                  (ask.change & STUN_CHANGE_PORT ? 1U : 0U);
    struct stun_message say = {.type = STUN_SUCCESS,
                               .xor_mapped = d->from,
                               .mapped = d->from,
                               .response_origin = b->at[from],
                               .other_address = b->at[p->index ^ 3]};
    memcpy(say.txid, ask.txid, sizeof(say.txid));
    size_t len = stun_write(out, sizeof(out), &say);
    (void)udp_uv_send(b->udp[from], &d->from, out, len, 0, NULL);
}

static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    (void)now;
    struct udp_datagram d;
    while (udp_batch_next(batch, &d)) {
        answer(user, &d);
    }
}

static void on_writable(void *user, uint64_t now)
{
    (void)user;
    (void)now;
}

/* Both addresses must have both ports free: false if they have not. */
static bool open_behaviour(struct world *w)
{
    static const struct udp_uv_callbacks callbacks = {.on_batch = on_batch,
                                                      .on_writable = on_writable};
    struct behaviour *b = &w->behaviour;
    for (size_t i = 0; i < STUN_SOCKETS; i++) {
        uint16_t port = i < 2 ? 0 : b->at[i - 2].port;
        struct addr at = addr_ipv4(127, 0, 0, (uint8_t)(1 + i / 2), port);
        struct udp_options options = {.bind = &at};
        b->places[i] = (struct place){b, i};
        if (udp_uv_open(&w->loop, &options, NULL, &callbacks, &b->places[i], &b->udp[i]) != 0) {
            while (i > 0) {
                udp_uv_close(b->udp[--i]);
                b->udp[i] = NULL;
            }
            return false;
        }
        assert_int_equal(udp_uv_local(b->udp[i], &b->at[i]), 0);
    }
    return true;
}

static void a_server_with_two_addresses_shows_the_filtering(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    int tries = 0;
    while (!open_behaviour(&w)) {
        assert_true(++tries < TRIES);
    }
    w.stun[0] = (struct adit_stun_config){.host = "127.0.0.1", .port = w.behaviour.at[0].port};
    w.config.stun_count = 1;
    assert_true(check(&w) < 4000);
    const struct adit_netcheck_report *r = &w.outcome.report;
    assert_string_equal(r->ipv4.mapping, "none");
    assert_string_equal(r->ipv4.filtering, "endpoint-independent");
    assert_string_equal(r->text,
                        "direct connections will work with everything that lets UDP through");
    close_world(&w);
}

/* --- cancelling --- */

static void a_cancelled_check_says_nothing(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, 0);
    for (int turns = 0; turns < 6; turns++) { /* in the middle of various things */
        struct adit_netcheck *c;
        struct outcome *o = &w.outcome;
        assert_int_equal(adit_netcheck_start(&w.loop, &w.config, on_done, o, &c), 0);
        for (int i = 0; i < turns && o->calls == 0; i++) {
            (void)uv_run(&w.loop, UV_RUN_ONCE);
        }
        if (o->calls == 0) {
            adit_netcheck_cancel(c);
        }
        int calls = o->calls;
        for (int i = 0; i < 10; i++) {
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(o->calls, calls);
        o->calls = 0;
    }
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_servers_that_agree_show_that_there_is_no_nat),
        cmocka_unit_test(relays_are_measured),
        cmocka_unit_test(a_relay_that_is_down_does_not_spoil_the_rest),
        cmocka_unit_test(where_nothing_answers_it_says_so_in_time),
        cmocka_unit_test(nothing_to_ask_is_over_at_once),
        cmocka_unit_test(a_server_with_two_addresses_shows_the_filtering),
        cmocka_unit_test(a_cancelled_check_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
