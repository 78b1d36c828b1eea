#include "loop/relay_uv.h"

#include "support/certs.h"
#include "support/derp_peer.h"
#include "wire/derp.h"
#include "wire/websocket.h"

#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PEERS = 3 };

/* How peers come; every test is run with each. */
static struct {
    bool tls, websocket;
} way;

struct fixture {
    struct certs certs;
    struct tls_context *server_tls, *client_tls;
    uv_loop_t loop;
    struct relay_uv *relay;
    struct addr where;
    struct derp_peer *peers;
    size_t count;
    struct pcg pcg;
    bool stopped;
};

static void key_of(uint8_t seed, uint8_t out[32])
{
    uint8_t secret[32];
    memset(secret, seed, sizeof(secret));
    crypto_scalarmult_base(out, secret);
}

static void open_tls(struct fixture *f)
{
#ifdef ADIT_TLS
    char why[TLS_WHY_MAX];
    uint8_t pin[1][TLS_PIN_LEN];
    struct tls_client_options options = {
        .host = "relay.test", .pins = (const uint8_t(*)[TLS_PIN_LEN])pin, .pin_count = 1};
    certs_open(&f->certs);
    certs_make(&f->certs, "relay", &(struct certs_options){0});
    certs_pin(&f->certs, "relay", pin[0]);
    assert_int_equal(tls_server_new(certs_path(&f->certs, "relay", "crt"),
                                    certs_path(&f->certs, "relay", "key"), &f->server_tls, why),
                     0);
    assert_int_equal(tls_client_new(&options, &f->client_tls, why), 0);
    certs_close(&f->certs);
#else
    (void)f;
#endif
}

static void open_fixture(struct fixture *f, struct relay_server_config *server)
{
    struct addr any = addr_ipv4(127, 0, 0, 1, 0);
    memset(f, 0, sizeof(*f));
    if (way.tls) {
        open_tls(f);
    }
    memset(server->secret, 77, sizeof(server->secret));
    server->rng = pcg_rng(&f->pcg, 5);
    struct relay_uv_config config = {.listen = &any,
                                     .listen_count = way.tls ? 0 : 1,
                                     .listen_tls = &any,
                                     .listen_tls_count = way.tls ? 1 : 0,
                                     .tls = f->server_tls,
                                     .server = *server};
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(relay_uv_start(&f->loop, &config, &f->relay), 0);
    assert_int_equal(relay_uv_address(f->relay, 0, &f->where), 0);
    assert_int_equal(relay_uv_address(f->relay, 1, &any), ERR_NOT_FOUND);
    assert_true(f->where.port != 0);
    f->peers = calloc(PEERS, sizeof(*f->peers));
    assert_non_null(f->peers);
}

static void on_stopped(void *user)
{
    *(bool *)user = true;
}

static void close_peers(struct fixture *f)
{
    for (size_t i = 0; i < f->count; i++) {
        derp_peer_close(&f->peers[i]);
    }
    free(f->peers);
    tls_context_free(f->client_tls);
    tls_context_free(f->server_tls);
}

static void close_fixture(struct fixture *f)
{
    relay_uv_stop(f->relay, on_stopped, &f->stopped);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->stopped);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    close_peers(f);
}

static struct derp_peer *add_peer(struct fixture *f, uint8_t seed)
{
    assert_true(f->count < PEERS);
    struct derp_peer *p = &f->peers[f->count++];
    assert_true(derp_peer_open_as(p, &f->where, seed, f->client_tls, way.websocket));
    return p;
}

static void step(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < f->count; i++) {
        derp_peer_step(&f->peers[i]);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    derp_peer_wait(f->peers, f->count, 1);
}

/* Steps until *value reaches `least`; a test that waits 20 s has failed. */
static void run_until(struct fixture *f, const unsigned *value, unsigned least)
{
    uint64_t end = derp_peer_now() + 20 * NS_PER_S;
    while (*value < least) {
        assert_true(derp_peer_now() < end);
        step(f);
    }
}

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

/* Peers a, c and b, all up; b is the last, so that a count of 2 leaves its socket unread. */
static void add_three(struct fixture *f)
{
    add_peer(f, 1);
    add_peer(f, 3);
    add_peer(f, 2);
    for (size_t i = 0; i < 3; i++) {
        run_until(f, &f->peers[i].ups, 1);
    }
}

/* a sends to b until the relay has counted one; then what a still holds goes out. */
static void send_until_counted(struct fixture *f, const uint64_t *counter)
{
    static const uint8_t big[60000];
    struct derp_peer *a = &f->peers[0];
    uint64_t end = derp_peer_now() + 20 * NS_PER_S;
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

/* In no round of the loop more is read of a than its turn allows. */
static void a_client_with_much_to_say_is_read_from_in_turn(void **state)
{
    (void)state;
    enum { PACKETS = 60, BYTES = 1000, AT_ONCE = 16 << 10 };
    static const uint8_t data[BYTES];
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    struct derp_peer *a = add_peer(&f, 1);
    struct derp_peer *b = add_peer(&f, 2);
    run_until(&f, &a->ups, 1);
    run_until(&f, &b->ups, 1);
    for (int i = 0; i < 10; i++) {
        step(&f);
    }
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    for (int i = 0; i < PACKETS; i++) {
        assert_int_equal(relay_client_send(a->core, b->key, data, BYTES), 0);
    }
    assert_int_equal(relay_client_send(b->core, a->key, data, 1), 0);
    derp_peer_write(a);
    derp_peer_write(b);
    assert_int_equal(relay_client_backlog(a->core) + relay_client_backlog(b->core), 0);
    uint64_t end = derp_peer_now() + 20 * NS_PER_S;
    while (stats->packets_in < PACKETS + 1) {
        uint64_t before = stats->bytes_in;
        assert_true(derp_peer_now() < end);
        uv_run(&f.loop, UV_RUN_NOWAIT);
        assert_true(stats->bytes_in - before <= AT_ONCE + 1);
    }
    run_until(&f, &b->packets, PACKETS);
    run_until(&f, &a->packets, 1);
    close_fixture(&f);
}

/* More than the kernel's buffers hold: what waits goes out in order when b reads again. */
static void a_late_reader_gets_everything(void **state)
{
    (void)state;
    enum { PACKETS = 200 };
    static uint8_t big[60000];
    struct relay_server_config server = {
        .open = true,
        .limits = {.queue_packets_max = PACKETS, .queue_bytes_max = (size_t)32 << 20},
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
    for (unsigned i = 1; i <= PACKETS; i++) {
        run_until(&f, &b->packets, i);
    }
    assert_int_equal(b->packets, PACKETS);
    assert_memory_equal(b->last_data, big, sizeof(big));
    assert_int_equal(relay_uv_stats(f.relay)->packets_out, PACKETS);
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
    uint64_t end = derp_peer_now() + 20 * NS_PER_S;
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
    assert_int_equal(a->restarts, 1);
    assert_true(a->downs > 0);
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

/* --- with TLS only --- */

static int connect_bare(const struct fixture *f)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->where.port)};
    memcpy(&in.sin_addr, f->where.ip, 4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && connect(fd, (const struct sockaddr *)&in, sizeof(in)) == 0);
    return fd;
}

static void wait_for(struct fixture *f, const uint64_t *counter)
{
    uint64_t end = derp_peer_now() + 20 * NS_PER_S;
    while (*counter == 0) {
        assert_true(derp_peer_now() < end);
        step(f);
    }
}

static void a_handshake_has_its_time(void **state)
{
    (void)state;
    static const uint8_t half_a_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    struct relay_server_config server = {.open = true,
                                         .limits = {.handshake_timeout_ns = 100 * NS_PER_MS}};
    struct fixture f;
    open_fixture(&f, &server);
    int fd = connect_bare(&f);
    assert_int_equal(send(fd, half_a_hello, sizeof(half_a_hello), 0), sizeof(half_a_hello));
    wait_for(&f, &relay_uv_stats(f.relay)->closed[RELAY_CLOSE_TIMEOUT]);
    assert_int_equal(relay_uv_stats(f.relay)->connections, 0);
    close(fd);
    close_fixture(&f);
}

static void note_line(void *user, enum log_level level, const char *module, const char *event,
                      const char *text)
{
    (void)level;
    (void)module;
    if (strcmp(event, "tls_failed") == 0) {
        (void)snprintf(user, 256, "%s", text);
    }
}

static void plain_http_is_refused_and_named(void **state)
{
    (void)state;
    static const char request[] = "GET /derp HTTP/1.1\r\nHost: r\r\n\r\n";
    char line[256] = "";
    struct log log = {.level = LOG_INFO, .write = note_line, .user = line};
    struct relay_server_config server = {.open = true, .log = &log};
    struct fixture f;
    open_fixture(&f, &server);
    int fd = connect_bare(&f);
    assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    wait_for(&f, &relay_uv_stats(f.relay)->closed[RELAY_CLOSE_GONE]);
    assert_non_null(strstr(line, "why=\"it speaks plain HTTP and not TLS\""));
    close(fd);
    close_fixture(&f);
}

/* What a wrong key, another certificate and the like come to is tests/unit/os/test_tls.c's. */
static void a_relay_with_another_key_is_refused(void **state)
{
    (void)state;
    char why[TLS_WHY_MAX];
    static const uint8_t pin[1][TLS_PIN_LEN] = {{1}};
    struct tls_client_options options = {.host = "relay.test", .pins = pin, .pin_count = 1};
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    tls_context_free(f.client_tls);
    assert_int_equal(tls_client_new(&options, &f.client_tls, why), 0);
    struct derp_peer *a = add_peer(&f, 1);
    run_until(&f, &a->downs, 2);
    assert_non_null(strstr(a->down_text, "another key than the pinned one"));
    assert_int_equal(a->ups, 0);
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
        cmocka_unit_test(a_client_with_much_to_say_is_read_from_in_turn),
        cmocka_unit_test(a_late_reader_gets_everything),
        cmocka_unit_test(listens_on_even_when_memory_is_short),
        cmocka_unit_test(a_drain_ends_when_the_last_client_has_left),
        cmocka_unit_test(a_drain_ends_in_time),
        cmocka_unit_test(a_drain_without_clients_takes_no_time),
        cmocka_unit_test(a_reload_reaches_the_clients),
        cmocka_unit_test(a_taken_port_is_an_error),
    };
    const struct CMUnitTest tls_tests[] = {
        cmocka_unit_test(a_handshake_has_its_time),
        cmocka_unit_test(plain_http_is_refused_and_named),
        cmocka_unit_test(a_relay_with_another_key_is_refused),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);
    if (ws_is_available()) {
        way.tls = true;
        failed += cmocka_run_group_tests_name("TLS", tests, NULL, NULL);
        failed += cmocka_run_group_tests_name("TLS only", tls_tests, NULL, NULL);
        way.websocket = true;
        failed += cmocka_run_group_tests_name("TLS and WebSocket", tests, NULL, NULL);
    }
    return failed;
}
