/* Where a relay listens, and what it takes in there. */
#include "loop/relay_uv_internal.h"

#include "loop/bindflags.h"
#include "os/sockaddr.h"

#include <base/err.h>
#include <base/mem.h>

enum { BACKLOG = 512 };

static void refuse_connection(struct relay_uv_listener *l);

static void on_refused_closed(struct stream_uv *s)
{
    struct relay_uv_client *c = container_of(s, struct relay_uv_client, stream);
    struct relay_uv *r = c->relay;
    r->refusing = false;
    for (size_t i = 0; i < r->listeners_count && !r->draining && !r->stopping; i++) {
        if (r->listeners[i].waiting && !r->refusing) {
            refuse_connection(&r->listeners[i]);
        }
    }
    relay_uv_handle_gone(r);
}

/* libuv listens no more until what came in is accepted, so it is, and closed at once. */
static void refuse_connection(struct relay_uv_listener *l)
{
    struct relay_uv *r = l->relay;
    struct relay_uv_client *c = &r->refused;
    l->waiting =
        r->refusing || stream_uv_init(&c->stream, r->loop, &r->buffers, &relay_uv_client_callbacks);
    if (l->waiting) {
        return;
    }
    r->refusing = true;
    r->handles++;
    c->relay = r;
    (void)uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)&c->stream.tcp);
    stream_uv_close(&c->stream, on_refused_closed);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct relay_uv_listener *l = container_of(stream, struct relay_uv_listener, tcp);
    struct relay_uv *r = l->relay;
    uint64_t now = uv_hrtime();
    if (status < 0) {
        return; /* out of descriptors, most likely: libuv goes on listening */
    }
    struct relay_uv_client *c = mem_new(1, sizeof(*c));
    if (!c || stream_uv_init(&c->stream, r->loop, &r->buffers, &relay_uv_client_callbacks)) {
        mem_free(c);
        refuse_connection(l);
        return;
    }
    c->relay = r;
    r->handles++;
    if (uv_accept(stream, (uv_stream_t *)&c->stream.tcp) ||
        relay_uv_client_admit(r, c, l->tls, now)) {
        stream_uv_close(&c->stream, relay_uv_client_on_closed);
    }
    relay_uv_run_events(r, now);
}

static int listen_on(struct relay_uv *r, const struct addr *where, bool tls, unsigned flags)
{
    struct relay_uv_listener *l = &r->listeners[r->listeners_count];
    struct sockaddr_storage ss;
    (void)sockaddr_encode(&ss, where, AF_UNSPEC);
    int err = uv_tcp_init(r->loop, &l->tcp);
    if (err) {
        return err;
    }
    l->relay = r;
    l->tls = tls;
    l->tcp.data = r;
    r->listeners_count++;
    r->handles++;
    err = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&ss, flags);
    err = err ? err : uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    if (err) {
        char text[ADDR_TEXT_MAX];
        LOG_AT(r->log, LOG_ERROR, "relay", "cannot_listen", "address=%s error=%s",
               addr_format(where, text), uv_strerror(err));
    }
    return err;
}

int relay_uv_listen(struct relay_uv *r, const struct relay_uv_config *config)
{
    int err = 0;
    for (size_t i = 0; i < config->listen_count && !err; i++) {
        const struct addr *at = &config->listen[i];
        err = listen_on(r, at, false, bindflags_of(config, at));
    }
    for (size_t i = 0; i < config->listen_tls_count && !err; i++) {
        const struct addr *at = &config->listen_tls[i];
        err = listen_on(r, at, true, bindflags_of(config, at));
    }
    return err;
}

int relay_uv_address(const struct relay_uv *r, size_t i, struct addr *out)
{
    struct sockaddr_storage ss = {0};
    int len = (int)sizeof(ss);
    if (i >= r->listeners_count) {
        return ERR_NOT_FOUND;
    }
    int err = uv_tcp_getsockname(&r->listeners[i].tcp, (struct sockaddr *)&ss, &len);
    if (!err) {
        *out = sockaddr_decode(&ss, (socklen_t)len);
    }
    return err;
}

void relay_uv_listen_close(struct relay_uv *r)
{
    for (size_t i = 0; i < r->listeners_count; i++) {
        uv_handle_t *handle = (uv_handle_t *)&r->listeners[i].tcp;
        if (!uv_is_closing(handle)) {
            uv_close(handle, relay_uv_on_part_closed);
        }
    }
}
