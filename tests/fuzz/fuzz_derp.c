/* What a relay may say: the frame reader, the JSON of a login, and the client core that is fed in
 * pieces, before or after it came up, as raw bytes or as frames of fitting length. */
#include "relay/relay_client.h"
#include "wire/derp.h"

#include <base/check.h>
#include <base/rng.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t client_secret[32] = {1};
static const uint8_t server_secret[32] = {2};
static uint8_t client_key[32];
static uint8_t greeting[512]; /* 101 and ServerKey */
static size_t greeting_len;
static uint8_t info[DERP_INFO_MAX];
static size_t info_len;

static void prepare(void)
{
    static const char http[] = "HTTP/1.1 101 x\r\n\r\n";
    const uint8_t nonce[24] = {3};
    uint8_t server_key[32];
    struct derp_info what = {.version = 2, .bytes_per_second = 100000};
    CHECK(sodium_init() >= 0);
    crypto_scalarmult_base(client_key, client_secret);
    crypto_scalarmult_base(server_key, server_secret);
    memcpy(greeting, http, sizeof(http) - 1);
    greeting_len = sizeof(http) - 1;
    greeting_len += derp_write_server_key(greeting + greeting_len, server_key);
    int sealed = derp_seal_server_info(info, nonce, server_secret, client_key, &what);
    CHECK(sealed > 0);
    info_len = (size_t)sealed;
}

static void read_frames(const uint8_t *data, size_t len)
{
    struct derp_reader r = {.at = data, .end = data + len, .frame_max = 70000};
    struct derp_frame f;
    while (derp_next(&r, &f) == 1) {
        CHECK(!f.data || (f.data >= data && f.data + f.len <= data + len));
        (void)derp_parse_server_key(&f);
    }
}

static void read_info(const uint8_t *data, size_t len)
{
    struct derp_info parsed;
    uint8_t *copy = malloc(len + 1); /* so that one byte too many is seen */
    CHECK(copy);
    memcpy(copy, data, len);
    (void)derp_parse_info(&parsed, copy, len);
    free(copy);
}

static void drain(struct relay_client *c)
{
    struct relay_client_event ev;
    const uint8_t *out;
    size_t n;
    volatile uint8_t sum = 0;
    while (relay_client_event(c, &ev)) {
        for (size_t i = 0; i < ev.len; i++) {
            sum = (uint8_t)(sum + ev.data[i]);
        }
        sum = (uint8_t)(sum + (ev.key ? ev.key[31] : 0));
    }
    while ((n = relay_client_output(c, &out)) > 0) {
        relay_client_sent(c, n > 100 ? n / 2 : n);
    }
}

static void feed(struct relay_client *c, const uint8_t *data, size_t len, uint64_t now)
{
    if (len <= relay_client_room(c)) {
        (void)relay_client_input(c, data, len, now);
    }
    drain(c);
}

/* One frame whose length fits, of a type that the input chooses. */
static void feed_frame(struct relay_client *c, const uint8_t *data, size_t len, uint64_t now)
{
    uint8_t frame[DERP_HEADER + 256];
    if (len == 0 || len > 256) {
        return;
    }
    derp_write_header(frame, (enum derp_type)(data[0] & 31), len - 1);
    memcpy(frame + DERP_HEADER, data + 1, len - 1);
    feed(c, frame, DERP_HEADER + len - 1, now);
}

static void run_client(uint8_t how, size_t step, const uint8_t *data, size_t len)
{
    struct pcg pcg;
    struct relay_client_config config = {.host = "h", .rng = pcg_rng(&pcg, 1)};
    memcpy(config.secret, client_secret, 32);
    memcpy(config.public_key, client_key, 32);
    struct relay_client *c = relay_client_new(&config);
    CHECK(c);
    relay_client_start(c, 1);
    drain(c);
    relay_client_connected(c, 1);
    drain(c);
    if (how & 1) {
        feed(c, greeting, greeting_len, 1);
        feed(c, info, info_len, 1);
        CHECK(relay_client_state(c) == RELAY_CLIENT_UP);
    }
    for (size_t at = 0; at < len; at += step) {
        (void)relay_client_send(c, client_key, data, len < 2000 ? len : 2000);
        size_t n = len - at < step ? len - at : step;
        if (how & 2) {
            feed_frame(c, data + at, n, at + 2);
        } else {
            feed(c, data + at, n, at + 2);
        }
        if (how & 4) {
            relay_client_hurry(c, at + 2);
        }
        relay_client_tick(c, how & 8 ? relay_client_next_ns(c) : at + 2);
        drain(c);
    }
    relay_client_disconnected(c, 0, len + 3);
    drain(c);
    relay_client_stop(c, len + 3);
    drain(c);
    CHECK(relay_client_backlog(c) == 0);
    relay_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (greeting_len == 0) {
        prepare();
    }
    if (len < 2) {
        return 0;
    }
    size_t step = (size_t)data[1] + 1;
    read_frames(data + 2, len - 2);
    read_info(data + 2, len - 2);
    run_client(data[0], step, data + 2, len - 2);
    return 0;
}
