#include "loop/relay_uv.h"

#include "loop/bindflags.h"
#include "loop/stream_uv.h"
#include "os/sockaddr.h"
#include "os/sysclock.h"
#include "os/tcp.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/heap.h>
#include <base/mem.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <sys/queue.h>

enum {
    READ_BYTES = 16 << 10,  /* of one client, before the others have their turn */
    CHUNK_BYTES = 16 << 10, /* forwarded before more fills the queues: TLS may hold back some */
    SPANS_MAX = 64,
    BACKLOG = 512,
    KEEP_ALIVE_S = 60,
    USER_TIMEOUT_S = 15, /* unacknowledged for so long, or for a write stall: the client is gone */
    USER_TIMEOUT_MAX_S = 86400,
};

/* What clients are told when the relay ends: how long it is worth trying. */
#define TRY_FOR_NS (60 * NS_PER_S)

struct client {
    struct relay_uv *relay;
    uint64_t id;
    struct stream_uv stream;
};

struct listener {
    struct relay_uv *relay;
    uv_tcp_t tcp;
    bool tls;
    bool waiting; /* a connection came when there was no memory to take it */
};

struct relay_uv {
    uv_loop_t *loop;
    struct relay_server *server;
    struct tls_context *tls; /* borrowed; NULL if there is no TLS */
    const struct log *log;
    struct client **clients; /* by slot */
    struct listener listeners[RELAY_UV_LISTEN_MAX];
    size_t listeners_count;
    uv_timer_t timer;
    uint64_t timer_at;
    unsigned user_timeout_ms;
    uv_prepare_t prepare; /* counts the rounds */
    uv_timer_t drain;
    struct client refused; /* takes, and closes, what finds no memory */
    bool refusing;
    size_t handles; /* not closed yet */
    bool draining;
    bool stopping;
    void (*done)(void *user);
    void *user;
    struct stream_uv_buffers buffers;
    struct cluster_nats *cluster; /* NULL = none */
    struct relay_cluster_io_stats cluster_stats;
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

/* The last handle to close while stopping ends it all. */
static void handle_gone(struct relay_uv *r)
{
    CHECK(r->handles > 0);
    r->handles--;
    if (r->handles == 0 && r->stopping) {
        finish(r);
    }
}

static void on_client_closed(struct stream_uv *s)
{
    struct client *c = container_of(s, struct client, stream);
    struct relay_uv *r = c->relay;
    mem_free(c);
    if (r->draining && !r->stopping && relay_server_stats(r->server)->connections == 0) {
        relay_uv_stop(r, r->done, r->user);
    }
    handle_gone(r);
}

static void on_part_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

/* The server has forgotten it already or is told here; the memory goes with the handle. */
static void drop_client(struct client *c, uint64_t now)
{
    if (stream_uv_is_closing(&c->stream)) {
        return;
    }
    relay_server_closed(c->relay->server, c->id, now);
    c->relay->clients[(uint32_t)c->id] = NULL;
    stream_uv_close(&c->stream, on_client_closed);
}

static void run_events(struct relay_uv *r, uint64_t now);

static void flush(struct client *c, uint64_t now)
{
    struct relay_span spans[SPANS_MAX];
    uv_buf_t bufs[SPANS_MAX];
    size_t n;
    while (!stream_uv_is_closing(&c->stream) && !stream_uv_is_busy(&c->stream) &&
           (n = relay_server_output(c->relay->server, c->id, spans, SPANS_MAX, now)) > 0) {
        for (size_t i = 0; i < n; i++) {
            /* libuv's buffers have no const; it only reads from them here. */
            memcpy(&bufs[i].base, &spans[i].data, sizeof(bufs[i].base));
            bufs[i].len = spans[i].len;
        }
        ssize_t sent = stream_uv_write(&c->stream, bufs, (unsigned)n);
        if (sent >= 0) {
            relay_server_sent(c->relay->server, c->id, (size_t)sent, now);
        } else {
            drop_client(c, now);
        }
    }
}

static void on_sent(struct stream_uv *s, size_t len)
{
    struct client *c = container_of(s, struct client, stream);
    uint64_t now = uv_hrtime();
    relay_server_sent(c->relay->server, c->id, len, now);
    flush(c, now); /* WRITABLE is not told again before it has found nothing */
    run_events(c->relay, now);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct relay_uv *r = prepare->data;
    r->buffers.round++;
}

static void on_data(struct stream_uv *s, const uint8_t *data, size_t len)
{
    struct client *c = container_of(s, struct client, stream);
    struct relay_uv *r = c->relay;
    uint64_t id = c->id; /* c may go with an event, its id then means nothing */
    uint64_t now = uv_hrtime();
    for (size_t at = 0; at < len; at += CHUNK_BYTES) {
        size_t part = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
        relay_server_input(r->server, id, data + at, part, now);
        run_events(r, now);
    }
}

static void on_end(struct stream_uv *s, int err, const char *why)
{
    struct client *c = container_of(s, struct client, stream);
    struct relay_uv *r = c->relay;
    uint64_t now = uv_hrtime();
    (void)err;
    if (why) {
        char text[ADDR_TEXT_MAX];
        struct addr from = peer_of(&s->tcp);
        LOG_AT(r->log, LOG_INFO, "relay_server", "tls_failed", "from=%s why=\"%s\"",
               addr_format(&from, text), why);
    }
    drop_client(c, now);
    run_events(r, now);
}

/* Nothing to do: it is the client that speaks first. */
static void on_ready(struct stream_uv *s)
{
    (void)s;
}

static const struct stream_uv_callbacks callbacks = {
    .on_ready = on_ready, .on_data = on_data, .on_sent = on_sent, .on_end = on_end};

static void take_event(struct client *c, const struct relay_server_event *ev, uint64_t now)
{
    switch (ev->type) {
    case RELAY_SERVER_EV_WRITABLE:
        flush(c, now);
        break;
    case RELAY_SERVER_EV_CLOSE:
        drop_client(c, now);
        break;
    case RELAY_SERVER_EV_PAUSE:
        stream_uv_read_stop(&c->stream);
        break;
    case RELAY_SERVER_EV_RESUME:
        if (stream_uv_read_start(&c->stream)) {
            drop_client(c, now);
        }
        break;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct relay_uv *r = timer->data;
    uint64_t now = uv_hrtime();
    r->timer_at = TIME_NEVER;
    relay_server_tick(r->server, now);
    run_events(r, now);
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

/* --- the cluster --- */

/* Hands over what the others shall hear. */
static void tell_cluster(struct relay_uv *r, uint64_t now)
{
    struct relay_cluster_output out;
    while (r->cluster && relay_server_cluster_output(r->server, &out, now)) {
        cluster_nats_do(r->cluster, &out);
    }
}

static void on_cluster_link(void *user, bool up)
{
    struct relay_uv *r = user;
    relay_server_cluster_link(r->server, up, uv_hrtime());
}

static void on_cluster_message(void *user, const uint8_t *data, size_t len)
{
    struct relay_uv *r = user;
    relay_server_cluster_input(r->server, data, len, uv_hrtime());
}

static void on_cluster_nobody(void *user, const uint8_t key[32])
{
    struct relay_uv *r = user;
    relay_server_cluster_nobody(r->server, key, uv_hrtime());
}

static void on_cluster_turn_end(void *user)
{
    run_events(user, uv_hrtime());
}

static void on_cluster_stopped(void *user)
{
    handle_gone(user);
}

static int join_cluster(struct relay_uv *r, const struct cluster_nats_config *config)
{
    static const struct cluster_nats_callbacks hears = {.on_link = on_cluster_link,
                                                        .on_message = on_cluster_message,
                                                        .on_nobody = on_cluster_nobody,
                                                        .on_turn_end = on_cluster_turn_end};
    struct cluster_nats_config c = *config;
    c.process = relay_server_cluster_id(r->server);
    c.stats = &r->cluster_stats;
    c.log = r->log;
    int err = cluster_nats_start(r->loop, &c, &hears, r, &r->cluster);
    r->handles += err == 0;
    return err;
}

static void leave_cluster(struct relay_uv *r, uint64_t now)
{
    if (r->cluster) {
        relay_server_cluster_bye(r->server);
        tell_cluster(r, now);
        cluster_nats_stop(r->cluster, on_cluster_stopped, r);
        r->cluster = NULL;
    }
}

static void run_events(struct relay_uv *r, uint64_t now)
{
    struct relay_server_event ev;
    while (relay_server_event(r->server, &ev)) {
        struct client *c = r->clients[(uint32_t)ev.id];
        if (c && c->id == ev.id) {
            take_event(c, &ev, now);
        }
    }
    tell_cluster(r, now);
    set_timer(r, now);
}

/* Registers the accepted connection with the server; on failure the caller closes it. */
static int admit(struct relay_uv *r, struct client *c, bool tls, uint64_t now)
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

static void refuse_connection(struct listener *l);

static void on_refused_closed(struct stream_uv *s)
{
    struct client *c = container_of(s, struct client, stream);
    struct relay_uv *r = c->relay;
    r->refusing = false;
    for (size_t i = 0; i < r->listeners_count && !r->draining && !r->stopping; i++) {
        if (r->listeners[i].waiting && !r->refusing) {
            refuse_connection(&r->listeners[i]);
        }
    }
    handle_gone(r);
}

/* libuv listens no more until what came in is accepted, so it is, and closed at once. */
static void refuse_connection(struct listener *l)
{
    struct relay_uv *r = l->relay;
    struct client *c = &r->refused;
    l->waiting = r->refusing || stream_uv_init(&c->stream, r->loop, &r->buffers, &callbacks);
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
    struct listener *l = container_of(stream, struct listener, tcp);
    struct relay_uv *r = l->relay;
    uint64_t now = uv_hrtime();
    if (status < 0) {
        return; /* out of descriptors, most likely: libuv goes on listening */
    }
    struct client *c = mem_new(1, sizeof(*c));
    if (!c || stream_uv_init(&c->stream, r->loop, &r->buffers, &callbacks)) {
        mem_free(c);
        refuse_connection(l);
        return;
    }
    c->relay = r;
    r->handles++;
    if (uv_accept(stream, (uv_stream_t *)&c->stream.tcp) || admit(r, c, l->tls, now)) {
        stream_uv_close(&c->stream, on_client_closed);
    }
    run_events(r, now);
}

static int listen_on(struct relay_uv *r, const struct addr *where, bool tls, unsigned flags)
{
    struct listener *l = &r->listeners[r->listeners_count];
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
    r->prepare.data = r;
    r->buffers.round = 1;
    r->buffers.read_max = READ_BYTES;
    /* None of these can fail, says libuv. */
    CHECK(uv_timer_init(loop, &r->timer) == 0 && uv_timer_init(loop, &r->drain) == 0);
    CHECK(uv_prepare_init(loop, &r->prepare) == 0);
    CHECK(uv_prepare_start(&r->prepare, on_prepare) == 0);
    r->handles = 3;
    int err = make_server(r, config);
    if (!err) {
        r->clients = mem_new(relay_server_slots(r->server), sizeof(struct client *));
        err = r->clients ? 0 : ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < config->listen_count && !err; i++) {
        const struct addr *at = &config->listen[i];
        err = listen_on(r, at, false, bindflags_of(config, at));
    }
    for (size_t i = 0; i < config->listen_tls_count && !err; i++) {
        const struct addr *at = &config->listen_tls[i];
        err = listen_on(r, at, true, bindflags_of(config, at));
    }
    if (!err && config->cluster) {
        err = join_cluster(r, config->cluster);
    }
    if (err) {
        relay_uv_stop(r, NULL, NULL);
        return err;
    }
    *out = r;
    return 0;
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

const struct relay_server_stats *relay_uv_stats(const struct relay_uv *r)
{
    return relay_server_stats(r->server);
}

int relay_uv_reload(struct relay_uv *r, const struct relay_server_config *config)
{
    uint64_t now = uv_hrtime();
    int err = relay_server_reload(r->server, config, now);
    r->user_timeout_ms = err ? r->user_timeout_ms : user_timeout_ms(&config->limits);
    run_events(r, now);
    return err;
}

static void close_listeners(struct relay_uv *r)
{
    for (size_t i = 0; i < r->listeners_count; i++) {
        uv_handle_t *handle = (uv_handle_t *)&r->listeners[i].tcp;
        if (!uv_is_closing(handle)) {
            uv_close(handle, on_part_closed);
        }
    }
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
    close_listeners(r);
    relay_server_drain(r->server, wait_ns, TRY_FOR_NS, now);
    run_events(r, now);
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
    close_listeners(r);
    for (size_t i = 0; r->clients && i < relay_server_slots(r->server); i++) {
        if (r->clients[i]) {
            drop_client(r->clients[i], now);
            tell_cluster(r, now);
        }
    }
    leave_cluster(r, now);
    uv_close((uv_handle_t *)&r->timer, on_part_closed);
    uv_close((uv_handle_t *)&r->drain, on_part_closed);
    uv_close((uv_handle_t *)&r->prepare, on_part_closed);
}
