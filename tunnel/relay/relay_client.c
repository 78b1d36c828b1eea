/* Life of the connection: states, back-off, timers. */
#include "relay/relay_client_internal.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {
    [RELAY_CLIENT_IDLE] = "idle", [RELAY_CLIENT_WANTED] = "wanted",
    [RELAY_CLIENT_HTTP] = "http", [RELAY_CLIENT_CONNECTING] = "connecting",
    [RELAY_CLIENT_KEY] = "key",   [RELAY_CLIENT_LOGIN] = "login",
    [RELAY_CLIENT_UP] = "up",     [RELAY_CLIENT_BACKOFF] = "back-off",
};

static size_t buffer_size(size_t wanted)
{
    size_t size = wanted > 0 ? wanted : CLIENT_BUFFER_DEFAULT;
    return size > 2 * CLIENT_BUFFER_MIN ? size : 2 * CLIENT_BUFFER_MIN;
}

/* False when the text does not fit or would break the request line or header. */
static bool copy_text(char out[CLIENT_HOST_MAX], const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len >= CLIENT_HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] == 0x7f) {
            return false;
        }
    }
    memcpy(out, text, len + 1);
    return true;
}

static bool make_buffers(struct relay_client *c)
{
    c->in_cap = buffer_size(c->config.limits.in_bytes_max);
    c->half_cap = buffer_size(c->config.limits.out_bytes_max) / 2;
    c->in = mem_new(1, c->in_cap);
    c->out[0].data = mem_new(1, c->half_cap);
    c->out[1].data = mem_new(1, c->half_cap);
    return c->in && c->out[0].data && c->out[1].data;
}

struct relay_client *relay_client_new(const struct relay_client_config *config)
{
    struct relay_client *c = mem_new(1, sizeof(*c));
    if (!c) {
        return NULL;
    }
    c->config = *config;
    c->config.host = NULL;
    c->config.path = NULL;
    c->backoff_ns = CLIENT_BACKOFF_MIN_NS;
    bool named = copy_text(c->host, config->host) &&
                 copy_text(c->path, config->path ? config->path : "/derp");
    if (!named || !make_buffers(c) || (config->websocket && client_ws_open(c) != 0)) {
        relay_client_free(c);
        return NULL;
    }
    client_recv_reset(c);
    return c;
}

void relay_client_free(struct relay_client *c)
{
    if (!c) {
        return;
    }
    mem_free(c->ws);
    mem_free(c->in);
    mem_free(c->out[0].data);
    mem_free(c->out[1].data);
    sodium_memzero(c, sizeof(*c));
    mem_free(c);
}

bool relay_client_has_websocket(void)
{
    return ws_is_available();
}

void client_set_state(struct relay_client *c, enum relay_client_state state)
{
    LOG_AT(c->config.log, LOG_DEBUG, "relay_client", "state", "host=%s from=%s to=%s", c->host,
           state_names[c->state], state_names[state]);
    c->state = state;
}

static bool has_connection(const struct relay_client *c)
{
    return c->state >= RELAY_CLIENT_CONNECTING && c->state <= RELAY_CLIENT_UP;
}

static void end(struct relay_client *c, int err, const char *text)
{
    c->stats.downs++;
    c->down_pending = true;
    c->down_err = err;
    (void)snprintf(c->down_text, sizeof(c->down_text), "%s", text);
    client_send_reset(c);
    client_recv_reset(c);
}

static uint64_t next_backoff(struct relay_client *c)
{
    bool restarts = c->now < c->restart_end_ns;
    uint64_t most = restarts ? CLIENT_RESTART_EVERY_NS : CLIENT_BACKOFF_MAX_NS;
    if (c->state == RELAY_CLIENT_UP && time_since(c->up_at, c->now) >= CLIENT_STABLE_NS) {
        c->backoff_ns = CLIENT_BACKOFF_MIN_NS;
    }
    /* Three to five quarters, so that a relay's clients do not all come back at once. */
    uint64_t middle = time_min(c->backoff_ns, most);
    uint64_t half = middle / 2;
    uint64_t wait = middle - half / 2 + rng_below(c->config.rng, half);
    c->backoff_ns = time_min(2 * middle, most);
    return time_min(wait, most);
}

/* When it is tried again after the end of a connection, or of an attempt. */
static uint64_t next_attempt(struct relay_client *c)
{
    uint64_t wait = next_backoff(c);
    uint64_t from = c->restart_ns > c->now ? c->restart_ns : c->now;
    return time_add(from, wait);
}

void client_fail(struct relay_client *c, int err, const char *text)
{
    if (!has_connection(c)) {
        return;
    }
    LOG_AT(c->config.log, LOG_INFO, "relay_client", "down", "host=%s err=%d why=\"%s\"", c->host,
           err, text);
    c->deadline = next_attempt(c);
    end(c, err, text);
    client_set_state(c, RELAY_CLIENT_BACKOFF);
}

void client_login_done(struct relay_client *c)
{
    LOG_AT(c->config.log, LOG_INFO, "relay_client", "up", "host=%s", c->host);
    c->stats.ups++;
    c->up_at = c->now;
    c->ping_next = c->now;
    c->ping_count = UINT64_MAX;
    c->ping_sent_at = TIME_NEVER;
    c->ping_limit = TIME_NEVER;
    c->restart_ns = c->restart_end_ns = 0;
    client_set_state(c, RELAY_CLIENT_UP);
}

void client_note_restart(struct relay_client *c, uint64_t reconnect_in_ns, uint64_t try_for_ns)
{
    c->restart_ns = time_add(c->now, time_min(reconnect_in_ns, CLIENT_RESTART_WAIT_MAX_NS));
    c->restart_end_ns = time_add(c->restart_ns, time_min(try_for_ns, CLIENT_RESTART_TRY_MAX_NS));
    c->backoff_ns = CLIENT_BACKOFF_MIN_NS;
}

void relay_client_start(struct relay_client *c, uint64_t now)
{
    c->now = now;
    if (c->state == RELAY_CLIENT_IDLE) {
        c->backoff_ns = CLIENT_BACKOFF_MIN_NS;
        c->restart_ns = c->restart_end_ns = 0;
        client_set_state(c, RELAY_CLIENT_WANTED);
    }
}

void relay_client_stop(struct relay_client *c, uint64_t now)
{
    c->now = now;
    if (has_connection(c)) {
        end(c, 0, "stopped");
    }
    if (c->state != RELAY_CLIENT_IDLE) {
        client_set_state(c, RELAY_CLIENT_IDLE);
    }
}

void relay_client_connected(struct relay_client *c, uint64_t now)
{
    c->now = now;
    if (c->state != RELAY_CLIENT_CONNECTING) {
        return;
    }
    c->stats.connects++;
    c->heard_at = now;
    client_send_reset(c);
    client_recv_reset(c);
    client_send_request(c);
    client_set_state(c, RELAY_CLIENT_HTTP);
}

void relay_client_disconnected(struct relay_client *c, int err, uint64_t now)
{
    relay_client_failed(c, err, NULL, now);
}

void relay_client_failed(struct relay_client *c, int err, const char *why, uint64_t now)
{
    c->now = now;
    bool connecting = c->state == RELAY_CLIENT_CONNECTING;
    const char *text = why ? why : connecting ? "cannot connect" : "connection closed";
    client_fail(c, err ? err : ERR_CLOSED, text);
}

void relay_client_leave(struct relay_client *c, uint64_t now)
{
    c->now = now;
    client_fail(c, 0, "it restarts");
}

uint64_t relay_client_restart_ns(const struct relay_client *c)
{
    return c->restart_end_ns;
}

void relay_client_hurry(struct relay_client *c, uint64_t now)
{
    c->now = now;
    if (c->state == RELAY_CLIENT_BACKOFF && now >= c->restart_ns) {
        client_set_state(c, RELAY_CLIENT_WANTED);
    } else if (c->state == RELAY_CLIENT_UP && c->ping_limit == TIME_NEVER) {
        c->ping_limit = time_add(now, CLIENT_HURRY_NS);
        c->ping_next = time_add(now, CLIENT_PING_EVERY_NS);
        client_send_ping(c);
    }
}

void client_used(struct relay_client *c)
{
    if (c->ping_next == TIME_NEVER) {
        c->ping_next = time_add(c->now, CLIENT_PING_EVERY_NS);
    }
}

/* Asks for the round trip if the connection was used since it was asked last. */
static void measure(struct relay_client *c)
{
    uint64_t count = c->stats.packets_sent + c->stats.packets_received;
    bool used = count != c->ping_count;
    c->ping_count = count;
    c->ping_next = used ? time_add(c->now, CLIENT_PING_EVERY_NS) : TIME_NEVER;
    if (used) {
        client_send_ping(c);
    }
}

static uint64_t quiet_end(const struct relay_client *c)
{
    return c->ping_limit == TIME_NEVER ? time_add(c->heard_at, CLIENT_QUIET_NS) : TIME_NEVER;
}

/* When a ping has been out for too long without any byte from the relay. */
static uint64_t deaf_end(const struct relay_client *c)
{
    bool heard = c->ping_sent_at == TIME_NEVER || c->heard_at > c->ping_sent_at;
    return heard ? TIME_NEVER : time_add(c->ping_sent_at, CLIENT_DEAF_NS);
}

static void tick_up(struct relay_client *c)
{
    if (c->now >= time_add(c->heard_at, CLIENT_SILENCE_NS)) {
        client_fail(c, ERR_CLOSED, "nothing heard for 75 s");
    } else if (c->now >= deaf_end(c)) {
        client_fail(c, ERR_CLOSED, "nothing heard after a ping");
    } else if (c->now >= c->ping_limit) {
        client_fail(c, ERR_CLOSED, "no answer to a ping");
    } else if (c->now >= quiet_end(c)) {
        c->ping_limit = time_add(c->heard_at, CLIENT_SILENCE_NS);
        client_send_ping(c);
    } else if (c->now >= c->ping_next) {
        measure(c);
    }
}

void relay_client_tick(struct relay_client *c, uint64_t now)
{
    c->now = now;
    if (c->state == RELAY_CLIENT_UP) {
        tick_up(c);
    } else if (c->state == RELAY_CLIENT_BACKOFF && now >= c->deadline) {
        client_set_state(c, RELAY_CLIENT_WANTED);
    } else if (has_connection(c) && now >= c->deadline) {
        client_fail(c, ERR_CLOSED, "not up within 10 s");
    }
}

uint64_t relay_client_next_ns(const struct relay_client *c)
{
    if (c->state == RELAY_CLIENT_UP) {
        uint64_t answer = time_min(c->ping_limit, time_add(c->heard_at, CLIENT_SILENCE_NS));
        answer = time_min(answer, deaf_end(c));
        return time_min(time_min(c->ping_next, answer), quiet_end(c));
    }
    return c->state == RELAY_CLIENT_BACKOFF || has_connection(c) ? c->deadline : TIME_NEVER;
}

static void make_tag(uint8_t out[RELAY_CLIENT_TAG], const char *what, const void *data, size_t len)
{
    crypto_generichash_state state;
    CHECK(crypto_generichash_init(&state, NULL, 0, RELAY_CLIENT_TAG) == 0);
    (void)crypto_generichash_update(&state, (const uint8_t *)what, strlen(what));
    (void)crypto_generichash_update(&state, data, len);
    (void)crypto_generichash_final(&state, out, RELAY_CLIENT_TAG);
}

bool relay_client_key_tag(const struct relay_client *c, uint8_t out[RELAY_CLIENT_TAG])
{
    make_tag(out, "adit relay key", c->server, sizeof(c->server));
    return c->stats.ups > 0;
}

/* Hosts' names are the same in either case (RFC 4343). */
void relay_client_place_tag(const struct relay_client *c, uint8_t out[RELAY_CLIENT_TAG])
{
    char text[2 * CLIENT_HOST_MAX];
    int len = snprintf(text, sizeof(text), "%s%s", c->host, c->path);
    for (char *at = text; *at && *at != '/'; at++) {
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at + 'a' - 'A') : *at;
    }
    make_tag(out, "adit relay place", text, (size_t)len);
}

enum relay_client_state relay_client_state(const struct relay_client *c)
{
    return c->state;
}

uint64_t relay_client_rtt_ns(const struct relay_client *c)
{
    return c->rtt_ns;
}

const struct relay_client_stats *relay_client_stats(const struct relay_client *c)
{
    return &c->stats;
}
