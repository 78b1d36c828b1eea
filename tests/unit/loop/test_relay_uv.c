#include "unit/loop/relay_fixture.h"

#include "wire/websocket.h"

static void packets_pass_between_sockets(void **state)
{
    (void)state;
    static uint8_t big[DERP_PACKET_MAX];
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    assert_int_equal(relay_client_send(a->core, b->key, "hello", 5), 0);
    run_until(&f, &b->packets, 1);
    assert_memory_equal(b->last_from, a->key, 32);
    assert_int_equal(b->last_len, 5);
    assert_memory_equal(b->last_data, "hello", 5);
    randombytes_buf(big, sizeof(big));
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(relay_client_send(b->core, a->key, big, sizeof(big)), 0);
        run_until(&f, &a->packets, i);
        assert_int_equal(a->last_len, sizeof(big));
        assert_memory_equal(a->last_data, big, sizeof(big));
    }
    assert_int_equal(relay_uv_stats(f.relay)->clients, 2);
    assert_int_equal(relay_uv_stats(f.relay)->packets_out, 21);
    close_fixture(&f);
}

static void a_key_that_is_not_admitted_is_closed(void **state)
{
    (void)state;
    uint8_t allowed[1][32];
    key_of(1, allowed[0]);
    struct relay_server_config server = {.allowed = (const uint8_t(*)[32])allowed,
                                         .allowed_count = 1};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->downs, 1);
    assert_int_equal(b->ups, 0);
    assert_string_equal(b->down_text, "connection closed");
    assert_int_equal(relay_uv_stats(f.relay)->closed[RELAY_CLOSE_NOT_ADMITTED], 1);
    close_fixture(&f);
}

static void an_absent_peer_is_told(void **state)
{
    (void)state;
    const uint8_t nobody[32] = {9};
    const uint8_t data[62] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    run_until(&f, &a->ups, 1);
    assert_int_equal(relay_client_send(a->core, nobody, data, sizeof(data)), 0);
    run_until(&f, &a->gones, 1);
    assert_memory_equal(a->gone_key, nobody, 32);
    assert_int_equal(a->gone_reason, DERP_GONE_NOT_HERE);
    close_fixture(&f);
}

static void leaving_is_told_to_who_received(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    assert_int_equal(relay_client_send(a->core, b->key, "x", 1), 0);
    run_until(&f, &b->packets, 1);
    relay_client_stop(a->core, derp_peer_now());
    run_until(&f, &b->gones, 1);
    assert_memory_equal(b->gone_key, a->key, 32);
    assert_int_equal(b->gone_reason, DERP_GONE_DISCONNECTED);
    close_fixture(&f);
}

/* Peers a, c and b, all up; b is the last, so that a count of 2 leaves its socket unread, and soon
 * full. */
static void add_three(struct fixture *f)
{
    add_peer(f, 1);
    add_peer(f, 3);
    add_peer(f, 2)->narrow = true;
    for (size_t i = 0; i < 3; i++) {
        run_until(f, &f->peers[i].ups, 1);
    }
}

/* a sends to b until the relay has counted one; then what a still holds goes out. */
static void send_until_counted(struct fixture *f, const uint64_t *counter)
{
    static const uint8_t big[60000];
    struct derp_peer *a = &f->peers[0];
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (*counter == 0 || relay_client_backlog(a->core) > 0) {
        assert_true(derp_peer_now() < end);
        if (*counter == 0) {
            (void)relay_client_send(a->core, f->peers[2].key, big, sizeof(big));
        }
        step(f);
    }
}

/* How long a cut-off takes is not what these two ask: in the first it never comes, and the second
 * does not mind how many packets fit in before it. */
static void who_does_not_read_loses_packets_and_blocks_nobody(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true,
                                         .limits = {.write_stall_ns = 3600 * NS_PER_S}};
    struct fixture f;
    open_fixture(&f, &server);
    add_three(&f);
    f.count = 2;
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    send_until_counted(&f, &stats->dropped[RELAY_DROP_QUEUE_HEAD]);
    assert_int_equal(relay_client_send(f.peers[0].core, f.peers[1].key, "x", 1), 0);
    run_until(&f, &f.peers[1].packets, 1);
    assert_int_equal(stats->clients, 3);
    f.count = 3;
    close_fixture(&f);
}

static void who_does_not_read_is_cut_off_and_blocks_nobody(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true,
                                         .limits = {.write_stall_ns = 50 * NS_PER_MS}};
    struct fixture f;
    open_fixture(&f, &server);
    add_three(&f);
    f.count = 2;
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    send_until_counted(&f, &stats->closed[RELAY_CLOSE_STALLED]);
    assert_int_equal(relay_client_send(f.peers[0].core, f.peers[1].key, "x", 1), 0);
    run_until(&f, &f.peers[1].packets, 1);
    assert_int_equal(stats->clients, 2);
    f.count = 3;
    close_fixture(&f);
}

enum {
    LIGHT = 8 << 10, /* as much of a client is read before it counts as heavy */
    TURN = 16 << 10, /* and as much when it has its turn */
};

static void fill_sockets(struct derp_peer *from, const struct derp_peer *to, int count)
{
    static const uint8_t data[1000];
    for (int i = 0; i < count; i++) {
        assert_int_equal(relay_client_send(from->core, to->key, data, sizeof(data)), 0);
    }
    derp_peer_write(from);
    assert_int_equal(relay_client_backlog(from->core), 0);
}

/* Without the relay doing anything, until `to` has all that was sent to it, and it alone. */
static void hear_all(struct fixture *f, struct derp_peer *to)
{
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (to->packets < relay_uv_stats(f->relay)->packets_out) {
        assert_true(derp_peer_now() < end);
        derp_peer_wait(to, 1, 1);
        derp_peer_step(to);
    }
}

/* An open relay with three clients, all logged in and quiet. */
static void open_with_three(struct fixture *f, struct derp_peer *peers[3])
{
    struct relay_server_config server = {.open = true};
    open_fixture(f, &server);
    for (uint8_t i = 0; i < 3; i++) {
        peers[i] = add_peer(f, (uint8_t)(i + 1));
    }
    for (int i = 0; i < 3; i++) {
        run_until(f, &peers[i]->ups, 1);
    }
    for (int i = 0; i < 10; i++) {
        step(f);
    }
}

/* In no round of the loop more is read of a than its turn allows, and in TLS what was left over of
 * a record. What b has to say meanwhile goes before all of that. */
static void a_heavy_client_takes_turns_and_a_light_one_does_not_wait(void **state)
{
    (void)state;
    enum { PACKETS = 60 };
    struct fixture f;
    struct derp_peer *peers[3];
    open_with_three(&f, peers);
    struct derp_peer *a = peers[0], *b = peers[1], *c = peers[2];
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    uint64_t most = LIGHT + TURN + (way.tls ? TLS_RECORD : 0);
    fill_sockets(a, c, PACKETS);
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (stats->packets_in < PACKETS + 1) {
        uint64_t bytes = stats->bytes_in;
        unsigned packets = c->packets;
        assert_true(derp_peer_now() < end);
        uv_run(&f.loop, UV_RUN_NOWAIT);
        assert_true(stats->bytes_in - bytes <= most + 1);
        hear_all(&f, c);
        assert_true(c->short_at <= packets || c->short_at == packets + 1);
        if (bytes == 0 && stats->bytes_in > 0) { /* now a is known to be heavy */
            most -= LIGHT;
            assert_int_equal(relay_client_send(b->core, c->key, "x", 1), 0);
            derp_peer_write(b);
        }
    }
    assert_true(c->short_at > 0 && c->short_at < PACKETS);
    close_fixture(&f);
}

/* How much of a's is read in one round of the loop, at most, while it sends c so many packets. */
static uint64_t most_of(struct fixture *f, struct derp_peer *a, struct derp_peer *c, int count)
{
    const struct relay_server_stats *stats = relay_uv_stats(f->relay);
    uint64_t all = stats->packets_in + (uint64_t)count;
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    uint64_t most = 0;
    fill_sockets(a, c, count);
    while (stats->packets_in < all) {
        uint64_t before = stats->bytes_in;
        assert_true(derp_peer_now() < end);
        uv_run(&f->loop, UV_RUN_NOWAIT);
        most = stats->bytes_in - before > most ? stats->bytes_in - before : most;
        hear_all(f, c);
    }
    return most;
}

/* Turns are counted, not timed: how fast this machine is does not matter. */
static void two_that_are_alone_have_longer_turns(void **state)
{
    (void)state;
    enum { PACKETS = 100, FILLS_MAX = 200 };
    struct fixture f;
    struct derp_peer *peers[3];
    open_with_three(&f, peers);
    struct derp_peer *a = peers[0], *b = peers[1], *c = peers[2];
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    uint64_t usual = LIGHT + TURN + (way.tls ? TLS_RECORD : 0);
    assert_true(most_of(&f, a, c, PACKETS) <= usual);
    for (int i = 0; most_of(&f, a, c, PACKETS) <= usual; i++) {
        assert_true(i < FILLS_MAX);
    }
    uint64_t packets = stats->packets_in;
    assert_int_equal(relay_client_send(b->core, c->key, "x", 1), 0);
    derp_peer_write(b);
    while (stats->packets_in == packets) {
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    assert_true(most_of(&f, a, c, PACKETS) <= usual);
    for (unsigned i = 0; i < RELAY_DROP_COUNT; i++) {
        assert_int_equal(stats->dropped[i], 0);
    }
    close_fixture(&f);
}

/* More than the kernel's buffers hold: what waits goes out in order when b reads again, in turns of
 * two packets, of which there are two in a round besides what libuv still had. */
static void a_late_reader_gets_everything_but_not_at_once(void **state)
{
    (void)state;
    enum { PACKETS = 200, ROUND_MAX = 6 };
    static uint8_t big[60000];
    struct relay_server_config server = {
        .open = true,
        .limits = {.queue_packets_max = PACKETS,
                   .queue_bytes_max = (size_t)32 << 20,
                   .write_stall_ns = 3600 * NS_PER_S},
    };
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    f.count = 1;
    for (uint8_t i = 0; i < PACKETS; i++) {
        memset(big, i, sizeof(big));
        assert_int_equal(relay_client_send(a->core, b->key, big, sizeof(big)), 0);
        while (relay_client_backlog(a->core) > 0) {
            step(&f);
        }
    }
    f.count = 2;
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (b->packets < PACKETS) {
        uint64_t before = stats->packets_out;
        assert_true(derp_peer_now() < end);
        derp_peer_step(a); /* in TLS it may still hold some */
        derp_peer_wait(b, 1, 1);
        derp_peer_step(b);
        uv_run(&f.loop, UV_RUN_NOWAIT);
        assert_true(stats->packets_out - before <= ROUND_MAX);
    }
    assert_memory_equal(b->last_data, big, sizeof(big));
    assert_int_equal(stats->packets_out, PACKETS);
    close_fixture(&f);
}

static void listens_on_even_when_memory_is_short(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    mem_fail_after(1);
    run_until(&f, &a->downs, 1);
    run_until(&f, &b->downs, 1);
    mem_fail_after(0);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    close_fixture(&f);
}

static bool can_connect(const struct addr *where)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(where->port)};
    memcpy(&to.sin_addr, where->ip, 4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    bool connected = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
    (void)close(fd);
    return connected;
}

static void run_dry(struct fixture *f)
{
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (uv_loop_alive(&f->loop)) {
        assert_true(derp_peer_now() < end);
        step(f);
    }
    assert_true(f->stopped);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void a_drain_ends_when_the_last_client_has_left(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    relay_uv_drain(f.relay, 3600 * NS_PER_S, on_stopped, &f.stopped);
    assert_false(can_connect(&f.where));
    run_until(&f, &a->restarts, 1);
    run_until(&f, &b->restarts, 1);
    assert_true(b->restart_ns >= 3600 * NS_PER_S);
    relay_client_stop(a->core, derp_peer_now());
    derp_peer_step(a);
    assert_int_equal(relay_client_send(b->core, b->key, "x", 1), 0); /* still served */
    run_until(&f, &b->packets, 1);
    assert_false(f.stopped);
    relay_client_stop(b->core, derp_peer_now());
    run_dry(&f);
    close_peers(&f);
}

static void a_drain_ends_in_time(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    run_until(&f, &a->ups, 1);
    uint64_t start = derp_peer_now();
    relay_uv_drain(f.relay, 100 * NS_PER_MS, on_stopped, &f.stopped);
    run_dry(&f);
    assert_true(derp_peer_now() - start >= 99 * NS_PER_MS);
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (a->downs == 0) { /* the relay is gone, but not all that it said need have arrived */
        assert_true(derp_peer_now() < end);
        derp_peer_step(a);
        derp_peer_wait(a, 1, 1);
    }
    assert_int_equal(a->restarts, 1);
    close_peers(&f);
}

static void a_drain_without_clients_takes_no_time(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    relay_uv_drain(f.relay, 3600 * NS_PER_S, on_stopped, &f.stopped);
    run_dry(&f);
    close_peers(&f);
}

static void a_reload_reaches_the_clients(void **state)
{
    (void)state;
    uint8_t allowed[1][32];
    key_of(2, allowed[0]);
    struct relay_server_config server = {.open = true};
    struct relay_server_config listed = {.allowed = (const uint8_t(*)[32])allowed,
                                         .allowed_count = 1};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    assert_int_equal(relay_uv_reload(f.relay, &listed), 0);
    run_until(&f, &a->downs, 1);
    assert_int_equal(relay_client_send(b->core, b->key, "x", 1), 0);
    run_until(&f, &b->packets, 1);
    assert_int_equal(b->downs, 0);
    close_fixture(&f);
}

static void a_taken_port_is_an_error(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct relay_uv *second = NULL;
    server.rng = pcg_rng(&f.pcg, 6);
    struct relay_uv_config config = {.listen = &f.where, .listen_count = 1, .server = server};
    assert_int_equal(relay_uv_start(&f.loop, &config, &second), UV_EADDRINUSE);
    assert_null(second);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_pass_between_sockets),
        cmocka_unit_test(a_key_that_is_not_admitted_is_closed),
        cmocka_unit_test(an_absent_peer_is_told),
        cmocka_unit_test(leaving_is_told_to_who_received),
        cmocka_unit_test(who_does_not_read_loses_packets_and_blocks_nobody),
        cmocka_unit_test(who_does_not_read_is_cut_off_and_blocks_nobody),
        cmocka_unit_test(a_heavy_client_takes_turns_and_a_light_one_does_not_wait),
        cmocka_unit_test(two_that_are_alone_have_longer_turns),
        cmocka_unit_test(a_late_reader_gets_everything_but_not_at_once),
        cmocka_unit_test(listens_on_even_when_memory_is_short),
        cmocka_unit_test(a_drain_ends_when_the_last_client_has_left),
        cmocka_unit_test(a_drain_ends_in_time),
        cmocka_unit_test(a_drain_without_clients_takes_no_time),
        cmocka_unit_test(a_reload_reaches_the_clients),
        cmocka_unit_test(a_taken_port_is_an_error),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);
    if (ws_is_available()) {
        way.tls = true;
        failed += cmocka_run_group_tests_name("TLS", tests, NULL, NULL);
        way.websocket = true;
        failed += cmocka_run_group_tests_name("TLS and WebSocket", tests, NULL, NULL);
    }
    return failed;
}
