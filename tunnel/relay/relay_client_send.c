/* What goes to the relay: requests, frames, packets built in place. */
#include "relay/relay_client_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <stdio.h>
#include <string.h>

static struct out_half *filling(struct relay_client *c)
{
    return &c->out[c->filling];
}

static struct out_half *writing(struct relay_client *c)
{
    return &c->out[!c->filling];
}

void client_send_reset(struct relay_client *c)
{
    for (int i = 0; i < 2; i++) {
        c->out[i].len = 0;
        c->out[i].sent = 0;
    }
    c->filling = 0;
    c->reserved = 0;
    c->bucket = (struct token_bucket){0};
    client_ws_reset(c);
}

uint8_t *client_send_space(struct relay_client *c, size_t len)
{
    struct out_half *half = filling(c);
    return len <= c->half_cap - half->len ? half->data + half->len : NULL;
}

void client_send_done(struct relay_client *c, size_t len)
{
    struct out_half *half = filling(c);
    CHECK(len <= c->half_cap - half->len);
    half->len += len;
}

void client_send_request(struct relay_client *c)
{
    char text[2 * CLIENT_HOST_MAX + 256];
    int len = c->ws ? client_ws_request(c, text, sizeof(text))
                    : snprintf(text, sizeof(text),
                               "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: adit\r\n"
                               "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n",
                               c->path, c->host);
    CHECK(len > 0 && (size_t)len < sizeof(text));
    uint8_t *out = client_send_space(c, (size_t)len);
    CHECK(out); /* the buffer is empty after a reset */
    memcpy(out, text, (size_t)len);
    client_send_done(c, (size_t)len);
}

/* Relays only count it: where there is no room it is not said. */
static void note_preferred(struct relay_client *c)
{
    uint8_t *out = client_send_space(c, DERP_HEADER + 1);
    if (out) {
        client_send_done(c, derp_write_note_preferred(out, c->config.preferred));
    }
}

int client_send_login(struct relay_client *c)
{
    uint8_t nonce[DERP_NONCE];
    uint8_t *out = client_send_space(c, DERP_INFO_MAX);
    CHECK(out);
    rng_fill(c->config.rng, nonce, sizeof(nonce));
    int len = derp_seal_client_info(out, nonce, c->config.public_key, c->config.secret, c->server);
    if (len < 0) {
        return len;
    }
    client_send_done(c, (size_t)len);
    if (c->config.preferred) {
        note_preferred(c);
    }
    return 0;
}

void relay_client_set_preferred(struct relay_client *c, bool preferred)
{
    bool in = c->state == RELAY_CLIENT_LOGIN || c->state == RELAY_CLIENT_UP;
    if (c->config.preferred != preferred) {
        c->config.preferred = preferred;
        if (in) {
            note_preferred(c);
        }
    }
}

void client_send_ping(struct relay_client *c)
{
    uint8_t *out = client_send_space(c, DERP_PING_LEN);
    if (out) {
        rng_fill(c->config.rng, c->ping, sizeof(c->ping));
        client_send_done(c, derp_write_ping(out, DERP_PING, c->ping));
        c->ping_sent_at = c->now;
    }
}

/* A flood of pings finds no room one day: then they stay unanswered, and nothing grows. */
void client_send_pong(struct relay_client *c, const uint8_t payload[8])
{
    uint8_t *out = client_send_space(c, DERP_PING_LEN);
    if (out) {
        client_send_done(c, derp_write_ping(out, DERP_PONG, payload));
    }
}

void client_bucket_set(struct relay_client *c, const struct derp_info *info)
{
    c->bucket = (struct token_bucket){.rate = info->bytes_per_second, .at = c->now};
    /* A burst that no full packet fits would starve large packets for ever. */
    uint64_t least = DERP_PACKET_OVERHEAD + DERP_PACKET_MAX;
    c->bucket.burst = info->bytes_burst > least ? info->bytes_burst : least;
    c->bucket.tokens = c->bucket.burst;
}

static void bucket_fill(struct token_bucket *b, uint64_t now)
{
    uint64_t us = time_since(b->at, now) / NS_PER_US;
    uint64_t room = b->burst - b->tokens;
    /* us * rate may pass 64 bits: a bucket that is full after `us` is just full. */
    uint64_t gain = us > 0 && b->rate > UINT64_MAX / us ? room : us * b->rate / 1000000;
    if (gain > 0) {
        b->tokens += gain < room ? gain : room;
        b->at = now;
    }
}

static bool bucket_take(struct token_bucket *b, uint64_t bytes, uint64_t now)
{
    if (b->rate == 0) {
        return true;
    }
    bucket_fill(b, now);
    if (bytes > b->tokens) {
        return false;
    }
    b->tokens -= bytes;
    return true;
}

uint64_t relay_client_ready_ns(struct relay_client *c, size_t len, uint64_t now)
{
    struct token_bucket *b = &c->bucket;
    c->now = now;
    if (b->rate == 0) {
        return now;
    }
    bucket_fill(b, now);
    uint64_t need = DERP_PACKET_OVERHEAD + len + CLIENT_RATE_SPARE;
    need = need < b->burst ? need : b->burst;
    if (b->tokens >= need) {
        return now;
    }
    uint64_t quantum = b->rate / (NS_PER_S / CLIENT_RATE_QUANTUM_NS) + CLIENT_RATE_SPARE;
    need = need > quantum ? need : quantum < b->burst ? quantum : b->burst;
    uint64_t missing_us = (need - b->tokens) * 1000000 / b->rate + 1;
    return time_add(now, missing_us * NS_PER_US);
}

uint8_t *relay_client_reserve(struct relay_client *c, const uint8_t dst[32], size_t cap)
{
    CHECK(c->reserved == 0);
    if (c->state != RELAY_CLIENT_LOGIN && c->state != RELAY_CLIENT_UP) {
        c->stats.refused_down++;
        return NULL;
    }
    uint8_t *out = NULL;
    if (cap <= DERP_PACKET_MAX) {
        out = client_send_space(c, DERP_PACKET_OVERHEAD + cap + CLIENT_CONTROL_ROOM);
    }
    if (!out) {
        c->stats.refused_full++;
        return NULL;
    }
    memcpy(out + DERP_HEADER, dst, DERP_KEY);
    c->reserved = DERP_PACKET_OVERHEAD + cap;
    return out + DERP_PACKET_OVERHEAD;
}

void relay_client_commit(struct relay_client *c, size_t len)
{
    CHECK(c->reserved >= DERP_PACKET_OVERHEAD && len <= c->reserved - DERP_PACKET_OVERHEAD);
    c->reserved = 0;
    if (len == 0) {
        return;
    }
    size_t total = DERP_PACKET_OVERHEAD + len;
    if (!bucket_take(&c->bucket, total, c->now)) {
        c->stats.dropped_rate++;
        return;
    }
    struct out_half *half = filling(c);
    derp_write_header(half->data + half->len, DERP_SEND_PACKET, DERP_KEY + len);
    client_send_done(c, total);
    c->stats.packets_sent++;
    client_used(c);
    c->stats.bytes_sent += len;
}

int relay_client_send(struct relay_client *c, const uint8_t dst[32], const void *data, size_t len)
{
    if (len > DERP_PACKET_MAX) {
        return ERR_TOO_LARGE;
    }
    uint8_t *out = relay_client_reserve(c, dst, len);
    if (!out) {
        bool ready = c->state == RELAY_CLIENT_LOGIN || c->state == RELAY_CLIENT_UP;
        return ready ? ERR_NO_ROOM : ERR_STATE;
    }
    if (len > 0) {
        memcpy(out, data, len);
    }
    relay_client_commit(c, len);
    return 0;
}

size_t client_send_pending(struct relay_client *c, const uint8_t **data)
{
    if (writing(c)->len == 0 && filling(c)->len > 0) {
        CHECK(c->reserved == 0);
        c->filling = !c->filling;
    }
    struct out_half *half = writing(c);
    *data = half->data + half->sent;
    return half->len - half->sent;
}

void client_send_taken(struct relay_client *c, size_t n)
{
    struct out_half *half = writing(c);
    CHECK(n <= half->len - half->sent);
    half->sent += n;
    if (half->sent == half->len) {
        half->len = 0;
        half->sent = 0;
    }
}

size_t relay_client_output(struct relay_client *c, const uint8_t **data)
{
    return c->ws && c->ws->open ? client_ws_output(c, data) : client_send_pending(c, data);
}

void relay_client_sent(struct relay_client *c, size_t n)
{
    if (c->ws && c->ws->open) {
        client_ws_sent(c, n);
    } else if (writing(c)->len > 0) { /* else it went down while the shell was writing */
        client_send_taken(c, n);
    }
}

size_t relay_client_backlog(const struct relay_client *c)
{
    size_t sum = c->ws ? c->ws->out_len - c->ws->out_sent : 0;
    for (int i = 0; i < 2; i++) {
        sum += c->out[i].len - c->out[i].sent;
    }
    return sum;
}
