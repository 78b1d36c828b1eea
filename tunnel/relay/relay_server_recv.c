/* What comes from a client: the login, then packets to forward. */
#include "relay/relay_server_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

static uint64_t rate_of(const struct relay_server *s)
{
    return s->config.limits.rate_bytes_per_s;
}

/* Whole microseconds are enough, and keep the product in 64 bits for a day and 100 Gbit/s. */
static void rate_refill(const struct relay_server *s, struct relay_conn *c)
{
    uint64_t day = UINT64_C(86400) * 1000000;
    uint64_t us = time_min(time_since(c->rate_at, s->now) / NS_PER_US, day);
    uint64_t rate = rate_of(s);
    uint64_t gain = rate > UINT64_MAX / (us + 1) ? UINT64_MAX : us * rate / 1000000;
    if (gain == 0) {
        return;
    }
    c->rate_at = s->now;
    uint64_t paid = time_min(gain, c->rate_debt);
    c->rate_debt -= paid;
    uint64_t room = s->config.limits.rate_burst_bytes - c->rate_tokens;
    c->rate_tokens += time_min(gain - paid, room);
}

/* What has arrived is forwarded; a client that is ahead of its rate is not read from for as long
 * as it is ahead, and TCP makes it wait. */
void server_recv_charge(struct relay_server *s, struct relay_conn *c, size_t bytes)
{
    uint64_t rate = rate_of(s);
    if (rate == 0) {
        return;
    }
    rate_refill(s, c);
    uint64_t paid = time_min(bytes, c->rate_tokens);
    c->rate_tokens -= paid;
    c->rate_debt += bytes - paid;
    if (c->rate_debt == 0) {
        return;
    }
    if (c->resume_at == TIME_NEVER) {
        s->stats.paused++;
        server_tell(s, c, TELL_PAUSE);
    }
    /* Clamped to what keeps the product in 64 bits; more than 4 GiB is never owed. */
    uint64_t debt = time_min(c->rate_debt, UINT64_C(1) << 32);
    uint64_t wait = debt * 1000000 / rate * NS_PER_US;
    c->resume_at = time_add(s->now, wait + NS_PER_MS);
    server_schedule(s, c, c->resume_at);
}

void server_recv_timer(struct relay_server *s, struct relay_conn *c)
{
    if (s->now < c->resume_at) {
        return;
    }
    c->resume_at = TIME_NEVER;
    server_tell(s, c, TELL_RESUME);
}

void server_recv_new_rate(struct relay_server *s, struct relay_conn *c)
{
    c->rate_tokens = time_min(c->rate_tokens, s->config.limits.rate_burst_bytes);
    c->rate_debt = rate_of(s) > 0 ? c->rate_debt : 0;
    c->rate_at = s->now;
    if (c->resume_at != TIME_NEVER) {
        c->resume_at = s->now; /* the pause was measured by the old rate */
        server_schedule(s, c, s->now);
    }
    server_send_info(s, c);
}

static void forward(struct relay_server *s, struct relay_conn *c, struct relay_packet *packet)
{
    uint8_t *key = packet->data + DERP_HEADER;
    size_t len = packet->len - DERP_PACKET_OVERHEAD;
    s->stats.packets_in++;
    s->stats.bytes_in += len;
    const struct relay_key *to = server_find_key(s, key);
    if (!to && server_cluster_forward(s, c, packet)) {
        return;
    }
    if (!to) {
        s->stats.dropped[RELAY_DROP_NO_PEER]++;
        if (derp_is_signalling(packet->data + DERP_PACKET_OVERHEAD, len)) {
            server_send_gone(s, c, key, DERP_GONE_NOT_HERE);
        }
        relay_pool_give(&s->pool, packet);
        return;
    }
    derp_write_packet(packet->data, DERP_RECV_PACKET, c->key->key, len);
    server_note_contact(s, &c->key->source, to->active);
    server_send_packet(s, to->active, packet);
}

void server_send_info(struct relay_server *s, struct relay_conn *c)
{
    uint8_t nonce[DERP_NONCE];
    uint8_t frame[DERP_INFO_MAX];
    struct derp_info info = {.version = DERP_VERSION};
    if (rate_of(s) > 0) {
        info.bytes_per_second = rate_of(s);
        info.bytes_burst = s->config.limits.rate_burst_bytes;
    }
    rng_fill(s->config.rng, nonce, sizeof(nonce));
    int len = derp_seal_server_info(frame, nonce, s->config.secret, c->key->key, &info);
    if (len < 0 || !server_send_control(s, c, frame, (size_t)len)) {
        server_kill(s, c, len < 0 ? RELAY_CLOSE_LOGIN : RELAY_CLOSE_NO_MEMORY);
    }
}

static void open_conn(struct relay_server *s, struct relay_conn *c)
{
    uint64_t jitter = rng_below(s->config.rng, SERVER_KEEP_ALIVE_JITTER_NS);
    server_no_longer_pending(s, c);
    server_set_state(s, c, CONN_OPEN);
    c->handshake_end = TIME_NEVER;
    c->keep_alive_every = s->config.limits.keep_alive_ns + jitter;
    c->keep_alive_at = time_add(s->now, c->keep_alive_every);
    server_schedule(s, c, c->keep_alive_at);
    c->rate_tokens = s->config.limits.rate_burst_bytes;
    c->rate_at = s->now;
    server_send_info(s, c);
    if (s->draining && c->state == CONN_OPEN) {
        server_send_restarting(s, c);
    }
}

static void log_login(const struct relay_server *s, const struct relay_conn *c, const char *event,
                      const uint8_t key[DERP_KEY])
{
    char text[ADDR_TEXT_MAX];
    LOG_AT(s->config.log, LOG_INFO, "relay_server", event, "from=%s key=%02x%02x%02x%02x",
           addr_format(&c->from, text), key[0], key[1], key[2], key[3]);
}

static void login(struct relay_server *s, struct relay_conn *c, const struct relay_packet *packet)
{
    uint8_t scratch[SERVER_LOGIN_MAX];
    uint8_t key[DERP_KEY];
    struct derp_info info;
    struct derp_frame f = {packet->data[0], packet->len - DERP_HEADER, packet->data + DERP_HEADER};
    if (derp_open_client_info(&f, s->config.secret, key, scratch, &info)) {
        server_kill(s, c, RELAY_CLOSE_LOGIN);
    } else if (!server_is_admitted(s, key)) {
        log_login(s, c, "not_admitted", key);
        server_kill(s, c, RELAY_CLOSE_NOT_ADMITTED);
    } else if (server_login(s, c, key)) {
        server_kill(s, c, RELAY_CLOSE_NO_MEMORY);
    } else {
        log_login(s, c, "login", key);
        open_conn(s, c);
    }
}

static void finish_frame(struct relay_server *s, struct relay_conn *c)
{
    struct relay_packet *packet = c->partial;
    c->partial = NULL;
    if (packet->data[0] == DERP_SEND_PACKET) {
        forward(s, c, packet);
        return;
    }
    if (packet->data[0] == DERP_CLIENT_INFO) {
        login(s, c, packet);
    } else {
        CHECK(packet->data[0] == DERP_PING);
        server_send_pong(s, c, packet->data + DERP_HEADER);
    }
    relay_pool_give(&s->pool, packet);
}

/* Receives the frame into a buffer of its own, or passes over it when there is none. */
static void collect_frame(struct relay_server *s, struct relay_conn *c, const struct derp_frame *f)
{
    c->partial = relay_pool_take(&s->pool, DERP_HEADER + f->len);
    if (!c->partial) {
        c->skip = f->len;
        s->stats.dropped[RELAY_DROP_POOL]++;
        return;
    }
    memcpy(c->partial->data, c->header, DERP_HEADER);
    c->partial->done = DERP_HEADER;
}

static void begin_login(struct relay_server *s, struct relay_conn *c)
{
    struct derp_frame f;
    if (derp_parse_header(&f, c->header) || f.type != DERP_CLIENT_INFO ||
        f.len > SERVER_LOGIN_MAX) {
        server_kill(s, c, RELAY_CLOSE_PROTOCOL);
        return;
    }
    collect_frame(s, c, &f);
    if (!c->partial) {
        server_kill(s, c, RELAY_CLOSE_NO_MEMORY);
    }
}

/* Frames of the mesh are for relays that share a secret; we have none. Frames that only servers
 * send count as unknown: skipped, whatever their length up to the largest legal one. */
static void begin_frame(struct relay_server *s, struct relay_conn *c)
{
    struct derp_frame f = {0};
    bool legal = derp_parse_header(&f, c->header) == 0;
    switch (c->header[0]) {
    case DERP_FORWARD_PACKET:
    case DERP_WATCH_CONNS:
    case DERP_CLOSE_PEER:
        legal = false;
        break;
    case DERP_SEND_PACKET:
    case DERP_PING:
        if (legal) {
            collect_frame(s, c, &f);
        }
        break;
    case DERP_NOTE_PREFERRED: /* statistics only */
        c->skip = f.len;
        break;
    default:
        s->stats.frames_skipped++;
        c->skip = f.len;
    }
    if (!legal) {
        server_kill(s, c, RELAY_CLOSE_PROTOCOL);
    } else {
        c->key->active = c; /* whoever of a key's connections wrote last receives */
    }
}

/* Takes some of the bytes; returns how many. */
static size_t recv_some(struct relay_server *s, struct relay_conn *c, const uint8_t *data,
                        size_t len)
{
    if (c->skip > 0) {
        size_t n = len < c->skip ? len : c->skip;
        c->skip -= (uint32_t)n;
        return n;
    }
    if (!c->partial) {
        size_t n = sizeof(c->header) - c->header_len;
        n = len < n ? len : n;
        memcpy(c->header + c->header_len, data, n);
        c->header_len += n;
        if (c->header_len == sizeof(c->header)) {
            c->header_len = 0;
            c->state == CONN_LOGIN ? begin_login(s, c) : begin_frame(s, c);
        }
        return n;
    }
    size_t n = c->partial->len - c->partial->done;
    n = len < n ? len : n;
    memcpy(c->partial->data + c->partial->done, data, n);
    c->partial->done += (uint32_t)n;
    if (c->partial->done == c->partial->len) {
        finish_frame(s, c);
    }
    return n;
}

void server_recv_frames(struct relay_server *s, struct relay_conn *c, const uint8_t *data,
                        size_t len)
{
    size_t at = 0;
    while (at < len && (c->state == CONN_LOGIN || c->state == CONN_OPEN)) {
        at += recv_some(s, c, data + at, len - at);
    }
    if (c->state == CONN_OPEN) {
        server_recv_charge(s, c, len);
    }
}
