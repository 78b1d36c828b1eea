/* The question whether a captive portal stands before a relay: one request of plain HTTP. When, and
 * what the answer means, is the node's to say. */
#include "loop/tunnel_internal.h"

#include <stdio.h>

#include "os/sysclock.h"

enum { HTTP_PORT = 80 };

/* Where a relay with TLS has its plain HTTP, if any; and what portals look at. */
static uint16_t port_of(const struct relay_entry *r)
{
    return r->tls ? (uint16_t)HTTP_PORT : r->port;
}

static void on_open(void *user)
{
    struct adit *a = user;
    const struct relay_entry *r = &a->relays[a->portal_relay];
    char host[TUNNEL_HOST_MAX + 16];
    bool v6 = strchr(r->host, ':') != NULL;
    int len = snprintf(host, sizeof(host), "%s%s%s", v6 ? "[" : "", r->host, v6 ? "]" : "");
    if (port_of(r) != HTTP_PORT) {
        (void)snprintf(host + len, sizeof(host) - (size_t)len, ":%u", (unsigned)port_of(r));
    }
    len = node_portal_request(a->node, host, a->portal_request);
    if (len < 0) {
        channel_uv_close(a->portal);
        a->portal = NULL;
        node_portal_closed(a->node, sys_now_ns());
    } else {
        (void)channel_uv_write(a->portal, (const uint8_t *)a->portal_request, (size_t)len);
    }
    a->work = true;
}

/* The node asks for the end by an event when it has read enough. */
static void on_data(void *user, const uint8_t *data, size_t len)
{
    struct adit *a = user;
    node_portal_input(a->node, data, len, sys_now_ns());
    a->work = true;
}

static void on_sent(void *user, size_t len)
{
    (void)user;
    (void)len; /* the request is small, and stays where it is */
}

static void on_end(void *user, int err, const char *why)
{
    struct adit *a = user;
    (void)err;
    (void)why;
    a->portal = NULL;
    node_portal_closed(a->node, sys_now_ns());
    a->work = true;
}

void tunnel_ask_portal(struct adit *a, size_t relay)
{
    static const struct channel_uv_callbacks callbacks = {
        .on_open = on_open, .on_data = on_data, .on_sent = on_sent, .on_end = on_end};
    struct channel_uv_target to = {.host = a->relays[relay].host,
                                   .port = port_of(&a->relays[relay]),
                                   .buffers = &a->portal_buffers};
    tunnel_close_portal(a);
    a->portal_relay = relay;
    if (channel_uv_open(a->loop, &to, &callbacks, a, &a->portal) != 0) {
        a->portal = NULL;
        node_portal_closed(a->node, sys_now_ns());
    }
}

void tunnel_close_portal(struct adit *a)
{
    channel_uv_close(a->portal);
    a->portal = NULL;
}
