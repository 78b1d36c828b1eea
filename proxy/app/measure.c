/* app_bench: a bench (app/bench.h) that somebody waits for, and pings beside it. */
#include "app/app_internal.h"
#include "control/why.h"

#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRIPS_MAX = 256,
    PING_EVERY_MS = 50,
    PATIENCE = 40, /* of these, then the answer is lost */
};

struct app_bench {
    struct app *app;
    struct bench_end *end;
    struct bench_wish wish;
    uv_timer_t timer;
    struct app_ping *ping; /* NULL: none is on its way */
    unsigned waited;
    size_t trip_count;
    uint64_t trips[TRIPS_MAX];
    uint64_t path_changes; /* before */
    void (*done)(void *user, char *json, const char *why);
    void *user;
};

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void free_later(struct app_bench *b)
{
    if (b->ping) {
        app_ping_cancel(b->ping);
    }
    uv_close((uv_handle_t *)&b->timer, on_closed);
}

/* --- round trips meanwhile --- */

static void on_pong(void *user, const struct adit_pong *pong)
{
    struct app_bench *b = user;
    b->ping = NULL;
    if (b->trip_count < TRIPS_MAX) {
        b->trips[b->trip_count++] = pong->rtt_ns / NS_PER_US;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct app_bench *b = timer->data;
    if (b->ping && ++b->waited >= PATIENCE) {
        app_ping_cancel(b->ping);
        b->ping = NULL;
    }
    if (!b->ping) {
        b->waited = 0;
        b->ping = app_ping_start(b->app, b->app->ctx.config->peers[b->wish.peer].name, on_pong, b);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

/* --- the result --- */

static char *tell(struct app_bench *b, const struct bench_result *r)
{
    struct adit_peer_stats peer = {0};
    char address[ADDR_TEXT_MAX];
    size_t n = b->trip_count;
    (void)adit_peer_stats(b->app->ctx.node, b->wish.peer, &peer);
    qsort(b->trips, n, sizeof(b->trips[0]), compare);
    bool direct = peer.path.kind == ADIT_PATH_DIRECT;
    const struct control_bench out = {
        .peer = peer.name,
        .direction = b->wish.up ? "up" : "down",
        .aead = app_aead_text(peer.aead),
        .bytes = r->bytes,
        .took_us = r->took_ns / NS_PER_US,
        .bits_per_s = r->took_ns == 0 ? 0 : (uint64_t)((double)r->bytes * 8e9 / (double)r->took_ns),
        .path_changes = peer.path_changes - b->path_changes,
        .path = {.kind = app_path_kind_text(peer.path.kind),
                 .address = direct ? addr_format(&peer.path.address, address) : NULL,
                 .relay = peer.path.relay},
        .trips = n,
        .trip_min_us = n > 0 ? b->trips[0] : CONTROL_UNKNOWN,
        .trip_median_us = n > 0 ? b->trips[n / 2] : CONTROL_UNKNOWN,
        .trip_max_us = n > 0 ? b->trips[n - 1] : CONTROL_UNKNOWN,
    };
    return control_bench_json(&out);
}

static void on_over(void *user, const struct bench_result *r)
{
    struct app_bench *b = user;
    const char *why = r->cause == CAUSE_NOT_ALLOWED
                          ? "the peer does not let itself be measured ([node] bench = yes there)"
                      : r->cause == CAUSE_BAD_TARGET
                          ? "the peer is of a version that cannot be measured"
                          : cause_text(r->cause);
    char *json = r->cause == CAUSE_NONE ? tell(b, r) : NULL;
    void (*done)(void *, char *, const char *) = b->done;
    void *asker = b->user;
    free_later(b);
    done(asker, json, json ? NULL : why);
}

/* --- the beginning --- */

static bool parse_lane(const char *text, enum adit_lane *lane)
{
    *lane = strcmp(text, "direct") == 0  ? ADIT_LANE_DIRECT
            : strcmp(text, "relay") == 0 ? ADIT_LANE_RELAY
                                         : ADIT_LANE_ANY;
    return *lane != ADIT_LANE_ANY || strcmp(text, "any") == 0;
}

/* What is wrong with it, or NULL. */
static const char *parse(const struct app *app, const char *what, struct bench_wish *wish)
{
    char peer[CONFIG_NAME_MAX + 1], way[8], lane[8];
    if (sscanf(what, "%63[^/]/%7[^/]/%2u/%7s", peer, way, &wish->seconds, lane) != 4) {
        return "PEER/up|down/SECONDS/any|direct|relay is wanted";
    }
    long index = adit_find_peer(app->ctx.node, peer);
    wish->up = strcmp(way, "up") == 0;
    if (index < 0) {
        return "there is no peer of that name";
    }
    if ((!wish->up && strcmp(way, "down") != 0) || !parse_lane(lane, &wish->lane) ||
        wish->seconds < 1 || wish->seconds > BENCH_SECONDS_MAX) {
        return "up or down, 1 to 10 seconds, any, direct or relay";
    }
    wish->peer = (size_t)index;
    return NULL;
}

struct app_bench *app_bench_start(struct app *app, const char *what,
                                  void (*done)(void *user, char *json, const char *why), void *user,
                                  const char **why)
{
    struct bench_wish wish = {0};
    struct adit_peer_stats peer;
    *why = parse(app, what, &wish);
    if (*why) {
        return NULL;
    }
    *why = "too many are being measured, or there is no memory";
    struct app_bench *b = mem_new(1, sizeof(*b));
    if (!b) {
        return NULL;
    }
    *b = (struct app_bench){.app = app, .wish = wish, .done = done, .user = user};
    b->end = bench_start(&app->benches, &wish, on_over, b);
    if (!b->end) {
        mem_free(b);
        return NULL;
    }
    if (adit_peer_stats(app->ctx.node, wish.peer, &peer)) {
        b->path_changes = peer.path_changes;
    }
    (void)uv_timer_init(app->ctx.loop, &b->timer); /* cannot fail */
    b->timer.data = b;
    (void)uv_timer_start(&b->timer, on_timer, PING_EVERY_MS, PING_EVERY_MS);
    return b;
}

void app_bench_cancel(struct app_bench *b)
{
    bench_cancel(b->end);
    free_later(b);
}
