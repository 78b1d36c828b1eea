#include "support/relay_lone.h"

static void two_clients_exchange_packets(void **state)
{
    (void)state;
    static const size_t steps[] = {65536, 1, 7};
    for (size_t i = 0; i < 3; i++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        w.step = steps[i];
        struct world_client *a = world_add(&w, 1);
        struct world_client *b = world_add(&w, 2);
        world_settle(&w);
        assert_int_equal(a->ups, 1);
        assert_int_equal(b->ups, 1);
        assert_int_equal(relay_client_send(a->core, b->key, "hi", 2), 0);
        assert_int_equal(relay_client_send(b->core, a->key, "ho!", 3), 0);
        world_settle(&w);
        assert_int_equal(b->packets, 1);
        assert_int_equal(b->last_len, 2);
        assert_memory_equal(b->last_data, "hi", 2);
        assert_memory_equal(b->last_from, a->key, 32);
        assert_memory_equal(a->last_data, "ho!", 3);
        world_close(&w);
    }
}

static void the_largest_packet_passes(void **state)
{
    (void)state;
    static uint8_t big[DERP_PACKET_MAX + 1];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    w.step = 1000;
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    memset(big, 0x5a, sizeof(big));
    assert_int_equal(relay_client_send(a->core, b->key, big, sizeof(big)), ERR_TOO_LARGE);
    assert_int_equal(relay_client_send(a->core, b->key, big, DERP_PACKET_MAX), 0);
    world_settle(&w);
    assert_int_equal(b->packets, 1);
    assert_int_equal(b->last_len, DERP_PACKET_MAX);
    assert_int_equal(b->last_data[WORLD_DATA - 1], 0x5a);
    world_close(&w);
}

/* Frames lie across the pieces in which they come, and across the end of the buffer. */
static void a_long_stream_of_packets_stays_whole(void **state)
{
    (void)state;
    enum { PACKETS = 40, LEN = 60001, STREAM = PACKETS * (DERP_PACKET_OVERHEAD + LEN) };
    static const size_t steps[] = {65536, 50000, 777};
    const uint8_t from[32] = {1};
    uint8_t *stream = malloc(STREAM);
    assert_non_null(stream);
    for (size_t i = 0; i < PACKETS; i++) {
        uint8_t *at = stream + i * (DERP_PACKET_OVERHEAD + LEN);
        size_t head = derp_write_packet(at, DERP_RECV_PACKET, from, LEN);
        memset(at + head, (int)i, LEN);
    }
    for (size_t k = 0; k < 3; k++) {
        struct world w;
        struct relay_client_event ev;
        struct relay_client *c = lone_client(&w, 0);
        bring_up(c, 5, &(struct derp_info){.version = 2});
        size_t seen = 0;
        for (size_t at = 0; at < STREAM; at += steps[k]) {
            size_t len = STREAM - at < steps[k] ? STREAM - at : steps[k];
            assert_int_equal(relay_client_input(c, stream + at, len, 6), 0);
            while (relay_client_event(c, &ev)) {
                assert_int_equal(ev.type, RELAY_CLIENT_EV_PACKET);
                assert_int_equal(ev.len, LEN);
                size_t begin = seen++ * (DERP_PACKET_OVERHEAD + LEN) + DERP_PACKET_OVERHEAD;
                assert_memory_equal(ev.data, stream + begin, LEN);
            }
            assert_true(relay_client_room(c) >= 128 << 10);
        }
        assert_int_equal(seen, PACKETS);
        relay_client_free(c);
    }
    free(stream);
}

static void tells_the_relay_that_it_is_home(void **state)
{
    (void)state;
    static const char http[] = "HTTP/1.1 101 x\r\n\r\n";
    for (int preferred = 0; preferred < 2; preferred++) {
        struct pcg pcg;
        struct relay_client_config config = {.host = "r", .secret = {1}, .rng = pcg_rng(&pcg, 1)};
        uint8_t out[512] = {0};
        uint8_t server[32];
        config.preferred = preferred;
        crypto_scalarmult_base(server, server_secret);
        struct relay_client *c = relay_client_new(&config);
        relay_client_start(c, 1);
        expect(c, RELAY_CLIENT_EV_CONNECT);
        relay_client_connected(c, 1);
        take_output(c, out, sizeof(out));
        memcpy(out, http, sizeof(http) - 1);
        size_t len = sizeof(http) - 1 + derp_write_server_key(out + sizeof(http) - 1, server);
        assert_int_equal(relay_client_input(c, out, len, 1), 0);
        expect_nothing(c);
        assert_int_equal(take_output(c, out, sizeof(out)), preferred ? 115 : 109);
        assert_true(!preferred || memcmp(out + 109, "\x07\0\0\0\x01\x01", 6) == 0);
        relay_client_free(c);
    }
}

static void asks_for_an_upgrade_in_http(void **state)
{
    (void)state;
    struct world w;
    char out[1024] = "";
    struct relay_client *c = lone_client(&w, 0);
    expect_nothing(c);
    relay_client_start(c, 5);
    expect(c, RELAY_CLIENT_EV_CONNECT);
    expect_nothing(c);
    relay_client_connected(c, 6);
    size_t len = take_output(c, (uint8_t *)out, sizeof(out) - 1);
    assert_string_equal(out + len - 4, "\r\n\r\n");
    assert_ptr_equal(strstr(out, "GET /derp HTTP/1.1\r\nHost: r:1\r\n"), out);
    assert_non_null(strstr(out, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(out, "\r\nUpgrade: DERP\r\n"));
    relay_client_free(c);
}

static void another_status_than_101_is_told_by_number(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\n\r\nno\n";
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    relay_client_start(c, 5);
    expect(c, RELAY_CLIENT_EV_CONNECT);
    relay_client_connected(c, 6);
    assert_int_equal(relay_client_input(c, answer, sizeof(answer) - 1, 7), 0);
    struct relay_client_event ev = expect(c, RELAY_CLIENT_EV_DOWN);
    assert_string_equal(ev.text, "HTTP status 426 instead of 101");
    assert_int_equal(ev.err, ERR_PROTOCOL);
    expect_nothing(c);
    assert_int_equal(relay_client_input(c, "x", 1, 8), ERR_CLOSED);
    relay_client_free(c);
}

static void a_captive_portal_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        const char *text;
    } cases[] = {
        {"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n",
         "HTTP status 302 instead of 101: a captive portal?"},
        {"HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP status 200 instead of 101: a captive portal?"},
        {"HTTP/1.1 511 Network Authentication Required\r\n\r\n",
         "HTTP status 511 instead of 101: a captive portal?"},
        {"HTTP/1.1 503 Busy\r\n\r\n", "HTTP status 503 instead of 101"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        struct relay_client *c = lone_client(&w, 0);
        relay_client_start(c, 5);
        expect(c, RELAY_CLIENT_EV_CONNECT);
        relay_client_connected(c, 6);
        assert_int_equal(relay_client_input(c, cases[i].answer, strlen(cases[i].answer), 7), 0);
        struct relay_client_event ev = expect(c, RELAY_CLIENT_EV_DOWN);
        assert_string_equal(ev.text, cases[i].text);
        relay_client_free(c);
    }
}

/* Starts over with what the relay says instead of the right thing; it must end in DOWN. */
static void assert_ends(const void *data, size_t len, bool up, int err)
{
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    if (up) {
        bring_up(c, 5, &(struct derp_info){.version = 2});
    } else {
        relay_client_start(c, 5);
        expect(c, RELAY_CLIENT_EV_CONNECT);
        relay_client_connected(c, 5);
    }
    assert_int_equal(relay_client_input(c, data, len, 6), 0);
    assert_int_equal(expect(c, RELAY_CLIENT_EV_DOWN).err, err);
    assert_int_equal(relay_client_backlog(c), 0);
    relay_client_free(c);
}

static void nonsense_ends_the_connection(void **state)
{
    (void)state;
    static char long_header[20000] = "HTTP/1.1 101 x\r\nA: ";
    uint8_t zero_key[256] = "HTTP/1.1 101 x\r\n\r\n";
    size_t at = strlen((const char *)zero_key);
    const uint8_t zero[32] = {0};
    assert_ends("SSH-2.0-x\r\n", 11, false, ERR_MALFORMED);
    memset(long_header + 19, 'x', sizeof(long_header) - 19);
    assert_ends(long_header, sizeof(long_header), false, ERR_MALFORMED);
    assert_ends("HTTP/1.1 101 x\r\n\r\n\x06\0\0\0\0", 23, false, ERR_PROTOCOL);
    assert_ends(zero_key, at + derp_write_server_key(zero_key + at, zero), false, ERR_CRYPTO);
    assert_ends("\x05\x00\x10\x00\x00", 5, true, ERR_TOO_LARGE);
    assert_ends("\x05\x00\x00\x00\x01x", 6, true, ERR_MALFORMED);
    uint8_t info[5 + 53] = {3, 0, 0, 0, 53};
    assert_ends(info, sizeof(info), true, ERR_CRYPTO);
}

static void unknown_frames_of_any_size_are_passed_over(void **state)
{
    (void)state;
    static uint8_t chunk[65536];
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 5, &(struct derp_info){.version = 2});
    size_t left = DERP_FRAME_MAX;
    assert_int_equal(relay_client_input(c, "\x7f\x00\x10\x00\x00", 5, 6), 0);
    for (; left > 0; left -= sizeof(chunk)) {
        assert_int_equal(relay_client_input(c, chunk, sizeof(chunk), 6), 0);
        expect_nothing(c);
    }
    assert_int_equal(relay_client_stats(c)->frames_skipped, 1);
    assert_int_equal(relay_client_input(c, "\x14\x00\x00\x00\x03uff", 8, 6), 0);
    struct relay_client_event ev = expect(c, RELAY_CLIENT_EV_HEALTH);
    assert_memory_equal(ev.data, "uff", 3);
    assert_int_equal(relay_client_input(c, "\x15\0\0\0\x08\0\0\x01\0\0\0\0\x02", 13, 6), 0);
    ev = expect(c, RELAY_CLIENT_EV_RESTARTING);
    assert_int_equal(ev.reconnect_in_ns, 256 * NS_PER_MS);
    assert_int_equal(ev.try_for_ns, 2 * NS_PER_MS);
    relay_client_free(c);
}

static void answers_pings_and_survives_a_flood_of_them(void **state)
{
    (void)state;
    static const char ping[] = "\x12\0\0\0\x0a"
                               "abcdefghij";
    static uint8_t out[512 << 10];
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 5, &(struct derp_info){.version = 2});
    for (int i = 0; i < 50000; i++) {
        assert_int_equal(relay_client_input(c, ping, sizeof(ping) - 1, 6), 0);
        expect_nothing(c);
    }
    size_t len = take_output(c, out, sizeof(out));
    assert_memory_equal(out,
                        "\x13\0\0\0\x08"
                        "abcdefgh",
                        DERP_PING_LEN);
    assert_int_equal(len % DERP_PING_LEN, 0);
    assert_true(len < 200000);
    relay_client_free(c);
}

static void refuses_packets_when_the_buffer_is_full(void **state)
{
    (void)state;
    static uint8_t out[1 << 20];
    const uint8_t dst[32] = {1};
    uint8_t data[1000] = {2};
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    assert_int_equal(relay_client_send(c, dst, data, 10), ERR_STATE);
    bring_up(c, 5, &(struct derp_info){.version = 2});
    size_t filled = 0;
    uint64_t refused = 0;
    for (size_t len = sizeof(data); len > 0; len--) { /* to the last byte that there is */
        while (relay_client_send(c, dst, data, len) == 0) {
            filled += DERP_PACKET_OVERHEAD + len;
        }
        refused++;
    }
    assert_in_range(filled, 100000, 256 << 10);
    assert_int_equal(relay_client_backlog(c), filled);
    assert_null(relay_client_reserve(c, dst, sizeof(data)));
    assert_int_equal(relay_client_stats(c)->refused_full, refused + 1);
    assert_int_equal(relay_client_stats(c)->refused_down, 1);
    assert_int_equal(relay_client_input(c,
                                        "\x12\0\0\0\x08"
                                        "abcdefgh",
                                        13, 6),
                     0);
    expect_nothing(c);
    assert_int_equal(relay_client_backlog(c), filled + DERP_PING_LEN); /* room was kept */
    assert_int_equal(take_output(c, out, sizeof(out)), filled + DERP_PING_LEN);
    assert_int_equal(relay_client_send(c, dst, data, sizeof(data)), 0);
    relay_client_free(c);
}

static void what_the_shell_holds_stays_where_it_is(void **state)
{
    (void)state;
    const uint8_t dst[32] = {1};
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 5, &(struct derp_info){.version = 2});
    const uint8_t *first;
    const uint8_t *again;
    relay_client_send(c, dst, "first", 5);
    assert_int_equal(relay_client_output(c, &first), 42);
    uint8_t *room = relay_client_reserve(c, dst, 100);
    memcpy(room, "second", 6);
    relay_client_commit(c, 6);
    relay_client_sent(c, 2);
    assert_int_equal(relay_client_output(c, &again), 40);
    assert_ptr_equal(again, first + 2);
    assert_memory_equal(first + 37, "first", 5);
    relay_client_sent(c, 40);
    assert_int_equal(relay_client_output(c, &again), 43);
    assert_memory_equal(again + 37, "second", 6);
    assert_memory_equal(again, "\x04\0\0\0\x26", 5);
    relay_client_sent(c, 43);
    assert_non_null(relay_client_reserve(c, dst, 100));
    relay_client_commit(c, 0);
    assert_int_equal(relay_client_output(c, &again), 0);
    relay_client_free(c);
}

static void honours_the_token_bucket_of_the_relay(void **state)
{
    (void)state;
    static uint8_t out[256 << 10];
    static uint8_t data[30000];
    const uint8_t dst[32] = {1};
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 5, &(struct derp_info){2, 30037, 1}); /* the burst is raised to a full packet */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(relay_client_send(c, dst, data, sizeof(data)), 0);
    }
    assert_int_equal(relay_client_stats(c)->dropped_rate, 1);
    assert_int_equal(take_output(c, out, sizeof(out)), 2 * 30037);
    relay_client_tick(c, 5 + NS_PER_S); /* 65573 - 60074 are left, 30037 come */
    take_output(c, out, sizeof(out));
    assert_int_equal(relay_client_send(c, dst, data, sizeof(data)), 0);
    assert_int_equal(take_output(c, out, sizeof(out)), 30037);
    assert_int_equal(relay_client_send(c, dst, data, sizeof(data)), 0);
    assert_int_equal(relay_client_stats(c)->dropped_rate, 2);
    relay_client_free(c);
}

static void says_when_the_rate_allows_more(void **state)
{
    (void)state;
    static uint8_t out[256 << 10];
    static uint8_t data[8000];
    const uint8_t dst[32] = {1};
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){.version = 2});
    assert_int_equal(relay_client_ready_ns(c, sizeof(data), 7), 7); /* there is no limit */
    relay_client_free(c);

    c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){2, 10000, 0});
    uint64_t now = NS_PER_S;
    for (size_t sent = 0; sent < 100; sent++) {
        uint64_t ready = relay_client_ready_ns(c, sizeof(data), now);
        assert_true(ready >= now && ready < now + NS_PER_S);
        assert_int_equal(relay_client_ready_ns(c, sizeof(data), ready), ready);
        now = ready;
        assert_int_equal(relay_client_send(c, dst, data, sizeof(data)), 0);
        /* What others have to say has room, too. */
        assert_int_equal(relay_client_send(c, dst, data, 10), 0);
        take_output(c, out, sizeof(out));
    }
    assert_int_equal(relay_client_stats(c)->dropped_rate, 0);
    uint64_t bytes = 100 * (8037 + 47) - (65536 + 37);
    assert_in_range(now - NS_PER_S, bytes * 98 / 100 * 100000, bytes * 102 / 100 * 100000);
    relay_client_free(c);
}

static void refuses_text_that_would_break_the_request(void **state)
{
    (void)state;
    char longer[400];
    memset(longer, 'a', sizeof(longer));
    longer[399] = '\0';
    const char *const hosts[] = {"", "a\r\nb", "a b", longer};
    for (size_t i = 0; i < 4; i++) {
        struct relay_client_config config = {.host = hosts[i]};
        assert_null(relay_client_new(&config));
    }
    for (size_t n = 1; n < 5; n++) {
        struct relay_client_config config = {.host = "a"};
        mem_fail_after(n);
        assert_null(relay_client_new(&config));
        mem_fail_after(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_clients_exchange_packets),
        cmocka_unit_test(the_largest_packet_passes),
        cmocka_unit_test(a_long_stream_of_packets_stays_whole),
        cmocka_unit_test(tells_the_relay_that_it_is_home),
        cmocka_unit_test(asks_for_an_upgrade_in_http),
        cmocka_unit_test(another_status_than_101_is_told_by_number),
        cmocka_unit_test(a_captive_portal_is_told),
        cmocka_unit_test(nonsense_ends_the_connection),
        cmocka_unit_test(unknown_frames_of_any_size_are_passed_over),
        cmocka_unit_test(answers_pings_and_survives_a_flood_of_them),
        cmocka_unit_test(refuses_packets_when_the_buffer_is_full),
        cmocka_unit_test(what_the_shell_holds_stays_where_it_is),
        cmocka_unit_test(honours_the_token_bucket_of_the_relay),
        cmocka_unit_test(says_when_the_rate_allows_more),
        cmocka_unit_test(refuses_text_that_would_break_the_request),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
