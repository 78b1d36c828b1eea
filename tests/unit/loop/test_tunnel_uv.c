/* Two whole nodes in one process, over real sockets on loopback. */
#include <adit/adit.h>
#include <adit/relay.h>

#include <base/clock.h>
#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { DEADLINE_MS = 20000, BULK = 8 * 1024 * 1024 };

/* One node and the one stream that each test needs. */
struct end {
    struct world *world;
    struct adit *adit;
    uint8_t secret[ADIT_KEY_LEN], public[ADIT_KEY_LEN];
    uint64_t stream;
    char target[ADIT_TARGET_MAX + 1];
    bool opened, accepted, gone, reset, ended;
    enum cause cause;
    struct adit_pong pong; /* the last */
    uint64_t to_write, written, read;
    bool finish;
    bool echo; /* datagrams */
    size_t datagrams, datagram_len;
};

struct world {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct adit_relay *relay;
    struct end a, b;
    bool late;
    bool punch;
    unsigned workers;
    int stopping;
};

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

static void write_some(struct end *e)
{
    while (e->written < e->to_write) {
        uint8_t *at;
        size_t room = adit_space(e->adit, e->stream, (size_t)(e->to_write - e->written), &at);
        if (room == 0) {
            return;
        }
        if (room > e->to_write - e->written) {
            room = (size_t)(e->to_write - e->written);
        }
        for (size_t i = 0; i < room; i++) {
            at[i] = pattern(e->written + i);
        }
        adit_wrote(e->adit, e->stream, room);
        e->written += room;
    }
    if (e->finish) {
        e->finish = false;
        adit_finish(e->adit, e->stream);
    }
}

static void read_all(struct end *e)
{
    const uint8_t *at;
    bool fin;
    size_t len;
    while ((len = adit_peek(e->adit, e->stream, &at, &fin)) > 0) {
        for (size_t i = 0; i < len; i++) {
            if (at[i] != pattern(e->read + i)) {
                fail_msg("wrong byte at %llu", (unsigned long long)(e->read + i));
            }
        }
        e->read += len;
        adit_consume(e->adit, e->stream, len);
    }
    if (fin && !e->ended) {
        e->ended = true;
        adit_consume(e->adit, e->stream, 0);
    }
}

static void on_datagram(struct end *e, const struct adit_event *ev)
{
    const uint8_t *bytes = ev->data;
    for (size_t i = 0; i < ev->len; i++) {
        if (bytes[i] != pattern(i)) {
            fail_msg("wrong byte at %zu", i);
        }
    }
    e->datagrams++;
    e->datagram_len = ev->len;
    if (e->echo) {
        assert_int_equal(adit_datagram_send(e->adit, ev->stream, ev->data, ev->len), 0);
    }
}

static void on_event(void *user, const struct adit_event *ev)
{
    struct end *e = user;
    switch (ev->type) {
    case ADIT_EVENT_OPENED:
        e->stream = ev->stream;
        e->opened = true;
        memcpy(e->target, ev->data, ev->len);
        assert_int_equal(adit_accept(e->adit, ev->stream, "here", 4), 0);
        write_some(e);
        break;
    case ADIT_EVENT_ACCEPTED:
        e->accepted = true;
        assert_memory_equal(ev->data, "here", 4);
        break;
    case ADIT_EVENT_READABLE:
        read_all(e);
        break;
    case ADIT_EVENT_WRITABLE:
        write_some(e);
        break;
    case ADIT_EVENT_RESET:
        e->reset = true;
        e->cause = ev->cause;
        break;
    case ADIT_EVENT_GONE:
        e->gone = true;
        break;
    case ADIT_EVENT_DATAGRAM:
        on_datagram(e, ev);
        break;
    case ADIT_EVENT_PONG:
        e->pong = *ev->pong;
        break;
    case ADIT_EVENT_PEER:
        break;
    }
    uv_stop(&e->world->loop);
}

static void on_deadline(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->late = true;
    uv_stop(&w->loop);
}

static void print_end(const char *name, const struct end *e)
{
    struct adit_peer_stats stats;
    if (e->adit && adit_peer_stats(e->adit, 0, &stats)) {
        print_error("%s: path %d state %d written %llu read %llu in %llu out %llu lost %llu\n",
                    name, (int)stats.path.kind, (int)stats.state, (unsigned long long)e->written,
                    (unsigned long long)e->read, (unsigned long long)stats.bytes_in,
                    (unsigned long long)stats.bytes_out, (unsigned long long)stats.packets_lost);
    }
}

static void print_state(const struct world *w)
{
    print_end("a", &w->a);
    print_end("b", &w->b);
}

/* Runs the loop until the condition holds; fails the test at the deadline. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        while (!(condition) && !(w)->late) {                                                       \
            (void)uv_run(&(w)->loop, UV_RUN_ONCE);                                                 \
        }                                                                                          \
        if ((w)->late) {                                                                           \
            print_state(w);                                                                        \
            fail_msg("too late for: %s", #condition);                                              \
        }                                                                                          \
    } while (0)

static void start_end(struct end *e, const struct end *peer, const char *endpoint, bool offload)
{
    struct addr relay = {0};
    if (e->world->relay) {
        assert_true(adit_relay_address(e->world->relay, 0, &relay));
    }
    struct adit_relay_config relays = {
        .name = "hub", .host = "127.0.0.1", .port = relay.port, .home = true};
    const char *const endpoints[] = {endpoint};
    struct adit_peer_config peers = {
        .name = "other", .endpoints = endpoints, .endpoint_count = endpoint ? 1 : 0};
    memcpy(peers.key, peer->public, ADIT_KEY_LEN);
    struct adit_config config = {.name = "node",
                                 .listen = addr_ipv4(127, 0, 0, 1, 0),
                                 .offload = offload,
                                 .workers = e->world->workers,
                                 .punch = e->world->punch,
                                 .resume_timeout_ns = 3600 * NS_PER_S,
                                 .relays = &relays,
                                 .relay_count = e->world->relay ? 1 : 0,
                                 .peers = &peers,
                                 .peer_count = 1};
    memcpy(config.secret, e->secret, ADIT_KEY_LEN);
    assert_int_equal(adit_start(&e->world->loop, &config, on_event, e, &e->adit), 0);
}

static void init_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    assert_int_equal(adit_init(), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->deadline), 0);
    w->deadline.data = w;
    uv_timer_start(&w->deadline, on_deadline, DEADLINE_MS, 0);
    struct end *ends[] = {&w->a, &w->b};
    for (size_t i = 0; i < 2; i++) {
        ends[i]->world = w;
        adit_key_generate(ends[i]->secret);
        assert_int_equal(adit_key_public(ends[i]->public, ends[i]->secret), 0);
    }
}

static void start_relay(struct world *w)
{
    struct addr listen = addr_ipv4(127, 0, 0, 1, 0);
    uint8_t allow[2][ADIT_KEY_LEN];
    memcpy(allow[0], w->a.public, ADIT_KEY_LEN);
    memcpy(allow[1], w->b.public, ADIT_KEY_LEN);
    struct adit_relay_server_config config = {.listen = &listen,
                                              .listen_count = 1,
                                              .allow = (const uint8_t(*)[ADIT_KEY_LEN])allow,
                                              .allow_count = 2};
    adit_key_generate(config.secret);
    assert_int_equal(adit_relay_start(&w->loop, &config, &w->relay), 0);
}

static void on_stopped(void *user)
{
    struct world *w = user;
    w->stopping--;
}

static void stop_end(struct end *e)
{
    if (e->adit) {
        e->world->stopping++;
        adit_stop(e->adit, on_stopped, e->world);
        e->adit = NULL;
    }
}

static void end_world(struct world *w)
{
    stop_end(&w->a);
    stop_end(&w->b);
    if (w->relay) {
        w->stopping++;
        adit_relay_stop(w->relay, on_stopped, w);
    }
    UNTIL(w, w->stopping == 0);
    uv_close((uv_handle_t *)&w->deadline, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static enum adit_path_kind path_of(const struct end *e)
{
    struct adit_peer_stats stats;
    assert_true(adit_peer_stats(e->adit, 0, &stats));
    return stats.path.kind;
}

static const char *endpoint_of(const struct end *e, char text[ADDR_TEXT_MAX])
{
    struct addr local;
    adit_local(e->adit, &local);
    return addr_format(&local, text);
}

/* Opens a stream from a to b, `down` bytes back and `up` bytes there, checked byte by byte. */
static void transfer(struct world *w, uint64_t up, uint64_t down)
{
    w->a.to_write = up;
    w->b.to_write = down;
    w->a.finish = w->b.finish = true;
    assert_int_equal(adit_open(w->a.adit, 0, "web:80", 6, NULL, &w->a.stream), 0);
    write_some(&w->a);
    UNTIL(w, w->a.ended && w->b.ended && w->a.gone && w->b.gone);
    assert_true(w->a.accepted);
    assert_string_equal(w->b.target, "web:80");
    assert_int_equal(w->a.read, down);
    assert_int_equal(w->b.read, up);
}

static void bulk_over_the_direct_path(bool offload, unsigned workers)
{
    struct world w;
    char text[ADDR_TEXT_MAX];
    init_world(&w);
    w.workers = workers;
    start_end(&w.b, &w.a, NULL, offload);
    start_end(&w.a, &w.b, endpoint_of(&w.b, text), offload);
    transfer(&w, BULK, BULK);
    assert_int_equal(path_of(&w.a), ADIT_PATH_DIRECT);
    assert_int_equal(path_of(&w.b), ADIT_PATH_DIRECT);
    end_world(&w);
}

static void direct_with_offload(void **state)
{
    (void)state;
    bulk_over_the_direct_path(true, 0);
}

static void direct_without_offload(void **state)
{
    (void)state;
    bulk_over_the_direct_path(false, 0);
}

static void direct_by_threads(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        bulk_over_the_direct_path(true, workers);
        bulk_over_the_direct_path(false, workers);
    }
}

static void over_the_relay(void **state)
{
    (void)state;
    struct world w;
    init_world(&w);
    start_relay(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, NULL, true);
    transfer(&w, BULK, BULK);
    assert_int_equal(path_of(&w.a), ADIT_PATH_RELAY);
    assert_int_equal(path_of(&w.b), ADIT_PATH_RELAY);
    end_world(&w);
}

/* Of every kind of size, there and back again; the largest is 65,507 bytes and a target. */
static void datagrams(struct world *w, enum adit_path_kind path)
{
    static uint8_t bytes[ADIT_DATAGRAM_MAX + 1];
    const size_t lens[] = {0, 1, 512, 1199, 1200, 1472, 8192, 9000, 65507, ADIT_DATAGRAM_MAX};
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = pattern(i);
    }
    w->b.echo = true;
    assert_int_equal(adit_open(w->a.adit, 0, "udp", 3, NULL, &w->a.stream), 0);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        assert_int_equal(adit_datagram_send(w->a.adit, w->a.stream, bytes, lens[i]), 0);
        UNTIL(w, w->a.datagrams == i + 1);
        assert_int_equal(w->a.datagram_len, lens[i]);
    }
    int err = adit_datagram_send(w->a.adit, w->a.stream, bytes, ADIT_DATAGRAM_MAX + 1);
    assert_int_equal(err, ERR_TOO_LARGE);
    assert_int_equal(path_of(&w->a), path);
    adit_abort(w->a.adit, w->a.stream, CAUSE_NONE);
    err = adit_datagram_send(w->a.adit, w->a.stream, bytes, 1);
    assert_true(err == ERR_STATE || err == ERR_NOT_FOUND);
    UNTIL(w, w->b.reset);
    struct adit_counters counters;
    adit_counters(w->b.adit, &counters);
    assert_int_equal(counters.datagrams_in, sizeof(lens) / sizeof(lens[0]));
    assert_int_equal(counters.datagrams_lost, 0);
}

static void datagrams_over_the_direct_path(void **state)
{
    (void)state;
    struct world w;
    char text[ADDR_TEXT_MAX];
    init_world(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, endpoint_of(&w.b, text), true);
    datagrams(&w, ADIT_PATH_DIRECT);
    end_world(&w);
}

static void datagrams_over_the_relay(void **state)
{
    (void)state;
    struct world w;
    init_world(&w);
    start_relay(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, NULL, true);
    datagrams(&w, ADIT_PATH_RELAY);
    end_world(&w);
}

static void relay_first_then_direct(void **state)
{
    (void)state;
    struct world w;
    char text[ADDR_TEXT_MAX];
    init_world(&w);
    start_relay(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, endpoint_of(&w.b, text), true);
    transfer(&w, 100, 100);
    UNTIL(&w, path_of(&w.a) == ADIT_PATH_DIRECT && path_of(&w.b) == ADIT_PATH_DIRECT);
    end_world(&w);
}

/* Neither side is told where the other is: each tells the other its candidates, over the relay. */
static void relay_first_then_punched(void **state)
{
    (void)state;
    struct world w;
    init_world(&w);
    start_relay(&w);
    w.punch = true;
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, NULL, true);
    transfer(&w, 100, 100);
    UNTIL(&w, path_of(&w.a) == ADIT_PATH_DIRECT && path_of(&w.b) == ADIT_PATH_DIRECT);
    end_world(&w);
}

/* Bound to direct paths, of which there is none at first. Others are not held up. */
static void a_bound_stream_waits_for_its_path(void **state)
{
    (void)state;
    struct world w;
    uint64_t bound;
    init_world(&w);
    start_relay(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, NULL, true);
    assert_int_equal(adit_open(w.a.adit, 0, "secret", 6, NULL, &bound), 0);
    assert_int_equal(adit_bind(w.a.adit, bound, ADIT_LANE_DIRECT), 0);
    transfer(&w, 100000, 100000);
    assert_int_equal(path_of(&w.a), ADIT_PATH_RELAY);
    assert_int_equal(adit_bind(w.a.adit, w.a.stream, ADIT_LANE_RELAY), ERR_NOT_FOUND);
    assert_int_equal(adit_bind(w.a.adit, bound, ADIT_LANE_RELAY), 0); /* it has still not left */
    UNTIL(&w, strcmp(w.b.target, "secret") == 0);
    assert_int_equal(adit_bind(w.a.adit, bound, ADIT_LANE_ANY), ERR_STATE);
    end_world(&w);
}

/* It makes the session that it needs, and finds the direct path. */
static void a_ping_says_which_way_it_went(void **state)
{
    (void)state;
    struct world w;
    uint64_t first, id;
    init_world(&w);
    start_relay(&w);
    w.punch = true;
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, NULL, true);
    assert_int_equal(adit_ping(w.a.adit, 7, &first), ERR_NOT_FOUND);
    assert_int_equal(adit_ping(w.a.adit, 0, &first), 0);
    UNTIL(&w, w.a.pong.id == first);
    assert_true(w.a.pong.rtt_ns > 0);
    UNTIL(&w, path_of(&w.a) == ADIT_PATH_DIRECT);
    assert_int_equal(adit_ping(w.a.adit, 0, &id), 0);
    assert_int_equal(id, first + 1);
    UNTIL(&w, w.a.pong.id == id);
    assert_int_equal(w.a.pong.kind, ADIT_PATH_DIRECT);
    assert_int_equal(w.a.pong.address.family, ADDR_IPV4);
    end_world(&w);
}

static void a_peer_that_stops_resets_streams(void **state)
{
    (void)state;
    struct world w;
    char text[ADDR_TEXT_MAX];
    init_world(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, endpoint_of(&w.b, text), true);
    assert_int_equal(adit_open(w.a.adit, 0, "x", 1, NULL, &w.a.stream), 0);
    UNTIL(&w, w.a.accepted);
    stop_end(&w.b);
    UNTIL(&w, w.a.reset);
    assert_int_equal(w.a.cause, CAUSE_PEER_CLOSED);
    end_world(&w);
}

/* The descriptor of the node's UDP socket becomes something else, as when a system that suspends
 * takes the sockets of its processes away. */
static void take_socket_away(const struct end *e)
{
    struct addr local;
    adit_local(e->adit, &local);
    int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(other >= 0);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in at = {0};
        socklen_t len = sizeof(at);
        int type = 0;
        socklen_t type_len = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_DGRAM &&
            getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sin_family == AF_INET &&
            ntohs(at.sin_port) == local.port) {
            assert_int_equal(dup2(other, fd), fd);
            (void)close(other);
            return;
        }
    }
    fail_msg("the node has no socket on port %u", (unsigned)local.port);
}

static void a_lost_socket_is_opened_again_on_its_port(void **state)
{
    (void)state;
    struct world w;
    char text[ADDR_TEXT_MAX];
    struct addr before, after;
    init_world(&w);
    start_end(&w.b, &w.a, NULL, true);
    start_end(&w.a, &w.b, endpoint_of(&w.b, text), true);
    w.a.to_write = w.b.to_write = 100; /* and the stream stays open */
    assert_int_equal(adit_open(w.a.adit, 0, "web:80", 6, NULL, &w.a.stream), 0);
    write_some(&w.a);
    UNTIL(&w, w.a.read == 100 && w.b.read == 100);
    adit_local(w.a.adit, &before);
    take_socket_away(&w.a);
    w.a.to_write = w.b.to_write = BULK;
    write_some(&w.a);
    write_some(&w.b);
    UNTIL(&w, w.a.read == BULK && w.b.read == BULK);
    adit_local(w.a.adit, &after);
    assert_true(addr_equal(&before, &after));
    assert_int_equal(path_of(&w.a), ADIT_PATH_DIRECT);
    assert_int_equal(path_of(&w.b), ADIT_PATH_DIRECT);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_with_offload),
        cmocka_unit_test(direct_without_offload),
        cmocka_unit_test(direct_by_threads),
        cmocka_unit_test(over_the_relay),
        cmocka_unit_test(datagrams_over_the_direct_path),
        cmocka_unit_test(datagrams_over_the_relay),
        cmocka_unit_test(relay_first_then_direct),
        cmocka_unit_test(relay_first_then_punched),
        cmocka_unit_test(a_bound_stream_waits_for_its_path),
        cmocka_unit_test(a_ping_says_which_way_it_went),
        cmocka_unit_test(a_peer_that_stops_resets_streams),
        cmocka_unit_test(a_lost_socket_is_opened_again_on_its_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
