/* One client of a relay: its bytes to the server, and the server's to it. */
#include "loop/relay_uv_internal.h"

#include "os/sockaddr.h"
#include "os/tcp.h"

#include <base/mem.h>

#include <string.h>

enum {
    WRITE_BYTES = 32 << 10, /* to one client, or all it wants, before others have their turn */
    /* So much is forwarded before more fills the queues, and more if it is few packets. */
    CHUNK_BYTES = 16 << 10,
    CHUNK_PACKETS = 32,
    SPANS_MAX = 64,
    KEEP_ALIVE_S = 60,
};

static struct addr peer_of(const uv_tcp_t *tcp)
{
    struct sockaddr_storage ss = {0};
    int len = (int)sizeof(ss);
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&ss, &len)) {
        return (struct addr){0}; /* already gone: the first read will say so */
    }
    return sockaddr_decode(&ss, (socklen_t)len);
}

void relay_uv_client_on_closed(struct stream_uv *s)
{
    struct relay_uv_client *c = container_of(s, struct relay_uv_client, stream);
    struct relay_uv *r = c->relay;
    mem_free(c);
    if (r->draining && !r->stopping && relay_server_stats(r->server)->connections == 0) {
        relay_uv_stop(r, r->done, r->user);
    }
    relay_uv_handle_gone(r);
}

void relay_uv_client_drop(struct relay_uv_client *c, uint64_t now)
{
    if (stream_uv_is_closing(&c->stream)) {
        return;
    }
    relay_uv_turns_remove(c);
    relay_server_closed(c->relay->server, c->id, now);
    c->relay->clients[(uint32_t)c->id] = NULL;
    stream_uv_close(&c->stream, relay_uv_client_on_closed);
}

/* True if there was something and the socket took it. Not before its next turn if `total` is a
 * turn's worth. */
static bool write_some(struct relay_uv_client *c, size_t *total, uint64_t now)
{
    struct relay_span spans[SPANS_MAX];
    uv_buf_t bufs[SPANS_MAX];
    size_t n = relay_server_output(c->relay->server, c->id, spans, SPANS_MAX, now);
    if (n == 0) {
        return false;
    }
    if (*total >= WRITE_BYTES) {
        relay_uv_turns_add_writer(c);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        /* libuv's buffers have no const; it only reads from them here. */
        memcpy(&bufs[i].base, &spans[i].data, sizeof(bufs[i].base));
        bufs[i].len = spans[i].len;
    }
    ssize_t sent = stream_uv_write(&c->stream, bufs, (unsigned)n);
    if (sent < 0) {
        relay_uv_client_drop(c, now);
        return false;
    }
    relay_server_sent(c->relay->server, c->id, (size_t)sent, now);
    relay_uv_turns_wrote(c, (size_t)sent);
    *total += (size_t)sent;
    return !stream_uv_is_busy(&c->stream);
}

void relay_uv_client_flush(struct relay_uv_client *c, uint64_t now)
{
    size_t total = 0;
    if (stream_uv_is_closing(&c->stream) || stream_uv_is_busy(&c->stream) || c->writes) {
        return;
    }
    while (write_some(c, &total, now)) {
    }
}

static void on_sent(struct stream_uv *s, size_t len)
{
    struct relay_uv_client *c = container_of(s, struct relay_uv_client, stream);
    uint64_t now = uv_hrtime();
    relay_server_sent(c->relay->server, c->id, len, now);
    relay_uv_client_flush(c, now); /* WRITABLE is not told again before it has found nothing */
    relay_uv_run_events(c->relay, now);
}

static void on_data(struct stream_uv *s, const uint8_t *data, size_t len)
{
    struct relay_uv_client *c = container_of(s, struct relay_uv_client, stream);
    struct relay_uv *r = c->relay;
    uint64_t id = c->id; /* c may go with an event, its id then means nothing */
    uint64_t now = uv_hrtime();
    const struct relay_server_stats *stats = relay_server_stats(r->server);
    relay_uv_turns_heard(c);
    for (size_t at = 0; at < len;) {
        uint64_t packets = stats->packets_in;
        do {
            size_t part = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
            relay_server_input(r->server, id, data + at, part, now);
            at += part;
        } while (at < len && stats->packets_in - packets < CHUNK_PACKETS);
        relay_uv_run_events(r, now);
    }
}

static void on_end(struct stream_uv *s, int err, const char *why)
{
    struct relay_uv_client *c = container_of(s, struct relay_uv_client, stream);
    struct relay_uv *r = c->relay;
    uint64_t now = uv_hrtime();
    (void)err;
    if (why) {
        char text[ADDR_TEXT_MAX];
        struct addr from = peer_of(&s->tcp);
        LOG_AT(r->log, LOG_INFO, "relay_server", "tls_failed", "from=%s why=\"%s\"",
               addr_format(&from, text), why);
    }
    relay_uv_client_drop(c, now);
    relay_uv_run_events(r, now);
}

/* Nothing to do: it is the client that speaks first. */
static void on_ready(struct stream_uv *s)
{
    (void)s;
}

const struct stream_uv_callbacks relay_uv_client_callbacks = {
    .on_ready = on_ready, .on_data = on_data, .on_sent = on_sent, .on_end = on_end};

void relay_uv_client_event(struct relay_uv_client *c, const struct relay_server_event *ev,
                           uint64_t now)
{
    switch (ev->type) {
    case RELAY_SERVER_EV_WRITABLE:
        relay_uv_client_flush(c, now);
        break;
    case RELAY_SERVER_EV_FINISH:
        stream_uv_finish(&c->stream);
        break;
    case RELAY_SERVER_EV_CLOSE:
        relay_uv_client_drop(c, now);
        break;
    case RELAY_SERVER_EV_PAUSE:
        stream_uv_read_stop(&c->stream);
        break;
    case RELAY_SERVER_EV_RESUME:
        if (stream_uv_read_start(&c->stream)) {
            relay_uv_client_drop(c, now);
        }
        break;
    }
}

int relay_uv_client_admit(struct relay_uv *r, struct relay_uv_client *c, bool tls, uint64_t now)
{
    struct addr from = peer_of(&c->stream.tcp);
    int err = relay_server_accept(r->server, &from, now, &c->id);
    if (err) {
        return err;
    }
    r->clients[(uint32_t)c->id] = c;
    /* Neither is vital, and a socket that is gone already refuses both. */
    (void)uv_tcp_nodelay(&c->stream.tcp, 1);
    (void)uv_tcp_keepalive(&c->stream.tcp, 1, KEEP_ALIVE_S);
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&c->stream.tcp, &fd) == 0) {
        tcp_set_user_timeout(fd, r->user_timeout_ms);
    }
    err = tls ? stream_uv_secure(&c->stream, r->tls) : 0;
    err = err ? err : stream_uv_read_start(&c->stream);
    if (err) {
        relay_server_closed(r->server, c->id, now);
        r->clients[(uint32_t)c->id] = NULL;
    }
    return err;
}
