#include "unit/relay/relay_world.h"

#include <base/mem.h>

static const struct relay_server_stats *stats_of(const struct world *w)
{
    return relay_server_stats(w->server);
}

/* A payload that relays take for signalling. */
static void send_signalling(struct world_client *c, const uint8_t to[32])
{
    const uint8_t data[62] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    assert_int_equal(relay_client_send(c->core, to, data, sizeof(data)), 0);
}

/* Everything that a bare connection has been sent, as text. */
static const char *read_all(struct world *w, struct world_client *c)
{
    static char text[65536 + 1];
    size_t len = 0;
    size_t n;
    world_server_events(w);
    while (c->id && (n = world_read(w, c, (uint8_t *)text + len)) > 0) {
        len += n;
        assert_true(len < 60000);
    }
    text[len] = '\0';
    world_server_events(w);
    return text;
}

static const char *ask(struct world *w, const char *request, size_t step)
{
    struct world_client *c = world_add_bare(w);
    size_t len = strlen(request);
    for (size_t i = 0; i < len; i += step) {
        relay_server_input(w->server, c->id, request + i, len - i < step ? len - i : step, w->now);
    }
    const char *answer = read_all(w, c);
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

#define HOST "Host: r\r\n"

static void answers_small_questions(void **state)
{
    (void)state;
    assert_answer("GET / HTTP/1.1\r\n" HOST "\r\n", "200", "Adit relay");
    assert_answer("GET /?x=1 HTTP/1.1\r\n" HOST "\r\n", "200", "Adit relay");
    assert_answer("GET /healthz HTTP/1.1\r\n" HOST "\r\n", "200", "\r\n\r\nok\n");
    assert_answer("GET /derp/probe HTTP/1.1\r\n" HOST "\r\n", "200",
                  "Access-Control-Allow-Origin: *\r\nContent-Length: 0\r\n");
    assert_answer("HEAD /derp/latency-check HTTP/1.1\r\n" HOST "\r\n", "200", "-Origin: *\r\n");
    assert_answer("GET /healthz HTTP/1.0\r\n\r\n", "200", "Connection: close\r\n");
    assert_answer("GET /generate_204 HTTP/1.1\r\n" HOST "\r\n", "204", "no-store");
    assert_answer("GET /generate_204 HTTP/1.1\r\n" HOST "X-Tailscale-Challenge: ts_a:b-1.2\r\n\r\n",
                  "204", "\r\nX-Tailscale-Response: response ts_a:b-1.2\r\n");
}

static void refuses_requests_that_are_none_of_its(void **state)
{
    (void)state;
    static char big[9000] = "GET / HTTP/1.1\r\n" HOST "X: ";
    assert_answer("GET /x HTTP/1.1\r\n" HOST "\r\n", "404", "Not Found");
    assert_answer("GET /derp/ HTTP/1.1\r\n" HOST "\r\n", "404", "Not Found");
    assert_answer("POST /derp/probe HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "405",
                  "Allow: GET, HEAD\r\n");
    assert_answer("PUT /derp HTTP/1.1\r\n" HOST "\r\n", "405", "Allow: GET\r\n");
    assert_answer("GET /derp HTTP/1.1\r\n" HOST "\r\n", "426", "Upgrade: DERP\r\n");
    assert_answer("GET /derp HTTP/1.1\r\n" HOST "Upgrade: DERP\r\n\r\n", "426", "");
    assert_answer("GET /derp HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
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
                       "GET /generate_204 HTTP/1.1\r\n" HOST "X-Tailscale-Challenge: %s\r\n\r\n",
                       bad[i]);
        assert_null(strstr(ask(&w, request, 1), "Response"));
        world_close(&w);
    }
}

static void upgrade_and_key_come_in_one_piece(void **state)
{
    (void)state;
    static const char request[] =
        "GET /derp HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\nUpgrade: derp\r\n\r\n";
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

/* Logs a bare connection in, all in one flight. Returns what the server said behind its key. */
static const uint8_t *fast_start(struct world *w, struct world_client *c, uint8_t n)
{
    uint8_t out[512] = "GET /derp HTTP/1.1\r\n" HOST
                       "Connection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: DERP\r\n\r\n";
    size_t len = strlen((char *)out);
    uint8_t server[32];
    const uint8_t nonce[24] = {3};
    world_key(c, n);
    relay_server_public_key(w->server, server);
    int sealed = derp_seal_client_info(out + len, nonce, c->key, c->secret, server);
    assert_true(sealed > 0);
    relay_server_input(w->server, c->id, out, len + (size_t)sealed, w->now);
    const uint8_t *answer = (const uint8_t *)read_all(w, c);
    assert_int_equal(answer[0], DERP_SERVER_KEY);
    return answer + DERP_SERVER_KEY_LEN;
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
    const uint8_t *answer = fast_start(&w, c, 1);
    assert_int_equal(answer[0], DERP_SERVER_INFO);
    struct derp_frame f = {DERP_SERVER_INFO, answer[4], answer + DERP_HEADER};
    assert_int_equal(derp_open_server_info(&f, c->secret, server, scratch, &info), 0);
    assert_int_equal(info.version, 2);
    assert_int_equal(info.bytes_per_second, 70000);
    assert_int_equal(stats_of(&w)->clients, 1);
    world_close(&w);
}

static void admits_only_listed_keys(void **state)
{
    (void)state;
    uint8_t allowed[3][32];
    struct world_client keys[3];
    for (uint8_t i = 0; i < 3; i++) {
        world_key(&keys[i], (uint8_t)(i + 1));
        memcpy(allowed[i], keys[i].key, 32);
    }
    struct relay_server_config config = {.allowed = (const uint8_t(*)[32])allowed,
                                         .allowed_count = 3};
    struct world w;
    world_open(&w, &config);
    memset(allowed, 0, sizeof(allowed)); /* the server has its own copy */
    for (uint8_t i = 0; i < 5; i++) {
        world_add(&w, i);
    }
    world_settle(&w);
    for (uint8_t i = 0; i < 5; i++) {
        bool is_listed = i >= 1 && i <= 3;
        assert_int_equal(w.clients[i].ups, is_listed);
        assert_int_equal(w.clients[i].closed, !is_listed);
        assert_true(is_listed || w.clients[i].reason == RELAY_CLOSE_NOT_ADMITTED);
    }
    assert_int_equal(stats_of(&w)->closed[RELAY_CLOSE_NOT_ADMITTED], 2);
    world_close(&w);
}

static void bad_logins_are_closed(void **state)
{
    (void)state;
    static const struct {
        const char *frame;
        size_t len;
        enum relay_close reason;
    } cases[] = {
        {"\x04\0\0\0\x20", 5, RELAY_CLOSE_PROTOCOL},
        {"\x02\0\0\x10\x01", 5, RELAY_CLOSE_PROTOCOL},
        {"\x02\0\0\0\x20", 5, RELAY_CLOSE_PROTOCOL},
        {"\x06\0\0\0\0", 5, RELAY_CLOSE_PROTOCOL},
        {"\x02\0\0\0\x48", 5 + 72, RELAY_CLOSE_LOGIN}, /* the zero key */
    };
    for (size_t i = 0; i < 5; i++) {
        static const char request[] =
            "GET /derp HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n";
        struct relay_server_config config = {.open = true};
        struct world w;
        uint8_t frame[128] = {0};
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        relay_server_input(w.server, c->id, request, sizeof(request) - 1, w.now);
        read_all(&w, c);
        memcpy(frame, cases[i].frame, 5);
        relay_server_input(w.server, c->id, frame, cases[i].len, w.now);
        world_server_events(&w);
        assert_true(c->closed);
        assert_int_equal(c->reason, cases[i].reason);
        world_close(&w);
    }
}

static void slow_logins_are_closed(void **state)
{
    (void)state;
    static const char *const said[] = {"", "GET /de",
                                       "GET /derp HTTP/1.1\r\n" HOST
                                       "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n\x02\0"};
    for (size_t i = 0; i < 3; i++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        relay_server_input(w.server, c->id, said[i], strlen(said[i]), w.now);
        read_all(&w, c);
        world_run(&w, 10 * NS_PER_S - 1);
        assert_false(c->closed);
        world_run(&w, 1);
        assert_true(c->closed);
        assert_int_equal(c->reason, RELAY_CLOSE_TIMEOUT);
        world_close(&w);
    }
}

static void an_absent_peer_is_told_for_signalling_only(void **state)
{
    (void)state;
    const uint8_t nobody[32] = {7};
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    assert_int_equal(relay_client_send(a->core, nobody, "hello", 5), 0);
    world_settle(&w);
    assert_int_equal(a->gones, 0);
    for (int i = 0; i < 10; i++) {
        send_signalling(a, nobody);
    }
    world_settle(&w);
    assert_int_equal(a->gones, 3);
    assert_memory_equal(a->gone_key, nobody, 32);
    assert_int_equal(a->gone_reason, DERP_GONE_NOT_HERE);
    world_run(&w, NS_PER_S);
    send_signalling(a, nobody);
    send_signalling(a, nobody);
    world_settle(&w);
    assert_int_equal(a->gones, 4);
    assert_int_equal(stats_of(&w)->dropped[RELAY_DROP_NO_PEER], 13);
    world_close(&w);
}

static void those_who_received_from_a_peer_hear_when_it_leaves(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    relay_client_send(a->core, b->key, "x", 1);
    relay_client_send(a->core, b->key, "y", 1);
    relay_client_send(c->core, a->key, "z", 1); /* c received nothing */
    world_settle(&w);
    relay_client_stop(a->core, w.now);
    world_settle(&w);
    assert_int_equal(b->gones, 1);
    assert_memory_equal(b->gone_key, a->key, 32);
    assert_int_equal(b->gone_reason, DERP_GONE_DISCONNECTED);
    assert_int_equal(c->gones, 0);
    world_close(&w);
}

static void the_last_writer_of_a_key_receives(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    struct world_client *old = world_add(&w, 2);
    world_settle(&w);
    struct world_client *new = world_add(&w, 2);
    world_settle(&w);
    relay_client_send(a->core, new->key, "1", 1);
    world_settle(&w);
    assert_int_equal(new->packets, 1);
    relay_client_hurry(old->core, w.now); /* a ping is enough */
    world_settle(&w);
    relay_client_send(a->core, new->key, "2", 1);
    world_settle(&w);
    assert_int_equal(old->packets, 1);
    assert_int_equal(new->packets, 1);
    relay_client_send(old->core, a->key, "3", 1);
    world_settle(&w);
    relay_client_stop(old->core, w.now);
    world_settle(&w);
    assert_int_equal(a->gones, 0); /* one of them is still here */
    relay_client_send(a->core, new->key, "4", 1);
    world_settle(&w);
    assert_int_equal(new->packets, 2);
    relay_client_stop(new->core, w.now);
    world_settle(&w);
    assert_int_equal(a->gones, 1);
    world_close(&w);
}

static void the_newest_connection_of_a_key_receives(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *old = world_add_bare(&w);
    struct world_client *new = world_add_bare(&w);
    world_settle(&w);
    fast_start(&w, old, 2);
    fast_start(&w, new, 2); /* says nothing after its login */
    relay_client_send(a->core, new->key, "1", 1);
    world_settle(&w);
    assert_int_equal(read_all(&w, old)[0], 0);
    assert_int_equal(read_all(&w, new)[0], DERP_RECV_PACKET);
    relay_server_closed(w.server, new->id, w.now);
    new->id = 0;
    relay_client_send(a->core, new->key, "2", 1);
    world_settle(&w);
    assert_int_equal(read_all(&w, old)[0], DERP_RECV_PACKET);
    world_close(&w);
}

static void the_oldest_of_too_many_duplicates_goes(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    for (int i = 0; i < 9; i++) {
        fast_start(&w, world_add_bare(&w), 1);
    }
    assert_true(w.clients[0].closed);
    assert_int_equal(w.clients[0].reason, RELAY_CLOSE_DUPLICATE);
    assert_int_equal(stats_of(&w)->clients, 8);
    world_close(&w);
}

static void a_full_queue_loses_its_oldest_packets(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.queue_packets_max = 10}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    b->deaf = true;
    for (uint8_t i = 0; i < 30; i++) {
        relay_client_send(a->core, b->key, &i, 1);
    }
    send_signalling(a, b->key);
    relay_client_send(a->core, c->key, "c", 1);
    world_settle(&w);
    assert_int_equal(c->packets, 1); /* nobody waits for b */
    assert_int_equal(stats_of(&w)->dropped[RELAY_DROP_QUEUE_HEAD], 20);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(b->packets, 11); /* signalling has a queue of its own */
    assert_int_equal(b->last_data[0], 29);
    world_close(&w);
}

static void signalling_and_bulk_take_turns(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    char order[21] = "";
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add_bare(&w);
    world_settle(&w);
    fast_start(&w, b, 2);
    for (int i = 0; i < 10; i++) {
        relay_client_send(a->core, b->key, "x", 1);
    }
    for (int i = 0; i < 10; i++) {
        send_signalling(a, b->key);
    }
    world_settle(&w);
    for (int i = 0; i < 20; i++) {
        uint8_t frame[256];
        order[i] = world_read(&w, b, frame) == 38 ? 'b' : 's';
    }
    assert_true(strcmp(order, "sbsbsbsbsbsbsbsbsbsb") == 0 ||
                strcmp(order, "bsbsbsbsbsbsbsbsbsbs") == 0);
    world_close(&w);
}

static void queues_have_a_ceiling_in_bytes(void **state)
{
    (void)state;
    static uint8_t big[60000];
    struct relay_server_config config = {.open = true, .limits = {.queue_bytes_max = 1}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    for (uint8_t i = 0; i < 5; i++) {
        big[0] = i;
        relay_client_send(a->core, b->key, big, sizeof(big));
        world_settle(&w);
    }
    send_signalling(a, b->key); /* still fits */
    world_settle(&w);
    assert_int_equal(stats_of(&w)->dropped[RELAY_DROP_QUEUE_HEAD], 4);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(b->packets, 2);
    assert_int_equal(b->last_data[0], 4);
    world_close(&w);
}

static void without_buffers_packets_are_dropped_not_clients(void **state)
{
    (void)state;
    static uint8_t big[60000];
    struct relay_server_config config = {.open = true, .limits = {.pool_bytes_max = 100000}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    relay_client_send(a->core, b->key, big, sizeof(big));
    relay_client_send(a->core, b->key, big, sizeof(big));
    relay_client_send(a->core, b->key, "small", 5);
    world_settle(&w);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(stats_of(&w)->dropped[RELAY_DROP_POOL], 1);
    assert_int_equal(b->packets, 2);
    assert_int_equal(a->downs + b->downs, 0);
    world_close(&w);
}

static void who_takes_nothing_is_closed(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    relay_client_send(a->core, b->key, "x", 1);
    relay_client_send(a->core, b->key, "y", 1);
    world_run(&w, 2 * NS_PER_S - 1);
    assert_false(b->closed);
    world_run(&w, 1);
    assert_true(b->closed);
    assert_int_equal(b->reason, RELAY_CLOSE_STALLED);
    assert_int_equal(stats_of(&w)->dropped[RELAY_DROP_LEFT], 2);
    assert_false(a->closed);
    world_close(&w);
}

static void who_takes_little_by_little_is_not_closed(void **state)
{
    (void)state;
    uint8_t data[1000] = {0};
    uint8_t byte[16];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add_bare(&w);
    world_settle(&w);
    fast_start(&w, b, 2);
    relay_client_send(a->core, b->key, data, sizeof(data));
    world_settle(&w);
    for (int i = 0; i < 20; i++) {
        w.step = 1;
        assert_int_equal(world_read(&w, b, byte), 1);
        w.step = 65536;
        world_run(&w, 2 * NS_PER_S - 1);
        assert_false(b->closed);
    }
    world_run(&w, 1);
    assert_true(b->closed);
    world_close(&w);
}

static void keep_alives_come_each_minute_or_so(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    fast_start(&w, c, 1);
    for (int i = 1; i <= 3; i++) {
        size_t waited = 0;
        const char *said = "";
        while (!said[0] && waited++ < 700) {
            world_run(&w, NS_PER_S / 10);
            said = read_all(&w, c);
        }
        assert_memory_equal(said, "\x06\0\0\0\0", 6);
        assert_in_range(waited, 599, 651);
    }
    world_close(&w);
}

static void one_pong_waits_at_most(void **state)
{
    (void)state;
    static const char ping[] = "\x12\0\0\0\x08"
                               "12345678";
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    fast_start(&w, c, 1);
    for (int i = 0; i < 3; i++) {
        relay_server_input(w.server, c->id, ping, sizeof(ping) - 1, w.now);
    }
    const char *said = read_all(&w, c);
    assert_memory_equal(said,
                        "\x13\0\0\0\x08"
                        "12345678\0",
                        14);
    relay_server_input(w.server, c->id, ping, sizeof(ping) - 1, w.now);
    assert_int_equal(read_all(&w, c)[0], DERP_PONG);
    world_close(&w);
}

static void frames_of_the_mesh_and_bad_lengths_end_it(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "\x0a\0\0\0\x40",   "\x10\0\0\0\0",   "\x11\0\0\0\x20",
        "\x04\0\x01\0\x21", "\x04\0\0\0\x1f", "\x12\0\0\0\x07",
        "\x12\0\0\x03\xe9", "\x07\0\0\0\x02", "\x7f\0\x10\0\x01",
    };
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        fast_start(&w, c, 1);
        relay_server_input(w.server, c->id, "\x7f\0\0\0\x03zzz\x07\0\0\0\x01\x01", 14, w.now);
        world_server_events(&w);
        assert_false(c->closed);
        assert_int_equal(stats_of(&w)->frames_skipped, 1);
        relay_server_input(w.server, c->id, frames[i], 5, w.now);
        world_server_events(&w);
        assert_true(c->closed);
        assert_int_equal(c->reason, RELAY_CLOSE_PROTOCOL);
        world_close(&w);
    }
}

static void a_client_over_its_rate_is_not_read_from(void **state)
{
    (void)state;
    static uint8_t frame[10037] = {4, 0, 0, 0x27, 0x30};
    struct relay_server_config config = {.open = true, .limits = {.rate_bytes_per_s = 100000}};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    fast_start(&w, c, 1);
    uint64_t begin = w.now;
    size_t sent = 0;
    while (w.now < begin + 20 * NS_PER_S) {
        while (!c->paused) {
            relay_server_input(w.server, c->id, frame, sizeof(frame), w.now);
            sent += sizeof(frame);
            world_server_events(&w);
        }
        world_run(&w, 10 * NS_PER_MS);
    }
    /* the burst, 20 s at the rate, and one frame more */
    assert_in_range(sent, 2050000, 100000 + 2000000 + 2 * sizeof(frame));
    assert_true(stats_of(&w)->paused > 10);
    assert_false(c->closed);
    world_close(&w);
}

static void refuses_connections_past_its_ceilings(void **state)
{
    (void)state;
    struct relay_server_config config = {
        .limits = {.clients_max = 5, .clients_per_address_max = 2},
    };
    struct world w;
    uint64_t id[8] = {0};
    world_open(&w, &config);
    struct addr mapped;
    struct addr other;
    struct addr a = addr_ipv4(192, 0, 2, 1, 5);
    assert_int_equal(addr_parse(&mapped, "[::ffff:192.0.2.1]:9"), 0);
    assert_int_equal(addr_parse(&other, "[2001:db8::1]:9"), 0);
    assert_int_equal(relay_server_accept(w.server, &a, w.now, &id[0]), 0);
    assert_int_equal(relay_server_accept(w.server, &mapped, w.now, &id[1]), 0);
    assert_int_equal(relay_server_accept(w.server, &a, w.now, &id[2]), ERR_REFUSED);
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[2]), 0);
    other.ip[15] = 99; /* the same /64 */
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[3]), 0);
    other.ip[14] = 99;
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[4]), ERR_REFUSED);
    other.ip[7] = 99; /* another /64 */
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[4]), 0);
    other.ip[7] = 98;
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[6]), ERR_NO_ROOM);
    relay_server_closed(w.server, id[0], w.now);
    relay_server_closed(w.server, id[0], w.now);
    assert_int_equal(relay_server_accept(w.server, &a, w.now, &id[5]), 0);
    assert_true(id[5] != id[0]);
    relay_server_input(w.server, id[0], "x", 1, w.now); /* late, for an id that is gone */
    assert_int_equal(stats_of(&w)->refused[RELAY_REFUSED_ADDRESS], 2);
    assert_int_equal(stats_of(&w)->refused[RELAY_REFUSED_CLIENTS], 1);
    assert_int_equal(stats_of(&w)->connections, 5);
    world_close(&w);
}

static void contacts_have_a_ceiling(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.contacts_max = 1}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    relay_client_send(a->core, c->key, "x", 1);
    world_settle(&w);
    relay_client_send(b->core, c->key, "y", 1);
    world_settle(&w);
    relay_client_stop(a->core, w.now);
    relay_client_stop(b->core, w.now);
    world_settle(&w);
    assert_int_equal(c->packets, 2);
    assert_int_equal(c->gones, 1);
    assert_memory_equal(c->gone_key, a->key, 32);
    assert_int_equal(stats_of(&w)->contacts_refused, 1);
    world_close(&w);
}

/* The n-th allocation and all later ones fail: no crash, no leak, and what works, works. */
static void survives_without_memory(void **state)
{
    (void)state;
    for (size_t n = 1; n < 24; n++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *a = world_add(&w, 1);
        struct world_client *b = world_add(&w, 2);
        mem_fail_after(n);
        world_settle(&w);
        relay_client_send(a->core, b->key, "x", 1);
        world_settle(&w);
        mem_fail_after(0);
        world_run(&w, 20 * NS_PER_S);
        assert_true(a->ups >= 1 && b->ups >= 1);
        unsigned before = b->packets;
        relay_client_send(a->core, b->key, "x", 1);
        world_settle(&w);
        assert_int_equal(b->packets, before + 1);
        world_close(&w);
    }
    for (size_t n = 1; n < 7; n++) {
        struct world w = {.now = 1};
        struct relay_server_config config = {.open = true, .secret = {1}};
        config.rng = pcg_rng(&w.pcg, 1);
        mem_fail_after(n);
        assert_null(relay_server_new(&config));
        mem_fail_after(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_small_questions),
        cmocka_unit_test(refuses_requests_that_are_none_of_its),
        cmocka_unit_test(echoes_no_challenge_that_could_do_harm),
        cmocka_unit_test(upgrade_and_key_come_in_one_piece),
        cmocka_unit_test(a_fast_start_gets_no_http_answer),
        cmocka_unit_test(admits_only_listed_keys),
        cmocka_unit_test(bad_logins_are_closed),
        cmocka_unit_test(slow_logins_are_closed),
        cmocka_unit_test(an_absent_peer_is_told_for_signalling_only),
        cmocka_unit_test(those_who_received_from_a_peer_hear_when_it_leaves),
        cmocka_unit_test(the_last_writer_of_a_key_receives),
        cmocka_unit_test(the_newest_connection_of_a_key_receives),
        cmocka_unit_test(the_oldest_of_too_many_duplicates_goes),
        cmocka_unit_test(a_full_queue_loses_its_oldest_packets),
        cmocka_unit_test(signalling_and_bulk_take_turns),
        cmocka_unit_test(queues_have_a_ceiling_in_bytes),
        cmocka_unit_test(without_buffers_packets_are_dropped_not_clients),
        cmocka_unit_test(who_takes_nothing_is_closed),
        cmocka_unit_test(who_takes_little_by_little_is_not_closed),
        cmocka_unit_test(keep_alives_come_each_minute_or_so),
        cmocka_unit_test(one_pong_waits_at_most),
        cmocka_unit_test(frames_of_the_mesh_and_bad_lengths_end_it),
        cmocka_unit_test(a_client_over_its_rate_is_not_read_from),
        cmocka_unit_test(refuses_connections_past_its_ceilings),
        cmocka_unit_test(contacts_have_a_ceiling),
        cmocka_unit_test(survives_without_memory),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
