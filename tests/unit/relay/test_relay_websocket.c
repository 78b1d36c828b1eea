/* DERP inside WebSocket: client and server against each other, and each against bytes by hand. */
#include "support/relay_world.h"
#include "wire/websocket.h"

#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#define RFC_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define RFC_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define REQUEST                                                                                    \
    "GET /derp HTTP/1.1\r\n" WORLD_HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n"            \
    "Sec-WebSocket-Key: " RFC_KEY "\r\n"
#define REST "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: derp\r\n\r\n"

static const uint8_t mask[WS_MASK] = {1, 2, 3, 4};

static void packets_pass(size_t step, bool other_is_plain)
{
    static uint8_t big[DERP_PACKET_MAX];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    w.step = step;
    w.websocket = true;
    struct world_client *a = world_add(&w, 1);
    w.websocket = !other_is_plain;
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    assert_int_equal(a->ups, 1);
    assert_int_equal(b->ups, 1);
    randombytes_buf(big, sizeof(big));
    for (unsigned i = 1; i <= 3; i++) {
        size_t len = i == 1 ? 5 : sizeof(big);
        assert_int_equal(relay_client_send(a->core, b->key, big, len), 0);
        assert_int_equal(relay_client_send(b->core, a->key, big, len), 0);
        world_settle(&w);
        assert_int_equal(a->packets, i);
        assert_int_equal(b->packets, i);
        assert_int_equal(a->last_len, len);
        assert_int_equal(b->last_len, len);
        assert_memory_equal(b->last_data, big, len < WORLD_DATA ? len : WORLD_DATA);
        assert_memory_equal(a->last_from, b->key, 32);
    }
    assert_int_equal(relay_client_backlog(a->core), 0);
    /* Its pings and the relay's keep-alives go the same way. */
    world_run(&w, 200 * NS_PER_S);
    assert_int_equal(a->downs + b->downs, 0);
    assert_true(relay_client_rtt_ns(a->core) > 0);
    world_close(&w);
}

static void packets_of_all_sizes_pass_in_any_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 1000, 100000};
    for (size_t i = 0; i < 4; i++) {
        packets_pass(steps[i], false);
        packets_pass(steps[i], true);
    }
}

static void many_packets_wait_and_leave_in_order(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    w.websocket = true;
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t data[900];
        memset(data, i, sizeof(data));
        assert_int_equal(relay_client_send(a->core, b->key, data, sizeof(data)), 0);
    }
    world_settle(&w);
    b->deaf = false;
    w.step = 333;
    world_settle(&w);
    assert_int_equal(b->packets, 100);
    assert_int_equal(b->last_data[0], 99);
    world_close(&w);
}

static size_t length_of(const uint8_t *frame)
{
    assert_int_equal(frame[0], 0x82);
    assert_int_equal(frame[1] & 0x7f, 126);
    return (size_t)frame[2] << 8 | frame[3];
}

/* Others read no longer ones. */
static void messages_are_short_at_both_ends(void **state)
{
    (void)state;
    static uint8_t big[DERP_PACKET_MAX];
    struct relay_server_config config = {.open = true};
    struct relay_span spans[8];
    const uint8_t *data;
    struct world w;
    world_open(&w, &config);
    w.websocket = true;
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    assert_int_equal(relay_client_send(a->core, b->key, big, sizeof(big)), 0);
    assert_true(relay_client_output(a->core, &data) > WS_MESSAGE_MAX);
    assert_int_equal(length_of(data), 32768);
    world_settle(&w);
    size_t n = relay_server_output(w.server, b->id, spans, 8, w.now);
    assert_true(n >= 2);
    assert_int_equal(length_of(spans[0].data), 32768);
    world_close(&w);
}

static size_t ask(struct world *w, struct world_client *c, const char *request, uint8_t *out)
{
    relay_server_input(w->server, c->id, request, strlen(request), w->now);
    size_t len = 0;
    size_t n;
    while (c->id && (n = world_read(w, c, out + len)) > 0) {
        len += n;
        (void)world_server_events(w);
    }
    return len;
}

static void the_handshake_is_that_of_the_rfc(void **state)
{
    (void)state;
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " RFC_ACCEPT "\r\nSec-WebSocket-Protocol: derp\r\n\r\n";
    static uint8_t out[4096];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    size_t len = ask(&w, c, REQUEST REST, out);
    size_t head = sizeof(answer) - 1;
    assert_int_equal(len, head + 2 + DERP_SERVER_KEY_LEN);
    assert_memory_equal(out, answer, head);
    assert_int_equal(out[head], 0x82);
    assert_int_equal(out[head + 1], DERP_SERVER_KEY_LEN);
    assert_int_equal(out[head + 2], DERP_SERVER_KEY);
    world_close(&w);
}

static void assert_answer(const char *request, const char *start)
{
    static uint8_t out[4096];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    out[ask(&w, c, request, out)] = '\0';
    if (strncmp((const char *)out, start, strlen(start)) != 0) {
        fail_msg("%s got %s", request, (const char *)out);
    }
    world_close(&w);
}

static void other_handshakes_get_their_answer(void **state)
{
    (void)state;
    assert_answer(REQUEST "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Protocol: derp\r\n\r\n",
                  "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n");
    assert_answer("GET /derp HTTP/1.1\r\n" WORLD_HOST "Connection: Upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Key: short\r\n" REST,
                  "HTTP/1.1 400 ");
    assert_answer(REQUEST "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, Derp\r\n\r\n",
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n");
    /* As derper has it: without the sub-protocol it is plain DERP. */
    assert_answer(REQUEST "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: derper\r\n\r\n",
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n");
}

static void a_ping_is_answered(void **state)
{
    (void)state;
    static uint8_t out[4096];
    uint8_t ping[WS_HEADER_MAX + 3];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    (void)ask(&w, c, REQUEST REST, out);
    for (int i = 0; i < 2; i++) {
        size_t len = ws_write_header(ping, WS_PING, 3, mask);
        ws_mask(ping + len, (const uint8_t *)"abc", 3, mask, 0);
        relay_server_input(w.server, c->id, ping, len + 3, w.now);
    }
    (void)world_server_events(&w);
    assert_int_equal(world_read(&w, c, out), 5); /* one answer, to the latest */
    assert_memory_equal(out,
                        "\x8a\x03"
                        "abc",
                        5);
    world_close(&w);
}

/* What carries nothing is read too. */
static void frames_without_payload_count_for_the_rate(void **state)
{
    (void)state;
    static uint8_t empty[6 * 10000];
    struct relay_server_config config = {.open = true, .limits = {.rate_bytes_per_s = 1000}};
    struct world w;
    world_open(&w, &config);
    w.websocket = true;
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    assert_int_equal(a->ups, 1);
    for (size_t at = 0; at < sizeof(empty); at += 6) {
        assert_int_equal(ws_write_header(empty + at, WS_BINARY, 0, mask), 6);
    }
    relay_server_input(w.server, a->id, empty, sizeof(empty), w.now);
    (void)world_server_events(&w);
    assert_int_equal(a->pauses, 0); /* the burst has room for a whole packet */
    relay_server_input(w.server, a->id, empty, sizeof(empty), w.now);
    (void)world_server_events(&w);
    assert_int_equal(a->pauses, 1);
    world_close(&w);
}

static enum relay_close end_of(const uint8_t *bytes, size_t len)
{
    static uint8_t out[4096];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    (void)ask(&w, c, REQUEST REST, out);
    relay_server_input(w.server, c->id, bytes, len, w.now);
    (void)world_server_events(&w);
    assert_true(c->closed);
    world_close(&w);
    return c->reason;
}

static void a_client_that_breaks_the_rules_is_closed(void **state)
{
    (void)state;
    static const uint8_t bare[] = {0x82, 0x01, 'x'};
    static const uint8_t text[] = {0x81, 0x81, 1, 2, 3, 4, 'x'};
    static const uint8_t close_frame[] = {0x88, 0x80, 1, 2, 3, 4};
    assert_int_equal(end_of(bare, sizeof(bare)), RELAY_CLOSE_PROTOCOL);
    assert_int_equal(end_of(text, sizeof(text)), RELAY_CLOSE_PROTOCOL);
    assert_int_equal(end_of(close_frame, sizeof(close_frame)), RELAY_CLOSE_GONE);
}

/* A client whose relay is played here: what it says to `answer`. */
static struct relay_client *lone_client(struct rng rng, char key[WS_KEY_TEXT])
{
    struct relay_client_config config = {.host = "r", .rng = rng, .websocket = true};
    struct relay_client_event ev;
    const uint8_t *data;
    memset(config.secret, 1, 32);
    crypto_scalarmult_base(config.public_key, config.secret);
    struct relay_client *c = relay_client_new(&config);
    assert_non_null(c);
    relay_client_start(c, 1);
    assert_true(relay_client_event(c, &ev));
    relay_client_connected(c, 1);
    size_t len = relay_client_output(c, &data);
    assert_true(len > 0 && memcmp(data, "GET /derp HTTP/1.1\r\nHost: r\r\n", 29) == 0);
    const char *at = strstr((const char *)data, "Sec-WebSocket-Key: ");
    assert_non_null(at);
    memcpy(key, at + 19, WS_KEY_TEXT - 1);
    key[WS_KEY_TEXT - 1] = '\0';
    relay_client_sent(c, len);
    return c;
}

static void answer_is_refused(const char *answer, const char *why)
{
    struct pcg pcg;
    struct relay_client_event ev;
    char key[WS_KEY_TEXT];
    struct relay_client *c = lone_client(pcg_rng(&pcg, 3), key);
    assert_int_equal(relay_client_input(c, answer, strlen(answer), 2), 0);
    assert_true(relay_client_event(c, &ev));
    assert_int_equal(ev.type, RELAY_CLIENT_EV_DOWN);
    assert_string_equal(ev.text, why);
    relay_client_free(c);
}

static void a_relay_without_proof_is_refused(void **state)
{
    (void)state;
    static const char wrong[] = "the relay's proof of WebSocket is wrong";
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    answer_is_refused(SWITCH "\r\n", wrong);
    answer_is_refused(SWITCH "Sec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n", wrong);
    answer_is_refused(SWITCH "Sec-WebSocket-Accept: x" RFC_ACCEPT RFC_ACCEPT RFC_ACCEPT "\r\n\r\n",
                      wrong);
    answer_is_refused("HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP status 403 instead of 101");
}

/* A relay that never ends its message may fill what there is to the last byte. */
static void a_client_bears_a_full_buffer(void **state)
{
    (void)state;
    static const uint8_t header[] = {0x82, 127, 0, 0, 0, 0, 0, 0x40, 0, 0};
    static uint8_t filler[1 << 20];
    char accept[WS_ACCEPT_TEXT];
    char answer[256];
    char key[WS_KEY_TEXT];
    struct pcg pcg;
    struct relay_client_event ev;
    struct relay_client *c = lone_client(pcg_rng(&pcg, 3), key);
    assert_true(ws_accept(accept, key));
    int len = snprintf(answer, sizeof(answer), SWITCH "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    assert_int_equal(relay_client_input(c, answer, (size_t)len, 2), 0);
    assert_false(relay_client_event(c, &ev));
    assert_int_equal(relay_client_input(c, header, sizeof(header), 2), 0);
    size_t room = relay_client_room(c);
    assert_true(room > 0 && room <= sizeof(filler));
    assert_int_equal(relay_client_input(c, filler, room, 2), 0);
    assert_int_equal(relay_client_room(c), 0);
    assert_int_equal(relay_client_input(c, filler, 1, 2), ERR_NO_ROOM);
    relay_client_free(c);
}

static void memory_that_runs_out_closes_and_no_more(void **state)
{
    (void)state;
    static uint8_t out[4096];
    for (size_t n = 1; n < 8; n++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        mem_fail_after(n);
        (void)ask(&w, c, REQUEST REST, out);
        mem_fail_after(0);
        (void)world_server_events(&w);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_all_sizes_pass_in_any_pieces),
        cmocka_unit_test(many_packets_wait_and_leave_in_order),
        cmocka_unit_test(messages_are_short_at_both_ends),
        cmocka_unit_test(the_handshake_is_that_of_the_rfc),
        cmocka_unit_test(other_handshakes_get_their_answer),
        cmocka_unit_test(a_ping_is_answered),
        cmocka_unit_test(frames_without_payload_count_for_the_rate),
        cmocka_unit_test(a_client_that_breaks_the_rules_is_closed),
        cmocka_unit_test(a_relay_without_proof_is_refused),
        cmocka_unit_test(a_client_bears_a_full_buffer),
        cmocka_unit_test(memory_that_runs_out_closes_and_no_more),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
