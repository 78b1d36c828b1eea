/* Life of a relay: start, events, timer, end. */
#include "loop/relay_uv_internal.h"

#include "os/sysclock.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>

enum {
    USER_TIMEOUT_S = 15, /* unacknowledged for so long, or for a write stall: the client is gone */
    USER_TIMEOUT_MAX_S = 86400,
};

/* What clients are told when the relay ends: how long it is worth trying. */
#define TRY_FOR_NS (60 * NS_PER_S)

static void finish(struct relay_uv *r)
{
    void (*done)(void *user) = r->done;
    void *user = r->user;
    relay_server_free(r->server);
    mem_free(r->clients);
    mem_free(r);
    if (done) {
        done(user);
    }
}

void relay_uv_handle_gone(struct relay_uv *r)
{
    CHECK(r->handles > 0);
    r->handles--;
    if (r->handles == 0 && r->stopping) {
        finish(r);
    }
}

void relay_uv_on_part_closed(uv_handle_t *handle)
{
    relay_uv_handle_gone(handle->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct relay_uv *r = timer->data;
    uint64_t now = uv_hrtime();
    r->timer_at = TIME_NEVER;
    relay_server_tick(r->server, now);
    relay_uv_run_events(r, now);
}

/* libuv counts milliseconds; rounding up keeps a timer from firing a moment too early. */
static void set_timer(struct relay_uv *r, uint64_t now)
{
    uint64_t next = relay_server_next_ns(r->server);
    if (next >= r->timer_at || r->stopping) {
        return;
    }
    r->timer_at = next;
    CHECK(uv_timer_start(&r->timer, on_timer, time_since(now, next) / NS_PER_MS + 1, 0) == 0);
}

void relay_uv_run_events(struct relay_uv *r, uint64_t now)
{
    struct relay_server_event ev;
    while (relay_server_event(r->server, &ev)) {
        struct relay_uv_client *c = r->clients[(uint32_t)ev.id];
        if (c && c->id == ev.id) {
            relay_uv_client_event(c, &ev, now);
        }
    }
    relay_uv_cluster_tell(r, now);
    set_timer(r, now);
}

/* A client whose window is shut is the server's to judge, so the kernel gives it no less time. */
static unsigned user_timeout_ms(const struct relay_server_limits *limits)
{
    uint64_t stall_s = time_min(limits->write_stall_ns / NS_PER_S, USER_TIMEOUT_MAX_S);
    return 1000 * (unsigned)(stall_s > USER_TIMEOUT_S ? stall_s : USER_TIMEOUT_S);
}

static int make_server(struct relay_uv *r, const struct relay_uv_config *config)
{
    struct relay_server_config server = config->server;
    const struct relay_cluster_config cluster = {.unix_offset = sys_unix_ns() - uv_hrtime(),
                                                 .io = &r->cluster_stats};
    server.cluster = config->cluster ? &cluster : NULL;
    r->server = relay_server_new(&server);
    sodium_memzero(server.secret, sizeof(server.secret));
    return r->server ? 0 : ERR_NO_MEMORY;
}

int relay_uv_start(uv_loop_t *loop, const struct relay_uv_config *config, struct relay_uv **out)
{
    size_t count = config->listen_count + config->listen_tls_count;
    CHECK(count > 0 && count <= RELAY_UV_LISTEN_MAX);
    CHECK(config->tls || config->listen_tls_count == 0);
    struct relay_uv *r = mem_new(1, sizeof(*r));
    if (!r) {
        return ERR_NO_MEMORY;
    }
    r->loop = loop;
    r->tls = config->tls;
    r->log = config->server.log;
    r->user_timeout_ms = user_timeout_ms(&config->server.limits);
    r->timer_at = TIME_NEVER;
    r->timer.data = r;
    r->drain.data = r;
    /* None of these can fail, says libuv. */
    CHECK(uv_timer_init(loop, &r->timer) == 0 && uv_timer_init(loop, &r->drain) == 0);
    r->handles = 2;
    relay_uv_turns_init(r);
    int err = make_server(r, config);
    if (!err) {
        r->clients = mem_new(relay_server_slots(r->server), sizeof(struct relay_uv_client *));
        err = r->clients ? 0 : ERR_NO_MEMORY;
    }
    err = err ? err : relay_uv_listen(r, config);
    if (!err && config->cluster) {
        err = relay_uv_cluster_join(r, config->cluster);
    }
    if (err) {
        relay_uv_stop(r, NULL, NULL);
        return err;
    }
    *out = r;
    return 0;
}

const struct relay_server_stats *relay_uv_stats(const struct relay_uv *r)
{
    return relay_server_stats(r->server);
}

/* Room for more clients, before the server has it. */
static int grow_clients(struct relay_uv *r, size_t slots)
{
    size_t old = relay_server_slots(r->server);
    if (slots <= old) {
        return 0;
    }
    struct relay_uv_client **clients = mem_new(slots, sizeof(struct relay_uv_client *));
    if (!clients) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < old; i++) {
        clients[i] = r->clients[i];
    }
    mem_free(r->clients);
    r->clients = clients;
    return 0;
}

int relay_uv_reload(struct relay_uv *r, const struct relay_server_config *config)
{
    uint64_t now = uv_hrtime();
    int err = grow_clients(r, relay_server_slots_after(r->server, config));
    err = err ? err : relay_server_reload(r->server, config, now);
    r->user_timeout_ms = err ? r->user_timeout_ms : user_timeout_ms(&config->limits);
    relay_uv_run_events(r, now);
    return err;
}

static void on_drained(uv_timer_t *timer)
{
    struct relay_uv *r = timer->data;
    relay_uv_stop(r, r->done, r->user);
}

void relay_uv_drain(struct relay_uv *r, uint64_t wait_ns, void (*done)(void *user), void *user)
{
    uint64_t now = uv_hrtime();
    CHECK(!r->draining && !r->stopping);
    if (relay_server_stats(r->server)->connections == 0) {
        wait_ns = 0;
    }
    r->draining = true;
    r->done = done;
    r->user = user;
    relay_uv_listen_close(r);
    relay_server_drain(r->server, wait_ns, TRY_FOR_NS, now);
    relay_uv_run_events(r, now);
    uv_update_time(r->loop); /* libuv counts from when it looked last */
    CHECK(uv_timer_start(&r->drain, on_drained, wait_ns / NS_PER_MS, 0) == 0);
}

void relay_uv_stop(struct relay_uv *r, void (*done)(void *user), void *user)
{
    uint64_t now = uv_hrtime();
    CHECK(!r->stopping);
    r->stopping = true;
    r->done = done;
    r->user = user;
    relay_uv_listen_close(r);
    for (size_t i = 0; r->clients && i < relay_server_slots(r->server); i++) {
        if (r->clients[i]) {
            relay_uv_client_drop(r->clients[i], now);
            relay_uv_cluster_tell(r, now);
        }
    }
    relay_uv_cluster_leave(r, now);
    uv_close((uv_handle_t *)&r->timer, relay_uv_on_part_closed);
    uv_close((uv_handle_t *)&r->drain, relay_uv_on_part_closed);
    relay_uv_turns_close(r);
}
