/* A relay_client core by itself: what it says is taken, what a relay would say is given. */
#ifndef TESTS_SUPPORT_RELAY_LONE_H
#define TESTS_SUPPORT_RELAY_LONE_H

#include "support/relay_world.h"

#include <base/mem.h>

#include <stdlib.h>

static inline struct relay_client *lone_client(struct world *w, size_t out_bytes)
{
    struct relay_client_config config = {.host = "r:1", .limits = {.out_bytes_max = out_bytes}};
    w->rng = pcg_rng(&w->pcg, 3);
    config.rng = w->rng;
    memset(config.secret, 9, 32);
    crypto_scalarmult_base(config.public_key, config.secret);
    struct relay_client *c = relay_client_new(&config);
    assert_non_null(c);
    return c;
}

/* Takes the next event, which must be of that type. */
static inline struct relay_client_event expect(struct relay_client *c,
                                               enum relay_client_event_type type)
{
    struct relay_client_event ev;
    assert_true(relay_client_event(c, &ev));
    assert_int_equal(ev.type, type);
    return ev;
}

static inline void expect_nothing(struct relay_client *c)
{
    struct relay_client_event ev;
    assert_false(relay_client_event(c, &ev));
}

static inline size_t take_output(struct relay_client *c, uint8_t *out, size_t cap)
{
    const uint8_t *data;
    size_t sum = 0;
    size_t n;
    while ((n = relay_client_output(c, &data)) > 0) {
        assert_true(n <= cap - sum);
        memcpy(out + sum, data, n);
        sum += n;
        relay_client_sent(c, n);
    }
    return sum;
}

static const uint8_t server_secret[32] = {5};

/* Answers by hand until the client is up; `info` is what ServerInfo says. */
static inline void bring_up(struct relay_client *c, uint64_t now, const struct derp_info *info)
{
    uint8_t out[4096];
    uint8_t server[32];
    uint8_t client[32];
    uint8_t nonce[24] = {1};
    static const char http[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                               "Connection: Upgrade\r\n\r\n";
    memset(out, 9, 32);
    crypto_scalarmult_base(client, out);
    crypto_scalarmult_base(server, server_secret);
    relay_client_start(c, now);
    expect(c, RELAY_CLIENT_EV_CONNECT);
    relay_client_connected(c, now);
    assert_true(take_output(c, out, sizeof(out)) > 0);
    memcpy(out, http, sizeof(http) - 1);
    size_t len = sizeof(http) - 1 + derp_write_server_key(out + sizeof(http) - 1, server);
    assert_int_equal(relay_client_input(c, out, len, now), 0);
    expect_nothing(c);
    assert_int_equal(relay_client_state(c), RELAY_CLIENT_LOGIN);
    assert_int_equal(take_output(c, out, sizeof(out)), 109);
    int sealed = derp_seal_server_info(out, nonce, server_secret, client, info);
    assert_int_equal(relay_client_input(c, out, (size_t)sealed, now), 0);
    expect(c, RELAY_CLIENT_EV_UP);
}

#endif
