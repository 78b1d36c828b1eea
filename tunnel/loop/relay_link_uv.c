#include "loop/relay_link_uv.h"

#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/channel_uv.h"
#include "os/sysclock.h"

/* What is read before it is handed out: more would no longer be in the caches then, and one
 * acknowledgement for so much makes the sender send as much at once. */
enum { ROUND_BYTES = 256 << 10, HASTY_BYTES = 64 << 10 };

struct relay_link_uv {
    struct relay_link_options o; /* config is NULL here */
    struct channel_uv_target to;
    char *host;
    char *proxy_host;
    char *proxy_login;
    struct channel_uv *channel;
    struct stream_uv_buffers buffers;
    size_t round_bytes, round_max; /* read since the last flush, and how much may be */
};

static void write_on(struct relay_link_uv *l)
{
    while (l->channel && channel_uv_takes(l->channel)) {
        const uint8_t *data;
        size_t len = node_relay_output(l->o.node, l->o.relay, &data);
        ssize_t sent = len > 0 ? channel_uv_write(l->channel, data, len) : -1;
        if (sent < 0) {
            return;
        }
        if (node_relay_sent(l->o.node, l->o.relay, (size_t)sent, sys_now_ns())) {
            l->o.on_activity(l->o.user); /* else nothing would go on before something comes in */
        }
    }
}

/* --- what the channel tells --- */

static void on_open(void *user)
{
    struct relay_link_uv *l = user;
    node_relay_connected(l->o.node, l->o.relay, sys_now_ns());
    l->o.on_activity(l->o.user);
}

static void on_data(void *user, const uint8_t *data, size_t len)
{
    struct relay_link_uv *l = user;
    l->round_bytes += len;
    l->buffers.held = l->round_bytes >= l->round_max;
    node_relay_input(l->o.node, l->o.relay, data, len, sys_now_ns());
    l->o.on_activity(l->o.user);
}

static void on_sent(void *user, size_t len)
{
    struct relay_link_uv *l = user;
    (void)node_relay_sent(l->o.node, l->o.relay, len, sys_now_ns());
    l->o.on_activity(l->o.user);
    write_on(l);
}

static void failed(struct relay_link_uv *l, int err, const char *why)
{
    l->channel = NULL;
    node_relay_failed(l->o.node, l->o.relay, err, why, sys_now_ns());
    l->o.on_activity(l->o.user);
}

static void on_end(void *user, int err, const char *why)
{
    failed(user, err, why);
}

/* --- what the node wants --- */

void relay_link_flush(struct relay_link_uv *l, bool hasty)
{
    l->round_bytes = 0;
    l->round_max = hasty ? HASTY_BYTES : ROUND_BYTES;
    l->buffers.held = false;
    write_on(l);
}

void relay_link_connect(struct relay_link_uv *l)
{
    static const struct channel_uv_callbacks callbacks = {
        .on_open = on_open, .on_data = on_data, .on_sent = on_sent, .on_end = on_end};
    relay_link_close(l);
    int err = channel_uv_open(l->o.loop, &l->to, &callbacks, l, &l->channel);
    if (err != 0) {
        failed(l, err, "cannot connect");
    }
}

void relay_link_close(struct relay_link_uv *l)
{
    channel_uv_close(l->channel);
    l->channel = NULL;
}

/* --- life --- */

static char *copy_text(const char *text, bool *good)
{
    char *copy = text ? mem_text(text) : NULL;
    *good = *good && (copy || !text);
    return copy;
}

static int copy_config(struct relay_link_uv *l, const struct adit_relay_config *c,
                       char why[TLS_WHY_MAX])
{
    bool good = true;
    l->host = copy_text(c->host, &good);
    l->proxy_host = copy_text(c->proxy_host, &good);
    l->proxy_login = copy_text(c->proxy_login, &good);
    l->to = (struct channel_uv_target){
        .host = l->host,
        .port = c->port,
        .proxy_host = l->proxy_host,
        .proxy_port = c->proxy_port,
        .proxy_login = l->proxy_login,
        .buffers = &l->buffers,
    };
    if (!good) {
        (void)snprintf(why, TLS_WHY_MAX, "%s", err_text(ERR_NO_MEMORY));
        return ERR_NO_MEMORY;
    }
    struct tls_client_options tls = {.host = c->host, .pins = c->pins, .pin_count = c->pin_count};
    return c->tls ? tls_client_new(&tls, &l->to.tls, why) : 0;
}

int relay_link_new(const struct relay_link_options *options, struct relay_link_uv **out,
                   char why[TLS_WHY_MAX])
{
    struct relay_link_uv *l = mem_new(1, sizeof(*l));
    *out = NULL;
    if (!l) {
        (void)snprintf(why, TLS_WHY_MAX, "%s", err_text(ERR_NO_MEMORY));
        return ERR_NO_MEMORY;
    }
    l->o = *options;
    l->o.config = NULL;
    l->round_max = ROUND_BYTES;
    int err = copy_config(l, options->config, why);
    if (err) {
        relay_link_free(l);
        return err;
    }
    *out = l;
    return 0;
}

void relay_link_free(struct relay_link_uv *l)
{
    if (!l) {
        return;
    }
    relay_link_close(l);
    tls_context_free(l->to.tls);
    if (l->proxy_login) {
        sodium_memzero(l->proxy_login, strlen(l->proxy_login));
    }
    mem_free(l->proxy_login);
    mem_free(l->proxy_host);
    mem_free(l->host);
    mem_free(l);
}
