#include "relay/relay_server.h"

#include "support/relay_world.h"

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
        cmocka_unit_test(echoes_no_challenge_that_could_do_harm),
        cmocka_unit_test(upgrade_and_key_come_in_one_piece),
        cmocka_unit_test(a_fast_start_gets_no_http_answer),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
