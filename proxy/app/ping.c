/* Pings that somebody waits for. */
#include "app/app_internal.h"
#include "control/why.h"

#include <base/mem.h>

struct app_ping {
    LIST_ENTRY(app_ping) entry;
    size_t peer;
    uint64_t id;
    void (*done)(void *user, const struct adit_pong *pong);
    void *user;
};

struct app_ping *app_ping_start(struct app *app, const char *peer,
                                void (*done)(void *user, const struct adit_pong *pong), void *user)
{
    long index = adit_find_peer(app->ctx.node, peer);
    struct app_ping *ping = index < 0 ? NULL : mem_new(1, sizeof(*ping));
    if (!ping) {
        return NULL;
    }
    ping->peer = (size_t)index;
    ping->done = done;
    ping->user = user;
    if (adit_ping(app->ctx.node, ping->peer, &ping->id) != 0) {
        mem_free(ping);
        return NULL;
    }
    LIST_INSERT_HEAD(&app->pings, ping, entry);
    return ping;
}

void app_ping_cancel(struct app_ping *ping)
{
    LIST_REMOVE(ping, entry);
    mem_free(ping);
}

void app_on_pong(struct app *app, const struct adit_event *ev)
{
    struct app_ping *ping;
    LIST_FOREACH (ping, &app->pings, entry) {
        if (ping->peer == ev->peer && ping->id == ev->pong->id) {
            void (*done)(void *, const struct adit_pong *) = ping->done;
            void *user = ping->user;
            app_ping_cancel(ping);
            done(user, ev->pong);
            return;
        }
    }
}

char *app_ping_json(const char *peer, const struct adit_pong *pong)
{
    char address[ADDR_TEXT_MAX];
    bool direct = pong->kind == ADIT_PATH_DIRECT;
    const struct control_pong out = {
        .peer = peer,
        .rtt_us = pong->rtt_ns / NS_PER_US,
        .path = {.kind = app_path_kind_text(pong->kind),
                 .address = direct ? addr_format(&pong->address, address) : NULL,
                 .relay = pong->relay},
    };
    return control_ping_json(&out);
}
