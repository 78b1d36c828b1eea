/* What the relay was told: limits, who is admitted, and that it shall end. */
#include "relay/relay_server_internal.h"

#include <base/err.h>

#include <stdlib.h>
#include <string.h>

enum { PENDING_LEAST = 8, CONTACTS_EACH = 64, CONTACTS_LEAST = 4096 };

#define RESTARTING_AGAIN_NS (50 * NS_PER_MS)

static size_t size_or(size_t value, size_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static uint64_t u64_or(uint64_t value, uint64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

void server_fill_limits(struct relay_server_limits *l)
{
    const size_t packet = DERP_PACKET_OVERHEAD + DERP_PACKET_MAX;
    l->clients_max = size_or(l->clients_max, 10000);
    size_t quarter = l->clients_max / 4;
    l->pending_max = size_or(l->pending_max, quarter > PENDING_LEAST ? quarter : PENDING_LEAST);
    l->clients_per_address_max = size_or(l->clients_per_address_max, l->clients_max);
    l->queue_packets_max = size_or(l->queue_packets_max, 128);
    l->queue_bytes_max = size_or(l->queue_bytes_max, 1 << 20);
    l->queue_bytes_max = l->queue_bytes_max > packet ? l->queue_bytes_max : packet;
    l->pool_bytes_max = size_or(l->pool_bytes_max, (size_t)256 << 20);
    l->contacts_max = size_or(l->contacts_max, 1024);
    size_t contacts = CONTACTS_EACH * l->clients_max;
    l->contacts_total_max =
        size_or(l->contacts_total_max, contacts > CONTACTS_LEAST ? contacts : CONTACTS_LEAST);
    l->http_header_max = size_or(l->http_header_max, 8 << 10);
    l->handshake_timeout_ns = u64_or(l->handshake_timeout_ns, 10 * NS_PER_S);
    l->write_stall_ns = u64_or(l->write_stall_ns, 2 * NS_PER_S);
    l->keep_alive_ns = u64_or(l->keep_alive_ns, 60 * NS_PER_S);
    l->rate_burst_bytes = u64_or(l->rate_burst_bytes, l->rate_bytes_per_s);
    l->rate_burst_bytes = l->rate_burst_bytes > packet ? l->rate_burst_bytes : packet;
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, DERP_KEY);
}

bool server_is_admitted(const struct relay_server *s, const uint8_t key[DERP_KEY])
{
    return s->config.open ||
           bsearch(key, s->allowed, s->config.allowed_count, DERP_KEY, compare_keys);
}

bool server_may_read_metrics(const struct relay_server *s, const struct addr *from)
{
    struct addr a = addr_normalize(from);
    bool may = addr_is_loopback(&a);
    for (size_t i = 0; i < s->config.metrics_count && !may; i++) {
        may = prefix_contains(&s->metrics[i], &a);
    }
    return may;
}

int server_copy_lists(struct relay_server *s, const struct relay_server_config *config)
{
    uint8_t(*allowed)[DERP_KEY] = mem_new(config->allowed_count + 1, DERP_KEY);
    struct prefix *metrics = mem_new(config->metrics_count + 1, sizeof(*metrics));
    if (!allowed || !metrics) {
        mem_free(allowed);
        mem_free(metrics);
        return ERR_NO_MEMORY;
    }
    if (config->allowed_count > 0) {
        memcpy(allowed, config->allowed, config->allowed_count * DERP_KEY);
        qsort(allowed, config->allowed_count, DERP_KEY, compare_keys);
    }
    if (config->metrics_count > 0) {
        memcpy(metrics, config->metrics, config->metrics_count * sizeof(*metrics));
    }
    mem_free(s->allowed);
    mem_free(s->metrics);
    s->allowed = allowed;
    s->metrics = metrics;
    s->config.allowed = NULL;
    s->config.allowed_count = config->allowed_count;
    s->config.metrics = NULL;
    s->config.metrics_count = config->metrics_count;
    return 0;
}

static void apply(struct relay_server *s, struct relay_conn *c, bool new_rate)
{
    if (c->state != CONN_OPEN) {
        return; /* who logs in later is asked then */
    }
    if (!server_is_admitted(s, c->key->key)) {
        server_kill(s, c, RELAY_CLOSE_NOT_ADMITTED);
    } else if (new_rate) {
        server_recv_new_rate(s, c);
    }
}

int relay_server_reload(struct relay_server *s, const struct relay_server_config *config,
                        uint64_t now)
{
    struct relay_server_limits limits = config->limits;
    const struct relay_server_limits old = s->config.limits;
    s->now = now;
    if (server_grow(s, relay_server_slots_after(s, config)) || server_copy_lists(s, config)) {
        return ERR_NO_MEMORY;
    }
    limits.pool_bytes_max = old.pool_bytes_max;
    server_fill_limits(&limits);
    s->config.limits = limits;
    s->config.open = config->open;
    s->stats.reloads++;
    bool new_rate = limits.rate_bytes_per_s != old.rate_bytes_per_s ||
                    limits.rate_burst_bytes != old.rate_burst_bytes;
    for (size_t i = 0; i < s->slots; i++) {
        if (s->conns[i]) {
            apply(s, s->conns[i], new_rate);
        }
    }
    return 0;
}

void server_send_restarting(struct relay_server *s, struct relay_conn *c)
{
    uint8_t frame[DERP_RESTARTING_LEN];
    uint64_t jitter = rng_below(s->config.rng, SERVER_RECONNECT_JITTER_NS);
    derp_write_restarting(frame, time_add(s->drain_reconnect_ns, jitter) / NS_PER_MS,
                          s->drain_try_for_ns / NS_PER_MS);
    /* If too much waits for it already it hears of it as soon as there is room. */
    bool told = server_send_control(s, c, frame, sizeof(frame));
    c->restarting_at = told ? TIME_NEVER : time_add(s->now, RESTARTING_AGAIN_NS);
    server_schedule(s, c, c->restarting_at);
}

void relay_server_drain(struct relay_server *s, uint64_t reconnect_ns, uint64_t try_for_ns,
                        uint64_t now)
{
    s->now = now;
    s->draining = true;
    s->drain_reconnect_ns = reconnect_ns;
    s->drain_try_for_ns = try_for_ns;
    for (size_t i = 0; i < s->slots; i++) {
        if (s->conns[i] && s->conns[i]->state == CONN_OPEN) {
            server_send_restarting(s, s->conns[i]);
        }
    }
}
