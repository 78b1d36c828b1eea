#include "relay/relay_server.h"

#include "relay/relay_server_internal.h"
#include "relay/stun_server.h"
#include "support/relay_world.h"

#include <stdlib.h>

static const char *ask(struct world *w, const char *request, size_t step)
{
    struct world_client *c = world_add_bare(w);
    size_t len = strlen(request);
    for (size_t i = 0; i < len; i += step) {
        relay_server_input(w->server, c->id, request + i, len - i < step ? len - i : step, w->now);
    }
    const char *answer = world_read_all(w, c);
    assert_int_equal(c->id, 0); /* answered and closed */
    w->count--;
    return answer;
}

static void assert_answer(const char *request, const char *status, const char *contains)
{
    static const size_t steps[] = {100000, 1};
    for (size_t i = 0; i < 2; i++) {
        struct relay_server_config config = {0};
        struct world w;
        world_open(&w, &config);
        const char *answer = ask(&w, request, steps[i]);
        assert_ptr_equal(strstr(answer, "HTTP/1.1 "), answer);
        assert_int_equal(strncmp(answer + 9, status, strlen(status)), 0);
        assert_non_null(strstr(answer, contains));
        assert_non_null(strstr(answer, "\r\n\r\n"));
        world_close(&w);
    }
}

static void answers_small_questions(void **state)
{
    (void)state;
    assert_answer("GET / HTTP/1.1\r\n" WORLD_HOST "\r\n", "200", "Adit relay");
    assert_answer("GET /?x=1 HTTP/1.1\r\n" WORLD_HOST "\r\n", "200", "Adit relay");
    assert_answer("GET /healthz HTTP/1.1\r\n" WORLD_HOST "\r\n", "200", "\r\n\r\nok\n");
    assert_answer("GET /derp/probe HTTP/1.1\r\n" WORLD_HOST "\r\n", "200",
                  "Access-Control-Allow-Origin: *\r\nContent-Length: 0\r\n");
    assert_answer("HEAD /derp/latency-check HTTP/1.1\r\n" WORLD_HOST "\r\n", "200",
                  "-Origin: *\r\n");
    assert_answer("GET /healthz HTTP/1.0\r\n\r\n", "200", "Connection: close\r\n");
    assert_answer("GET /generate_204 HTTP/1.1\r\n" WORLD_HOST "\r\n", "204", "no-store");
    assert_answer("GET /generate_204 HTTP/1.1\r\n" WORLD_HOST
                  "X-Tailscale-Challenge: ts_a:b-1.2\r\n\r\n",
                  "204", "\r\nX-Tailscale-Response: response ts_a:b-1.2\r\n");
}

static void refuses_requests_that_are_none_of_its(void **state)
{
    (void)state;
    static char big[9000] = "GET / HTTP/1.1\r\n" WORLD_HOST "X: ";
    assert_answer("GET /x HTTP/1.1\r\n" WORLD_HOST "\r\n", "404", "Not Found");
    assert_answer("GET /derp/ HTTP/1.1\r\n" WORLD_HOST "\r\n", "404", "Not Found");
    assert_answer("POST /derp/probe HTTP/1.1\r\n" WORLD_HOST "Content-Length: 3\r\n\r\nabc", "405",
                  "Allow: GET, HEAD\r\n");
    assert_answer("PUT /derp HTTP/1.1\r\n" WORLD_HOST "\r\n", "405", "Allow: GET\r\n");
    assert_answer("GET /derp HTTP/1.1\r\n" WORLD_HOST "\r\n", "426", "Upgrade: DERP\r\n");
    assert_answer("GET /derp HTTP/1.1\r\n" WORLD_HOST "Upgrade: DERP\r\n\r\n", "426", "");
    assert_answer("GET /derp HTTP/1.1\r\n" WORLD_HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
                  "426", "");
    assert_answer("GET / HTTP/1.1\r\n\r\n", "400", "Bad Request");
    assert_answer("\x16\x03\x01 hello\r\n", "400", "Bad Request");
    memset(big + strlen(big), 'x', sizeof(big) - strlen(big) - 1);
    assert_answer(big, "431", "Too Large");
}

static struct world_client *ask_and_stay(struct world *w)
{
    static const char request[] =
        "POST / HTTP/1.1\r\n" WORLD_HOST "Content-Length: 99999999\r\n\r\n";
    struct world_client *c = world_add_bare(w);
    c->stays = true;
    relay_server_input(w->server, c->id, request, sizeof(request) - 1, w->now);
    assert_non_null(strstr(world_read_all(w, c), " 405 "));
    assert_true(c->finished);
    assert_false(c->closed);
    return c;
}

/* Closed over bytes that nobody has read, a socket is reset, and the answer is lost. */
static void who_is_answered_may_say_the_rest(void **state)
{
    (void)state;
    enum { BYTES = 64 << 10 };
    static const uint8_t body[BYTES];
    struct relay_server_config config = {0};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = ask_and_stay(&w);
    for (size_t sent = 0; sent < 2 << 20; sent += BYTES) {
        relay_server_input(w.server, c->id, body, BYTES, w.now);
        world_server_events(&w);
    }
    assert_false(c->closed || c->paused);
    assert_int_equal(world_stats(&w)->connections, 1);
    relay_server_closed(w.server, c->id, w.now);
    assert_int_equal(world_stats(&w)->connections, 0);
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_DONE], 1);
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_GONE], 0);
    world_close(&w);
}

static void but_not_for_long_and_not_much(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    static uint8_t body[BYTES];
    struct relay_server_config config = {0};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = ask_and_stay(&w);
    for (int i = 0; i < 4; i++) {
        assert_false(c->paused);
        relay_server_input(w.server, c->id, body, BYTES, w.now);
        world_server_events(&w);
    }
    assert_true(c->paused);
    world_run(&w, 2 * NS_PER_S - 1);
    assert_false(c->closed);
    world_run(&w, 1);
    assert_true(c->closed);
    assert_int_equal(c->reason, RELAY_CLOSE_DONE);
    world_close(&w);
}

static void echoes_no_challenge_that_could_do_harm(void **state)
{
    (void)state;
    static const char too_long[] = "0123456789012345678901234567890123456789"
                                   "01234567890123456789012345";
    static const char *const bad[] = {"a b", "<x>", "a;b", too_long};
    for (size_t i = 0; i < 4; i++) {
        struct relay_server_config config = {0};
        struct world w;
        char request[256];
        world_open(&w, &config);
        (void)snprintf(request, sizeof(request),
                       "GET /generate_204 HTTP/1.1\r\n" WORLD_HOST
                       "X-Tailscale-Challenge: %s\r\n\r\n",
                       bad[i]);
        assert_null(strstr(ask(&w, request, 1), "Response"));
        world_close(&w);
    }
}

/* What `from` is told when it asks for the counters. */
static const char *ask_metrics(struct world *w, const char *from, const char *headers)
{
    char request[256];
    struct addr a;
    struct world_client *c = &w->clients[w->count++];
    (void)snprintf(request, sizeof(request), "GET /metrics HTTP/1.1\r\n" WORLD_HOST "%s\r\n",
                   headers);
    assert_int_equal(addr_parse(&a, from), 0);
    assert_int_equal(relay_server_accept(w->server, &a, w->now, &c->id), 0);
    relay_server_input(w->server, c->id, request, strlen(request), w->now);
    const char *answer = world_read_all(w, c);
    assert_int_equal(c->id, 0);
    w->count--;
    return answer;
}

static void metrics_are_for_this_machine_and_who_is_listed(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *headers;
        const char *status;
    } cases[] = {
        {"127.0.0.1:9", "", "200"},
        {"[::1]:9", "", "200"},
        {"[::ffff:127.0.0.1]:9", "", "200"},
        {"10.2.3.4:9", "", "200"},
        {"[::ffff:10.2.3.4]:9", "", "200"},
        {"11.2.3.4:9", "", "403"},
        {"[2001:db8::1]:9", "", "403"},
        {"127.0.0.1:9", "X-Forwarded-For: 127.0.0.1\r\n", "403"},
        {"127.0.0.1:9", "Forwarded: for=127.0.0.1\r\n", "403"},
        {"127.0.0.1:9", "Via: 1.1 proxy\r\n", "403"},
    };
    struct prefix listed;
    assert_int_equal(prefix_parse(&listed, "10.0.0.0/8"), 0);
    struct relay_server_config config = {.metrics = &listed, .metrics_count = 1};
    struct world w;
    world_open(&w, &config);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *answer = ask_metrics(&w, cases[i].from, cases[i].headers);
        assert_int_equal(strncmp(answer + 9, cases[i].status, 3), 0);
        assert_int_equal(strstr(answer, "adit_relay") != NULL, cases[i].status[0] == '2');
    }
    world_close(&w);
}

static void metrics_are_the_counters(void **state)
{
    (void)state;
    const struct stun_server_stats stun = {.answered = 31, .limited = 33};
    struct relay_server_config config = {.open = true, .stun = &stun};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(relay_client_send(a->core, b->key, "hello", 5), 0);
    }
    world_settle(&w);
    const char *text = ask_metrics(&w, "127.0.0.1:9", "");
    static const char *const lines[] = {
        "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
        "\n# TYPE adit_relay_clients gauge\nadit_relay_clients 2\n",
        "\n# TYPE adit_relay_packets_total counter\n",
        "\nadit_relay_packets_total{way=\"in\"} 3\n",
        "\nadit_relay_packets_total{way=\"out\"} 3\n",
        "\nadit_relay_bytes_total{way=\"out\"} 15\n",
        "\nadit_relay_closed_total{why=\"takes no data\"} 0\n",
        "\nadit_relay_dropped_total{why=\"queue_head\"} 0\n",
        "\nadit_relay_stun_total{result=\"answered\"} 31\n",
        "\nadit_relay_stun_total{result=\"limited\"} 33\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_non_null(strstr(text, lines[i]));
    }
    const char *length = strstr(text, "Content-Length: ");
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(length);
    assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
    world_close(&w);
}

/* Counters that have grown as far as they can still fit. */
static void the_largest_metrics_have_room(void **state)
{
    (void)state;
    const struct stun_server_stats stun = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    const struct relay_cluster_io_stats io = {0};
    const struct relay_cluster_config cluster = {.io = &io};
    struct relay_server_config config = {.stun = &stun, .cluster = &cluster};
    struct world w;
    world_open(&w, &config);
    const char *text = ask_metrics(&w, "127.0.0.1:9", "");
    size_t numbers = 0;
    for (const char *at = strchr(text, '\n'); at; at = strchr(at + 1, '\n')) {
        numbers += strncmp(at, "\nadit_", 6) == 0;
    }
    assert_non_null(strstr(text, "adit_relay_cluster_slow_total 0\n"));
    /* Each may have 19 digits more than here. */
    assert_true(strlen(text) + numbers * 19 < SERVER_METRICS_MAX);
    world_close(&w);
}

static void upgrade_and_key_come_in_one_piece(void **state)
{
    (void)state;
    static const char request[] = "GET /derp HTTP/1.1\r\n" WORLD_HOST
                                  "Connection: keep-alive, Upgrade\r\nUpgrade: derp\r\n\r\n";
    struct relay_server_config config = {0};
    struct world w;
    uint8_t frame[DERP_SERVER_KEY_LEN];
    uint8_t key[32];
    char header[256];
    char hex[65];
    world_open(&w, &config);
    relay_server_public_key(w.server, key);
    sodium_bin2hex(hex, sizeof(hex), key, 32);
    struct world_client *c = world_add_bare(&w);
    relay_server_input(w.server, c->id, request, sizeof(request) - 1, w.now);
    struct relay_span span[4];
    assert_int_equal(relay_server_output(w.server, c->id, span, 4, w.now), 1);
    (void)snprintf(header, sizeof(header),
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
                   "Derp-Version: 2\r\nDerp-Public-Key: %s\r\n\r\n",
                   hex);
    derp_write_server_key(frame, key);
    assert_int_equal(span[0].len, strlen(header) + sizeof(frame));
    assert_memory_equal(span[0].data, header, strlen(header));
    assert_memory_equal(span[0].data + strlen(header), frame, sizeof(frame));
    world_close(&w);
}

static void a_fast_start_gets_no_http_answer(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.rate_bytes_per_s = 70000}};
    struct world w;
    struct derp_info info;
    uint8_t scratch[256];
    uint8_t server[32];
    world_open(&w, &config);
    relay_server_public_key(w.server, server);
    struct world_client *c = world_add_bare(&w);
    const uint8_t *answer = world_fast_start(&w, c, 1);
    assert_int_equal(answer[0], DERP_SERVER_INFO);
    struct derp_frame f = {DERP_SERVER_INFO, answer[4], answer + DERP_HEADER};
    assert_int_equal(derp_open_server_info(&f, c->secret, server, scratch, &info), 0);
    assert_int_equal(info.version, 2);
    assert_int_equal(info.bytes_per_second, 70000);
    assert_int_equal(world_stats(&w)->clients, 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_small_questions),
        cmocka_unit_test(refuses_requests_that_are_none_of_its),
        cmocka_unit_test(who_is_answered_may_say_the_rest),
        cmocka_unit_test(but_not_for_long_and_not_much),
        cmocka_unit_test(echoes_no_challenge_that_could_do_harm),
        cmocka_unit_test(metrics_are_for_this_machine_and_who_is_listed),
        cmocka_unit_test(metrics_are_the_counters),
        cmocka_unit_test(the_largest_metrics_have_room),
        cmocka_unit_test(upgrade_and_key_come_in_one_piece),
        cmocka_unit_test(a_fast_start_gets_no_http_answer),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
