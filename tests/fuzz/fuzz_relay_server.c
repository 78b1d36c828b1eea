/* What clients, and other relays of a cluster, may say to a relay: a script of connections, chunks,
 * reads, pauses and closings, with reloads, messages and the end in between. Each step is two
 * bytes, what to do and how much; chunks follow in place. Logins, packets and questions are made
 * here, since no fuzzer guesses a box or a key. */
#include "relay/relay_server.h"
#include "relay/stun_server.h"
#include "wire/clustermsg.h"
#include "wire/derp.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/rng.h>

#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CLIENTS = 4, LOGIN_CAP = 512 };

static const uint8_t server_secret[32] = {2};
static uint8_t logins[2][LOGIN_CAP]; /* two keys, so that there are duplicates */
static size_t login_lens[2];
static uint8_t keys[3][32]; /* the last one is nobody's */

static void prepare(void)
{
    static const char request[] = "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: upgrade\r\n"
                                  "Derp-Fast-Start: 1\r\nUpgrade: DERP\r\n\r\n";
    uint8_t server_key[32];
    CHECK(sodium_init() >= 0);
    crypto_scalarmult_base(server_key, server_secret);
    for (uint8_t i = 0; i < 2; i++) {
        const uint8_t nonce[24] = {i};
        const uint8_t secret[32] = {(uint8_t)(10 + i)};
        uint8_t *key = keys[i];
        crypto_scalarmult_base(key, secret);
        memcpy(logins[i], request, sizeof(request) - 1);
        size_t at = sizeof(request) - 1;
        int sealed = derp_seal_client_info(logins[i] + at, nonce, key, secret, server_key);
        CHECK(sealed > 0);
        login_lens[i] = at + (size_t)sealed;
    }
}

struct relay {
    struct relay_server *server;
    struct relay_server_config config;
    bool draining;
    uint64_t ids[CLIENTS];
    uint64_t now;
};

static void drain(struct relay *r)
{
    struct relay_server_event ev;
    while (relay_server_event(r->server, &ev)) {
        CHECK((uint32_t)ev.id < relay_server_slots(r->server));
        for (size_t i = 0; i < CLIENTS && ev.type == RELAY_SERVER_EV_CLOSE; i++) {
            r->ids[i] = r->ids[i] == ev.id ? 0 : r->ids[i];
        }
    }
}

static void publish(struct relay *r)
{
    struct relay_cluster_output out;
    volatile uint8_t touched = 0;
    while (relay_server_cluster_output(r->server, &out, r->now)) {
        CHECK(out.o.type <= CLUSTER_UNSUBSCRIBE || out.o.head_len >= CLUSTERMSG_HEAD);
        if (out.payload.len > 0) {
            touched = (uint8_t)(touched + out.payload.data[out.payload.len - 1]);
        }
    }
}

static void take(struct relay *r, uint64_t id, size_t amount)
{
    struct relay_span spans[4];
    size_t n = relay_server_output(r->server, id, spans, 4, r->now);
    size_t sum = 0;
    volatile uint8_t touched = 0;
    for (size_t i = 0; i < n; i++) {
        touched = (uint8_t)(touched + spans[i].data[spans[i].len - 1]);
        sum += spans[i].len;
    }
    relay_server_sent(r->server, id, amount < sum ? amount : sum, r->now);
}

static void connect_client(struct relay *r, size_t i)
{
    struct addr from = addr_ipv4(i & 1 ? 127 : 192, 0, 2, 1, 1);
    if (!r->ids[i]) {
        (void)relay_server_accept(r->server, &from, r->now, &r->ids[i]);
    }
}

/* A whole packet, or a piece of one: the next chunk has to deal with what is missing. */
static void send_packet(struct relay *r, uint64_t id, uint8_t what, uint8_t amount)
{
    static const uint8_t mark[] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    static uint8_t frame[DERP_PACKET_OVERHEAD + 255 * 200];
    size_t len = amount * (what & 32 ? 200U : 1U);
    size_t head = derp_write_packet(frame, DERP_SEND_PACKET, keys[(what >> 3) % 3], len);
    if (what & 16) {
        memcpy(frame + head, mark, sizeof(mark));
    } else {
        memset(frame + head, 0, sizeof(mark));
    }
    relay_server_input(r->server, id, frame, head + len - (amount == 77 ? 20 : 0), r->now);
}

/* Any mixture of rules; each bit of `amount` is one that changes. */
static void reload(struct relay *r, uint8_t amount)
{
    struct relay_server_config *c = &r->config;
    c->open = !(amount & 1);
    c->allowed = (const uint8_t(*)[32])keys;
    c->allowed_count = (amount >> 1) & 1;
    c->limits.rate_bytes_per_s = amount & 4 ? 1000 : 0;
    c->limits.rate_burst_bytes = amount & 8 ? 100000 : 0;
    c->limits.queue_packets_max = amount & 16 ? 1 : 4;
    c->limits.clients_per_address_max = amount & 32 ? 1 : 0;
    c->limits.pending_max = amount & 64 ? 1 : 2;
    c->limits.http_header_max = amount & 128 ? 64 : 0;
    CHECK(relay_server_reload(r->server, c, r->now) == 0);
}

static void ask(struct relay *r, uint64_t id, uint8_t amount)
{
    static const char *const questions[] = {
        "GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n",
        "HEAD /metrics HTTP/1.0\r\n\r\n",
        "GET /generate_204 HTTP/1.1\r\nHost: r\r\nX-Tailscale-Challenge: abc\r\n\r\n",
        "POST /derp HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello",
    };
    const char *text = questions[amount % 4];
    size_t len = strlen(text);
    size_t first = amount / 4 % len;
    relay_server_input(r->server, id, text, first, r->now);
    relay_server_input(r->server, id, text + first, len - first, r->now);
}

/* Any message, or one with a head that is right and a body of known keys. */
static void hear(struct relay *r, struct reader *script, uint8_t amount)
{
    static uint8_t message[CLUSTERMSG_PACKET_HEAD + 255];
    size_t len = amount < reader_left(script) ? amount : reader_left(script);
    const uint8_t *chunk = read_bytes(script, len);
    if (amount & 1 || len < 4) {
        relay_server_cluster_input(r->server, chunk, len, r->now);
        return;
    }
    struct writer w = writer_of(message, sizeof(message));
    clustermsg_write_head(&w, (enum clustermsg_type)(chunk[0] % 9), chunk[1] * NS_PER_S,
                          chunk[2] % 4);
    write_bytes(&w, keys[chunk[3] % 3], 32);
    write_bytes(&w, keys[chunk[3] / 3 % 3], chunk[3] & 128 ? 32 : 8);
    write_bytes(&w, chunk, len);
    size_t cut = chunk[3] & 64 ? len : 0;
    relay_server_cluster_input(r->server, message, writer_len(&w) - cut, r->now);
    relay_server_cluster_nobody(r->server, keys[chunk[1] % 3], r->now);
}

/* What is rarer than a connection. */
static void run_rare(struct relay *r, size_t i, uint8_t which, uint8_t amount,
                     struct reader *script)
{
    switch (which) {
    case 1:
        reload(r, amount);
        break;
    case 2:
        connect_client(r, i);
        ask(r, r->ids[i], amount);
        break;
    case 3:
        if (!r->draining) {
            relay_server_drain(r->server, amount * NS_PER_S, amount * NS_PER_S, r->now);
            r->draining = true;
        }
        break;
    case 4:
        hear(r, script, amount);
        break;
    case 5:
        relay_server_cluster_link(r->server, amount & 1, r->now);
        break;
    default:
        connect_client(r, i);
        break;
    }
}

static void run_step(struct relay *r, struct reader *script)
{
    uint8_t what = read_u8(script);
    uint8_t amount = read_u8(script);
    size_t i = what >> 6;
    size_t len = amount < reader_left(script) ? amount : reader_left(script);
    switch (what & 7) {
    case 0:
        run_rare(r, i, (what >> 3) & 7, amount, script);
        break;
    case 1:
        connect_client(r, i);
        relay_server_input(r->server, r->ids[i], logins[i & 1], login_lens[i & 1], r->now);
        break;
    case 2:
        relay_server_closed(r->server, r->ids[i], r->now);
        r->ids[i] = 0;
        break;
    case 3:
        take(r, r->ids[i], amount);
        break;
    case 4:
        take(r, r->ids[i], 1 << 20);
        break;
    case 5:
        r->now += amount * NS_PER_S / 8;
        relay_server_tick(r->server, r->now);
        break;
    case 6:
        send_packet(r, r->ids[i], what, amount);
        break;
    default:
        relay_server_input(r->server, r->ids[i], read_bytes(script, len), len, r->now);
        break;
    }
    drain(r);
    publish(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct pcg pcg;
    const struct stun_server_stats stun = {0};
    const struct relay_cluster_config cluster = {.unix_offset = NS_PER_S};
    struct relay_server_config config = {
        .cluster = data && len % 2 ? &cluster : NULL, /* or alone */
        .open = true,
        .limits = {.clients_max = 3,
                   .pending_max = 2,
                   .queue_packets_max = 4,
                   .pool_bytes_max = 200000,
                   .rate_bytes_per_s = 1000},
        .stun = &stun,
        .rng = pcg_rng(&pcg, 1),
    };
    if (login_lens[0] == 0) {
        prepare();
    }
    memcpy(config.secret, server_secret, 32);
    struct relay r = {.server = relay_server_new(&config), .config = config, .now = NS_PER_S};
    CHECK(r.server);
    struct reader script = reader_of(data, len);
    while (reader_left(&script) >= 2) {
        run_step(&r, &script);
    }
    relay_server_free(r.server);
    return 0;
}
