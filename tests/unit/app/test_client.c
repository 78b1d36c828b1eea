/* The front with `direct` routes: applications, the pump and the dialler over real sockets. */
#include "app/client.h"
#include "app/listener.h"

#include "unit/app/world.h"

#include <base/mem.h>

#include <stdlib.h>

struct front_world {
    struct world w;
    struct context ctx;
    struct clients clients;
    struct listener *listener;
    struct config *config;
    struct addr socks;
};

static const char ini[] = "[node]\nname = here\n"
                          "[front]\nlisten = none\n"
                          "[route]\n127.0.0.0/8 = direct\nlocalhost = direct\n"
                          "invalid = direct\ndefault = refuse\n";

static struct front_world *setup(const struct front_times *times)
{
    struct front_world *f = mem_new(1, sizeof(*f));
    assert_non_null(f);
    const struct config_env env = {.state = "/nowhere"};
    struct config_errors errors;
    assert_int_equal(config_parse(&f->config, "x.ini", ini, sizeof(ini) - 1, &env, &errors), 0);
    world_init(&f->w);
    f->ctx.loop = &f->w.loop;
    f->ctx.config = f->config;
    f->ctx.times = times ? *times : front_times_default;
    f->ctx.limits.clients_max = 3;
    pool_init(&f->ctx.pool, 16);
    resolver_init(&f->ctx.resolver, &f->w.loop);
    gate_init(&f->ctx.gate, &f->w.loop, NULL);
    clients_init(&f->clients, &f->ctx);
    own_init(&f->ctx.own);
    const struct client_door door = {.front = f->config->fronts};
    const struct config_listen any = {.addr = addr_ipv4(127, 0, 0, 1, 0)};
    assert_int_equal(listener_start(&f->clients, &any, &door, &f->listener), 0);
    f->socks = listener_address(f->listener);
    return f;
}

static void on_unused(void *user)
{
    *(bool *)user = true;
}

static void teardown(struct front_world *f)
{
    bool unused = false;
    listener_stop(f->listener);
    clients_stop(&f->clients);
    resolver_stop(&f->ctx.resolver);
    tcp_break_all(&f->ctx.pool, on_unused, &unused);
    WORLD_UNTIL(&f->w, unused);
    world_deinit(&f->w);
    pool_deinit(&f->ctx.pool);
    config_free(f->config);
    mem_free(f);
}

/* A connection through the front: descriptors of the application and of the target. */
struct pair {
    int client, server, listener;
};

static struct pair connect_pair(struct front_world *f)
{
    struct addr at;
    struct pair p;
    p.listener = world_listen(&at);
    p.client = world_ask(&f->w, &f->socks, "127.0.0.1", at.port);
    p.server = world_accept(&f->w, p.listener);
    assert_int_equal(world_rep(&f->w, p.client), 0);
    return p;
}

static void close_pair(struct pair *p)
{
    (void)close(p->client);
    (void)close(p->server);
    (void)close(p->listener);
}

static void half_close_goes_each_way_alone(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    for (int server_first = 0; server_first < 2; server_first++) {
        struct pair p = connect_pair(f);
        int first = server_first ? p.server : p.client;
        int second = server_first ? p.client : p.server;
        char in[8] = "";
        world_put(&f->w, first, "ping", 4);
        assert_int_equal(shutdown(first, SHUT_WR), 0);
        assert_int_equal(world_get(&f->w, second, in, 4), 4);
        assert_memory_equal(in, "ping", 4);
        assert_int_equal(world_end(&f->w, second), 0);
        world_put(&f->w, second, "pong", 4);
        assert_int_equal(world_get(&f->w, first, in, 4), 4);
        assert_memory_equal(in, "pong", 4);
        assert_int_equal(shutdown(second, SHUT_WR), 0);
        assert_int_equal(world_end(&f->w, first), 0);
        WORLD_UNTIL(&f->w, f->clients.count == 0);
        close_pair(&p);
    }
    assert_int_equal(f->ctx.counters.front.connected, 2);
    assert_int_equal(f->ctx.pool.used, 0);
    teardown(f);
}

static void bytes_behind_the_request_reach_the_target_first(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    struct addr at;
    char in[9];
    int listener = world_listen(&at);
    int client = world_ask(&f->w, &f->socks, "localhost", at.port);
    world_put(&f->w, client, "early", 5);
    assert_int_equal(shutdown(client, SHUT_WR), 0); /* and it asks for nothing more */
    int server = world_accept(&f->w, listener);
    assert_int_equal(world_rep(&f->w, client), 0);
    assert_int_equal(world_get(&f->w, server, in, sizeof(in)), 5);
    assert_memory_equal(in, "early", 5);
    struct pair p = {client, server, listener};
    close_pair(&p);
    teardown(f);
}

static void resets_go_through(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    struct pair p = connect_pair(f);
    world_reset(p.server);
    p.server = -1;
    assert_int_equal(world_end(&f->w, p.client), -ECONNRESET);
    close_pair(&p);
    p = connect_pair(f);
    world_reset(p.client);
    p.client = -1;
    assert_int_equal(world_end(&f->w, p.server), -ECONNRESET);
    close_pair(&p);
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    teardown(f);
}

/* Sends until nothing has gone for a while; returns how much. */
static size_t send_until_stuck(struct front_world *f, int fd, const uint8_t *data, size_t len)
{
    size_t sent = 0;
    uint64_t last = uv_now(&f->w.loop);
    while (sent < len && uv_now(&f->w.loop) - last < 100) {
        ssize_t n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            last = uv_now(&f->w.loop);
        }
        world_turn(&f->w);
    }
    return sent;
}

static void slow_reader_holds_the_sender(void **state)
{
    (void)state;
    enum { LEN = 64 << 20 };
    struct front_world *f = setup(NULL);
    uint8_t *data = malloc(LEN);
    uint8_t *in = malloc(LEN);
    assert_non_null(data);
    assert_non_null(in);
    for (size_t i = 0; i < LEN; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 13));
    }
    for (int up = 0; up < 2; up++) {
        struct pair p = connect_pair(f);
        int from = up ? p.client : p.server;
        int to = up ? p.server : p.client;
        size_t sent = send_until_stuck(f, from, data, LEN);
        assert_true(sent < LEN); /* sockets' buffers and two blocks, not more */
        assert_true(f->ctx.pool.used <= 2);
        assert_int_equal(world_get(&f->w, to, in, sent), sent);
        assert_memory_equal(in, data, sent);
        world_put(&f->w, from, "on", 2); /* it goes on after it was stuck */
        assert_int_equal(world_get(&f->w, to, in, 2), 2);
        assert_int_equal(f->ctx.pool.used, 0);
        close_pair(&p);
    }
    free(data);
    free(in);
    teardown(f);
}

static unsigned rep_of(struct front_world *f, const char *host, uint16_t port)
{
    int client = world_ask(&f->w, &f->socks, host, port);
    unsigned rep = world_rep(&f->w, client);
    assert_int_equal(world_end(&f->w, client), 0); /* closed, and not with a reset */
    (void)close(client);
    return rep;
}

static void failures_have_their_reply(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    struct addr closed;
    int fd = world_bind(&closed);
    assert_int_equal(rep_of(f, "127.0.0.1", closed.port), SOCKS5_REP_REFUSED);
    assert_int_equal(rep_of(f, "localhost", closed.port), SOCKS5_REP_REFUSED);
    /* Longer than a label may be: no resolver asks anybody for it. */
    static const char name[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid";
    assert_int_equal(rep_of(f, name, 80), SOCKS5_REP_HOST_UNREACHABLE);
    assert_int_equal(rep_of(f, "10.1.2.3", 80), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(rep_of(f, "nobody.peer", 80), SOCKS5_REP_HOST_UNREACHABLE);
    const uint64_t *failures = f->ctx.counters.front.failures;
    assert_int_equal(failures[CAUSE_REFUSED], 2);
    assert_int_equal(failures[CAUSE_NAME_NOT_FOUND], 1);
    assert_int_equal(failures[CAUSE_REFUSED_BY_ROUTE], 1);
    assert_int_equal(failures[CAUSE_UNKNOWN_PEER], 1);
    (void)close(fd);
    teardown(f);
}

static void a_target_that_does_not_answer_times_out(void **state)
{
    (void)state;
    const struct front_times times = {
        .negotiate = 10 * NS_PER_S, .connect = 30 * NS_PER_MS, .linger = NS_PER_S};
    struct front_world *f = setup(&times);
    struct addr at;
    int fillers[4];
    int listener = world_bind(&at);
    assert_int_equal(listen(listener, 0), 0); /* full after one or two: further ones wait */
    for (size_t i = 0; i < 4; i++) {
        fillers[i] = world_connect(&at);
    }
    assert_int_equal(rep_of(f, "127.0.0.1", at.port), SOCKS5_REP_TTL_EXPIRED);
    assert_int_equal(f->ctx.counters.front.failures[CAUSE_TIMED_OUT], 1);
    for (size_t i = 0; i < 4; i++) {
        (void)close(fillers[i]);
    }
    (void)close(listener);
    teardown(f);
}

static void slow_and_wrong_clients_are_closed_and_counted(void **state)
{
    (void)state;
    const struct front_times times = {
        .negotiate = 30 * NS_PER_MS, .connect = NS_PER_S, .linger = 30 * NS_PER_MS};
    struct front_world *f = setup(&times);
    int silent = world_connect(&f->socks);
    int slow = world_connect(&f->socks);
    world_put(&f->w, slow, "\x05", 1);
    assert_int_equal(world_end(&f->w, silent), 0);
    assert_int_equal(world_end(&f->w, slow), 0);
    assert_int_equal(f->ctx.counters.front.slow_requests, 2);
    /* They do not close their side: after the linger time nobody waits for it. */
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    int wrong = world_connect(&f->socks);
    world_put(&f->w, wrong, "\x16\x03\x01", 3);
    assert_int_equal(world_end(&f->w, wrong), 0);
    assert_int_equal(f->ctx.counters.front.bad_protocol, 1);
    int bad = world_connect(&f->socks);
    char in[12];
    world_put(&f->w, bad, "\x05\x01\x00\x05\x01\x00\x09", 7); /* no such address type */
    assert_int_equal(world_get(&f->w, bad, in, sizeof(in)), sizeof(in));
    assert_int_equal(in[3], SOCKS5_REP_BAD_ADDRESS_TYPE);
    assert_int_equal(world_end(&f->w, bad), 0);
    assert_int_equal(f->ctx.counters.front.bad_requests, 1);
    (void)close(silent);
    (void)close(slow);
    (void)close(wrong);
    (void)close(bad);
    teardown(f);
}

static void past_the_ceiling_clients_are_refused(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    int fds[4];
    for (size_t i = 0; i < 4; i++) {
        fds[i] = world_connect(&f->socks);
        WORLD_UNTIL(&f->w,
                    f->ctx.counters.front.clients + f->ctx.counters.front.clients_refused == i + 1);
    }
    assert_int_equal(f->clients.count, 3);
    assert_int_equal(f->ctx.counters.front.clients_refused, 1);
    assert_int_equal(world_end(&f->w, fds[3]), 0);
    (void)close(fds[0]); /* makes room */
    WORLD_UNTIL(&f->w, f->clients.count == 2);
    struct pair p = connect_pair(f);
    close_pair(&p);
    for (size_t i = 1; i < 4; i++) {
        (void)close(fds[i]);
    }
    teardown(f);
}

static void stopping_resets_what_is_connected(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    struct pair p = connect_pair(f);
    struct addr closed;
    int fd = world_bind(&closed);
    int dialling = world_ask(&f->w, &f->socks, "127.0.0.1", closed.port);
    int silent = world_connect(&f->socks);
    WORLD_UNTIL(&f->w, f->clients.count == 3);
    clients_stop(&f->clients);
    assert_int_equal(world_end(&f->w, p.client), -ECONNRESET);
    assert_int_equal(world_end(&f->w, p.server), -ECONNRESET);
    close_pair(&p);
    (void)close(dialling);
    (void)close(silent);
    (void)close(fd);
    teardown(f);
}

static void memory_that_ends_refuses_and_leaks_nothing(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL);
    struct addr at;
    int listener = world_listen(&at);
    for (size_t n = 2; n < 6; n++) {
        int client = world_connect(&f->socks);
        mem_fail_after(n);
        world_put(&f->w, client, "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01", 11);
        uint8_t port[] = {(uint8_t)(at.port >> 8), (uint8_t)at.port};
        world_put(&f->w, client, port, 2);
        char in[12];
        (void)world_get(&f->w, client, in, sizeof(in)); /* an answer or an end */
        mem_fail_after(0);
        (void)close(client);
        WORLD_UNTIL(&f->w, f->clients.count == 0);
    }
    (void)close(listener);
    teardown(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_close_goes_each_way_alone),
        cmocka_unit_test(bytes_behind_the_request_reach_the_target_first),
        cmocka_unit_test(resets_go_through),
        cmocka_unit_test(slow_reader_holds_the_sender),
        cmocka_unit_test(failures_have_their_reply),
        cmocka_unit_test(a_target_that_does_not_answer_times_out),
        cmocka_unit_test(slow_and_wrong_clients_are_closed_and_counted),
        cmocka_unit_test(past_the_ceiling_clients_are_refused),
        cmocka_unit_test(stopping_resets_what_is_connected),
        cmocka_unit_test(memory_that_ends_refuses_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
