#include "support/relay_world.h"

void world_open(struct world *w, struct relay_server_config *config)
{
    world_open_seed(w, config, 7);
}

void world_open_seed(struct world *w, struct relay_server_config *config, uint64_t seed)
{
    *w = (struct world){.now = 1000 * NS_PER_S, .step = 65536};
    w->rng = pcg_rng(&w->pcg, seed);
    rng_fill(w->rng, config->secret, sizeof(config->secret));
    config->rng = w->rng;
    w->server = relay_server_new(config);
    assert_non_null(w->server);
}

void world_close(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        relay_client_free(w->clients[i].core);
    }
    relay_server_free(w->server);
}

void world_key(struct world_client *c, uint8_t n)
{
    memset(c->secret, n, sizeof(c->secret));
    crypto_scalarmult_base(c->key, c->secret);
}

struct world_client *world_add(struct world *w, uint8_t n)
{
    assert_true(w->count < WORLD_CLIENTS);
    struct world_client *c = &w->clients[w->count++];
    world_key(c, n);
    struct relay_client_config config = {
        .host = "relay.test", .rng = w->rng, .preferred = true, .websocket = w->websocket};
    memcpy(config.secret, c->secret, 32);
    memcpy(config.public_key, c->key, 32);
    c->core = relay_client_new(&config);
    assert_non_null(c->core);
    relay_client_start(c->core, w->now);
    return c;
}

struct world_client *world_add_bare(struct world *w)
{
    assert_true(w->count < WORLD_CLIENTS);
    struct world_client *c = &w->clients[w->count++];
    struct addr from = addr_ipv4(192, 0, 2, 1, 1000);
    assert_int_equal(relay_server_accept(w->server, &from, w->now, &c->id), 0);
    return c;
}

static void world_take(struct world *w, struct world_client *c, const struct relay_client_event *ev)
{
    struct addr from = addr_ipv4(192, 0, 2, (uint8_t)(c - w->clients), 1000);
    switch (ev->type) {
    case RELAY_CLIENT_EV_CONNECT:
        if (relay_server_accept(w->server, &from, w->now, &c->id) == 0) {
            relay_client_connected(c->core, w->now);
        } else {
            relay_client_disconnected(c->core, -111, w->now);
        }
        break;
    case RELAY_CLIENT_EV_UP:
        c->ups++;
        break;
    case RELAY_CLIENT_EV_DOWN:
        c->downs++;
        c->down_err = ev->err;
        (void)snprintf(c->down_text, sizeof(c->down_text), "%s", ev->text);
        if (c->id) {
            relay_server_closed(w->server, c->id, w->now);
            c->id = 0;
        }
        break;
    case RELAY_CLIENT_EV_PACKET:
        c->packets++;
        memcpy(c->last_from, ev->key, 32);
        c->last_len = ev->len;
        memcpy(c->last_data, ev->data, ev->len < WORLD_DATA ? ev->len : WORLD_DATA);
        break;
    case RELAY_CLIENT_EV_PEER_GONE:
        c->gones++;
        memcpy(c->gone_key, ev->key, 32);
        c->gone_reason = ev->reason;
        break;
    case RELAY_CLIENT_EV_HEALTH:
        c->healths++;
        break;
    case RELAY_CLIENT_EV_RESTARTING:
        c->restarts++;
        break;
    }
}

static bool world_client_moves(struct world *w, struct world_client *c)
{
    struct relay_client_event ev;
    bool moved = false;
    while (relay_client_event(c->core, &ev)) {
        world_take(w, c, &ev);
        moved = true;
    }
    const uint8_t *data;
    size_t len = relay_client_output(c->core, &data);
    len = len < w->step ? len : w->step;
    if (len > 0 && c->id && !c->paused) {
        relay_server_input(w->server, c->id, data, len, w->now);
        relay_client_sent(c->core, len);
        moved = true;
    }
    return moved;
}

static void world_lost(struct world *w, struct world_client *c, enum relay_close reason)
{
    c->id = 0;
    c->closed = true;
    c->reason = reason;
    if (c->core) {
        relay_client_disconnected(c->core, 0, w->now);
    }
}

bool world_server_events(struct world *w)
{
    struct relay_server_event ev;
    bool moved = false;
    while (relay_server_event(w->server, &ev)) {
        moved = true;
        for (size_t i = 0; i < w->count; i++) {
            struct world_client *c = &w->clients[i];
            if (c->id != ev.id) {
                continue;
            }
            if (ev.type == RELAY_SERVER_EV_FINISH && c->stays) {
                c->finished = true;
            } else if (ev.type == RELAY_SERVER_EV_FINISH) {
                relay_server_closed(w->server, c->id, w->now);
                world_lost(w, c, RELAY_CLOSE_DONE);
            } else if (ev.type == RELAY_SERVER_EV_CLOSE) {
                world_lost(w, c, ev.reason);
            } else if (ev.type != RELAY_SERVER_EV_WRITABLE) {
                c->paused = ev.type == RELAY_SERVER_EV_PAUSE;
                c->pauses += c->paused;
            }
        }
    }
    return moved;
}

size_t world_read(struct world *w, struct world_client *c, uint8_t *out)
{
    struct relay_span span;
    size_t n = relay_server_output(w->server, c->id, &span, 1, w->now);
    if (n == 0) {
        return 0;
    }
    size_t len = span.len < w->step ? span.len : w->step;
    if (out) {
        memcpy(out, span.data, len);
    } else {
        assert_int_equal(relay_client_input(c->core, span.data, len, w->now), 0);
    }
    relay_server_sent(w->server, c->id, len, w->now);
    return len;
}

void world_settle(struct world *w)
{
    bool moved = true;
    for (unsigned rounds = 0; moved; rounds++) {
        assert_true(rounds < 1000000);
        moved = world_server_events(w);
        for (size_t i = 0; i < w->count; i++) {
            struct world_client *c = &w->clients[i];
            if (!c->core) {
                continue;
            }
            moved |= world_client_moves(w, c);
            moved |= c->id && !c->deaf && world_read(w, c, NULL) > 0;
        }
    }
}

void world_run(struct world *w, uint64_t ns)
{
    uint64_t end = w->now + ns;
    world_settle(w);
    for (unsigned rounds = 0; w->now < end; rounds++) {
        assert_true(rounds < 100000);
        uint64_t next = time_min(end, relay_server_next_ns(w->server));
        for (size_t i = 0; i < w->count; i++) {
            if (w->clients[i].core) {
                next = time_min(next, relay_client_next_ns(w->clients[i].core));
            }
        }
        w->now = next > w->now ? next : w->now;
        relay_server_tick(w->server, w->now);
        for (size_t i = 0; i < w->count; i++) {
            if (w->clients[i].core) {
                relay_client_tick(w->clients[i].core, w->now);
            }
        }
        world_settle(w);
    }
}

const struct relay_server_stats *world_stats(const struct world *w)
{
    return relay_server_stats(w->server);
}

void world_send_signalling(struct world_client *c, const uint8_t to[32])
{
    const uint8_t data[62] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    assert_int_equal(relay_client_send(c->core, to, data, sizeof(data)), 0);
}

const char *world_read_all(struct world *w, struct world_client *c)
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

const uint8_t *world_fast_start(struct world *w, struct world_client *c, uint8_t n)
{
    uint8_t out[512] = "GET /derp HTTP/1.1\r\n" WORLD_HOST
                       "Connection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: DERP\r\n\r\n";
    size_t len = strlen((char *)out);
    uint8_t server[32];
    const uint8_t nonce[24] = {3};
    world_key(c, n);
    relay_server_public_key(w->server, server);
    int sealed = derp_seal_client_info(out + len, nonce, c->key, c->secret, server);
    assert_true(sealed > 0);
    relay_server_input(w->server, c->id, out, len + (size_t)sealed, w->now);
    const uint8_t *answer = (const uint8_t *)world_read_all(w, c);
    assert_int_equal(answer[0], DERP_SERVER_KEY);
    return answer + DERP_SERVER_KEY_LEN;
}
