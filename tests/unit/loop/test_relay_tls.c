/* What only TLS brings: its handshake, and who does not come with it. */
#include "unit/loop/relay_fixture.h"

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
    uint64_t end = derp_peer_now() + DEADLINE_NS;
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

/* --- an answer to who is still talking --- */

enum { BODY = 1 << 20, ANSWER_MAX = 1024 };

struct asker {
    int fd;
    struct tls *tls;
    size_t left; /* of the body */
    char answer[ANSWER_MAX];
    size_t answer_len;
    bool goodbye; /* of TLS */
    bool ended;   /* and of TCP, in good order */
};

static void ask(struct asker *a, const struct fixture *f)
{
    *a = (struct asker){.fd = connect_bare(f), .tls = tls_new(f->client_tls), .left = BODY};
    assert_non_null(a->tls);
    assert_int_equal(fcntl(a->fd, F_SETFL, O_NONBLOCK), 0);
}

/* All that TLS has is in the socket. */
static bool flush(struct asker *a)
{
    const uint8_t *data;
    size_t len;
    while ((len = tls_output(a->tls, &data)) > 0) {
        ssize_t n = send(a->fd, data, len, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        tls_sent(a->tls, n > 0 ? (size_t)n : 0);
        if (n < (ssize_t)len) {
            return false;
        }
    }
    return true;
}

static void say_on(struct asker *a)
{
    static const char head[] = "POST /derp HTTP/1.1\r\nHost: r\r\nContent-Length: 1048576\r\n\r\n";
    static const uint8_t body[TLS_WRITE_MAX];
    bool first = a->left == BODY;
    while (a->left > 0 && flush(a) && tls_is_ready(a->tls)) {
        if (first) {
            assert_int_equal(tls_write(a->tls, head, sizeof(head) - 1), 0);
            first = false;
        } else {
            size_t len = a->left < sizeof(body) ? a->left : sizeof(body);
            assert_int_equal(tls_write(a->tls, body, len), 0);
            a->left -= len;
        }
    }
    (void)flush(a);
}

static void hear(struct asker *a)
{
    uint8_t in[4096];
    ssize_t n = recv(a->fd, in, sizeof(in), 0);
    assert_true(n >= 0 || errno == EAGAIN);
    a->ended = n == 0;
    if (n <= 0) {
        return;
    }
    tls_input(a->tls, in, (size_t)n);
    int got;
    do {
        got = tls_read(a->tls, a->answer + a->answer_len, ANSWER_MAX - 1 - a->answer_len);
        a->answer_len += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    assert_true(got == 0 || got == ERR_CLOSED);
    a->goodbye = a->goodbye || got == ERR_CLOSED;
}

/* As in test_relay_answer.c: says all it has before it listens. */
static void a_long_body_does_not_cost_the_answer(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    for (unsigned i = 1; i <= 8; i++) {
        struct asker a;
        uint64_t end = derp_peer_now() + DEADLINE_NS;
        ask(&a, &f);
        while (a.left > 0 || !a.ended) {
            assert_true(derp_peer_now() < end);
            uv_run(&f.loop, UV_RUN_NOWAIT);
            say_on(&a);
            if (!tls_is_ready(a.tls) || a.left == 0) {
                hear(&a);
            }
        }
        assert_true(a.goodbye);
        assert_ptr_equal(strstr(a.answer, "HTTP/1.1 405 "), a.answer);
        assert_non_null(strstr(a.answer, "\r\n\r\n405 Method Not Allowed\n"));
        tls_free(a.tls);
        (void)close(a.fd);
        while (stats->closed[RELAY_CLOSE_DONE] < i) {
            assert_true(derp_peer_now() < end);
            uv_run(&f.loop, UV_RUN_NOWAIT);
        }
    }
    assert_int_equal(stats->connections, 0);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_has_its_time),
        cmocka_unit_test(plain_http_is_refused_and_named),
        cmocka_unit_test(a_relay_with_another_key_is_refused),
        cmocka_unit_test(a_long_body_does_not_cost_the_answer),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    way.tls = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
