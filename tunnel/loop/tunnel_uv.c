/* The seam (include/adit/adit.h) over a node, one UDP socket and its relays' TCP connections.
 *
 * One round: whatever woke the loop gives bytes to the node; then, before the loop sleeps again,
 * pump() hands out events, sends what the node has, and sets one timer. Calls of the program only
 * mark that there is work, so that many of them share one round of sending.
 */
#include <adit/adit.h>

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define uthash_malloc(size) mem_new(1, size)
#define uthash_free(p, size) mem_free(p)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <uv.h>

#include "loop/relay_link_uv.h"
#include "loop/resolve_uv.h"
#include "loop/udp_uv.h"
#include "os/sysclock.h"
#include "os/sysrng.h"
#include <adit/file.h>

enum {
    HOST_MAX = 256,
    PATH_MAX_LEN = 1024,
    OUTPUT_ROUNDS = 64, /* batches sent before the loop looks at its sockets again */
};

/* What the program hung on a stream. */
struct stream_user {
    uint64_t stream;
    void *user;
    UT_hash_handle hh;
};

/* A configured endpoint whose name is looked up at each handshake. */
struct endpoint_lookup {
    struct adit *adit;
    size_t peer, endpoint;
    char host[HOST_MAX];
    uint16_t port;
    struct resolve_uv *resolve;
};

struct relay_entry {
    char *name;
    char *host;
    char *host_header;
    char *path;
    uint16_t port;
    struct relay_link_uv *link;
};

struct adit {
    uv_loop_t *loop;
    struct node *node;
    struct udp_uv *udp;
    uv_prepare_t prepare;
    uv_timer_t timer;
    const struct log *log;
    void (*handler)(void *user, const struct adit_event *ev);
    void *user;
    void (*stopped)(void *user);
    void *stopped_user;
    int open_handles;
    bool work; /* the node may have events or output */
    bool stopping;
    bool pumping;

    struct node_batch blocked; /* len 0 = none: a batch that the socket did not take yet */
    struct stream_user *streams;
    struct relay_entry relays[NODE_RELAYS_MAX];
    size_t relay_count;
    char **peer_names;
    size_t peer_count;
    struct endpoint_lookup *lookups; /* NODE_ENDPOINTS_MAX for each peer */

    char state_file[PATH_MAX_LEN]; /* empty = none */
    uint64_t stored_timestamp;
    uint64_t unsent;
};

static void pump(struct adit *a);

/* --- streams and what hangs on them --- */

static struct stream_user *find_stream(struct adit *a, uint64_t stream)
{
    struct stream_user *s;
    HASH_FIND(hh, a->streams, &stream, sizeof(stream), s);
    return s;
}

static bool add_stream(struct adit *a, uint64_t stream, void *user)
{
    struct stream_user *s = mem_new(1, sizeof(*s));
    if (!s) {
        return false;
    }
    s->stream = stream;
    s->user = user;
    HASH_ADD(hh, a->streams, stream, sizeof(stream), s);
    if (!s->hh.tbl) { /* no memory for the table */
        mem_free(s);
        return false;
    }
    return true;
}

static void drop_stream(struct adit *a, struct stream_user *s)
{
    HASH_DEL(a->streams, s);
    mem_free(s);
}

/* --- events --- */

static void stream_event(struct adit *a, const struct node_event *in, enum adit_event_type type)
{
    struct stream_user *s = find_stream(a, in->stream);
    if (type == ADIT_EVENT_OPENED && !s) {
        if (!add_stream(a, in->stream, NULL)) {
            (void)node_stream_abort(a->node, in->stream, CAUSE_LIMIT);
            return;
        }
        s = find_stream(a, in->stream);
    }
    if (!s) {
        return; /* the program has abandoned it */
    }
    struct adit_event ev = {.type = type,
                            .stream = in->stream,
                            .user = s->user,
                            .peer = in->peer,
                            .cause = in->cause,
                            .data = in->data,
                            .len = in->len};
    if (type == ADIT_EVENT_RESET || type == ADIT_EVENT_GONE) {
        drop_stream(a, s);
    }
    a->handler(a->user, &ev);
}

static void on_resolved(void *user, int status, const struct addr *addrs, size_t count)
{
    struct endpoint_lookup *l = user;
    l->resolve = NULL;
    if (status != 0) {
        LOG_AT(l->adit->log, LOG_INFO, "peer", "not_resolved", "endpoint=%s why=\"%s\"", l->host,
               uv_strerror(status));
    }
    node_resolved(l->adit->node, l->peer, l->endpoint, addrs, count, sys_now_ns());
    l->adit->work = true;
}

static void resolve(struct adit *a, size_t peer, size_t endpoint)
{
    struct endpoint_lookup *l = &a->lookups[peer * NODE_ENDPOINTS_MAX + endpoint];
    if (!l->resolve) {
        (void)resolve_uv_start(a->loop, l->host, l->port, on_resolved, l, &l->resolve);
    }
}

static void dispatch(struct adit *a, const struct node_event *ev)
{
    switch (ev->type) {
    case NODE_EVENT_STREAM_OPENED:
        stream_event(a, ev, ADIT_EVENT_OPENED);
        break;
    case NODE_EVENT_STREAM_ACCEPTED:
        stream_event(a, ev, ADIT_EVENT_ACCEPTED);
        break;
    case NODE_EVENT_STREAM_READABLE:
        stream_event(a, ev, ADIT_EVENT_READABLE);
        break;
    case NODE_EVENT_STREAM_WRITABLE:
        stream_event(a, ev, ADIT_EVENT_WRITABLE);
        break;
    case NODE_EVENT_STREAM_RESET:
        stream_event(a, ev, ADIT_EVENT_RESET);
        break;
    case NODE_EVENT_STREAM_GONE:
        stream_event(a, ev, ADIT_EVENT_GONE);
        break;
    case NODE_EVENT_PEER:
        a->handler(a->user, &(struct adit_event){.type = ADIT_EVENT_PEER, .peer = ev->peer});
        break;
    case NODE_EVENT_RELAY_CONNECT:
        relay_link_connect(a->relays[ev->relay].link);
        break;
    case NODE_EVENT_RELAY_CLOSE:
        relay_link_close(a->relays[ev->relay].link);
        break;
    case NODE_EVENT_RESOLVE:
        resolve(a, ev->peer, ev->endpoint);
        break;
    }
}

/* --- sending --- */

/* The timestamp that may be used next has to be on disk before a message with it goes out. */
static void store_timestamp(struct adit *a)
{
    uint64_t timestamp = node_timestamp(a->node);
    if (timestamp == a->stored_timestamp) {
        return;
    }
    a->stored_timestamp = timestamp;
    if (a->state_file[0] == '\0') {
        return;
    }
    char text[32];
    int len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)timestamp);
    int err = file_write_atomic(a->state_file, text, (size_t)len, 0600);
    if (err != 0) {
        LOG_AT(a->log, LOG_WARN, "node", "state_not_stored", "file=%s why=\"%s\"", a->state_file,
               strerror(-err));
    }
}

/* False if the socket is full: the rest waits in a->blocked until it is writable. */
static bool send_batch(struct adit *a, struct node_batch *b)
{
    while (b->len > 0) {
        size_t sent = 0;
        int err = udp_uv_send(a->udp, &b->to, b->data, b->len, b->segment, &sent);
        if (err == 0) {
            b->len = 0;
            break;
        }
        b->data += sent;
        b->len -= sent;
        if (err == -UV_EAGAIN || err == UV_EAGAIN) {
            a->blocked = *b;
            return false;
        }
        /* The network or a firewall did not want this one; the transport will see a loss. */
        size_t lost = b->len < b->segment ? b->len : b->segment;
        b->data += lost;
        b->len -= lost;
        a->unsent++;
    }
    a->blocked.len = 0;
    return true;
}

static void send_output(struct adit *a, uint64_t now)
{
    if (a->blocked.len > 0) {
        return;
    }
    struct node_batch batch;
    for (int i = 0; i < OUTPUT_ROUNDS; i++) {
        if (!node_output(a->node, &batch, now)) {
            return;
        }
        if (!send_batch(a, &batch)) {
            return;
        }
    }
    a->work = true; /* there may be more: after the sockets had their turn */
}

static void set_timer(struct adit *a, uint64_t now);

static void on_timer(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    node_tick(a->node, sys_now_ns());
    a->work = true;
}

static void set_timer(struct adit *a, uint64_t now)
{
    uint64_t next = a->work ? now : node_next_ns(a->node);
    if (next == TIME_NEVER) {
        (void)uv_timer_stop(&a->timer);
        return;
    }
    uint64_t wait_ms = (time_since(now, next) + NS_PER_MS - 1) / NS_PER_MS;
    uv_update_time(a->loop);
    (void)uv_timer_start(&a->timer, on_timer, wait_ms, 0);
}

static void pump(struct adit *a)
{
    if (a->pumping) {
        return;
    }
    a->pumping = true;
    uint64_t now = sys_now_ns();
    a->work = false;
    struct node_event ev;
    while (node_event(a->node, &ev, now)) {
        if (!a->stopping) {
            dispatch(a, &ev);
        }
    }
    store_timestamp(a);
    send_output(a, now);
    for (size_t i = 0; i < a->relay_count; i++) {
        relay_link_flush(a->relays[i].link);
    }
    set_timer(a, now);
    a->pumping = false;
}

/* --- callbacks of the loop --- */

static void on_prepare(uv_prepare_t *prepare)
{
    struct adit *a = prepare->data;
    if (a->work) {
        pump(a);
    }
}

static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    struct adit *a = user;
    struct udp_datagram d;
    while (udp_batch_next(batch, &d)) {
        node_input(a->node, &d.from, d.data, d.len, now);
    }
    pump(a);
}

static void on_writable(void *user, uint64_t now)
{
    struct adit *a = user;
    (void)now;
    struct node_batch rest = a->blocked;
    a->blocked.len = 0;
    if (send_batch(a, &rest)) {
        pump(a);
    }
}

static void on_udp_error(void *user, int err, uint64_t now)
{
    struct adit *a = user;
    (void)now;
    LOG_AT(a->log, LOG_ERROR, "udp", "socket_lost", "why=\"%s\"", strerror(-err));
}

static void on_activity(void *user)
{
    struct adit *a = user;
    a->work = true;
}

/* --- start --- */

static char *host_header(const struct adit_relay_config *c)
{
    char text[HOST_MAX + 16];
    bool v6 = strchr(c->host, ':') != NULL;
    (void)snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", c->host, (unsigned)c->port);
    return mem_text(text);
}

static int copy_relays(struct adit *a, const struct adit_config *c,
                       struct node_relay_config *relays)
{
    for (size_t i = 0; i < c->relay_count; i++) {
        struct relay_entry *r = &a->relays[i];
        const struct adit_relay_config *from = &c->relays[i];
        *r = (struct relay_entry){.name = mem_text(from->name),
                                  .host = mem_text(from->host),
                                  .host_header = host_header(from),
                                  .path = mem_text(from->path ? from->path : "/derp"),
                                  .port = from->port};
        a->relay_count++;
        if (!r->name || !r->host || !r->host_header || !r->path) {
            return ERR_NO_MEMORY;
        }
        relays[i] = (struct node_relay_config){
            .name = r->name, .host_header = r->host_header, .path = r->path, .home = from->home};
    }
    return 0;
}

/* "HOST:PORT", "[IPV6]:PORT"; the configuration has been checked before. */
static int split_endpoint(struct endpoint_lookup *l, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    if (len >= 2 && text[0] == '[') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(l->host) || port == 0 || port > UINT16_MAX) {
        return ERR_MALFORMED;
    }
    memcpy(l->host, text, len);
    l->port = (uint16_t)port;
    return 0;
}

static int copy_peer(struct adit *a, size_t i, const struct adit_peer_config *from,
                     struct node_peer_config *to)
{
    a->peer_names[i] = mem_text(from->name);
    a->peer_count++;
    if (!a->peer_names[i]) {
        return ERR_NO_MEMORY;
    }
    *to = (struct node_peer_config){.name = a->peer_names[i],
                                    .endpoint_count = from->endpoint_count,
                                    .relays = from->relays,
                                    .relay_count = from->relay_count};
    memcpy(to->key, from->key, sizeof(to->key));
    memcpy(to->psk, from->psk, sizeof(to->psk));
    if (from->endpoint_count > NODE_ENDPOINTS_MAX) {
        return ERR_NO_ROOM;
    }
    for (size_t k = 0; k < from->endpoint_count; k++) {
        struct endpoint_lookup *l = &a->lookups[i * NODE_ENDPOINTS_MAX + k];
        *l = (struct endpoint_lookup){.adit = a, .peer = i, .endpoint = k};
        int err = split_endpoint(l, from->endpoints[k]);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static void load_timestamp(struct adit *a, const struct adit_config *c)
{
    uint8_t public[ADIT_KEY_LEN];
    char key[ADIT_KEY_TEXT_MAX];
    if (!c->state_dir || adit_key_public(public, c->secret) != 0) {
        return;
    }
    (void)file_make_dirs(c->state_dir, 0700);
    (void)snprintf(a->state_file, sizeof(a->state_file), "%s/timestamp.%.8s", c->state_dir,
                   adit_key_format(public, key));
    char *text;
    size_t len;
    if (file_read_all(a->state_file, 64, &text, &len) == 0) {
        a->stored_timestamp = strtoull(text, NULL, 10);
        mem_free(text);
    }
}

static struct conn_limits limits_of(const struct adit_config *c)
{
    struct conn_limits limits = conn_limits_default();
    if (c->session_window_max != 0) {
        limits.session_window_max = c->session_window_max;
        limits.session_window = limits.session_window < c->session_window_max
                                    ? limits.session_window
                                    : c->session_window_max;
    }
    if (c->stream_window_max != 0) {
        limits.stream_window_max = c->stream_window_max;
        limits.stream_window = limits.stream_window < c->stream_window_max ? limits.stream_window
                                                                           : c->stream_window_max;
    }
    limits.streams_max = c->streams_max != 0 ? c->streams_max : limits.streams_max;
    return limits;
}

static int make_node(struct adit *a, const struct adit_config *c)
{
    struct node_relay_config relays[NODE_RELAYS_MAX];
    struct node_peer_config *peers = mem_new(c->peer_count + 1, sizeof(*peers));
    a->peer_names = mem_new(c->peer_count + 1, sizeof(*a->peer_names));
    a->lookups = mem_new(c->peer_count * NODE_ENDPOINTS_MAX + 1, sizeof(*a->lookups));
    int err = peers && a->peer_names && a->lookups ? 0 : ERR_NO_MEMORY;
    if (err == 0 && c->relay_count > NODE_RELAYS_MAX) {
        err = ERR_NO_ROOM;
    }
    if (err == 0) {
        err = copy_relays(a, c, relays);
    }
    for (size_t i = 0; err == 0 && i < c->peer_count; i++) {
        err = copy_peer(a, i, &c->peers[i], &peers[i]);
    }
    if (err == 0) {
        load_timestamp(a, c);
        struct node_config config = {.limits = limits_of(c),
                                     .resume_timeout_ns = c->resume_timeout_ns,
                                     .unix_ns = sys_unix_ns(),
                                     .timestamp = a->stored_timestamp,
                                     .relays = relays,
                                     .relay_count = c->relay_count,
                                     .peers = peers,
                                     .peer_count = c->peer_count,
                                     .rng = sys_rng(),
                                     .log = c->log};
        memcpy(config.secret, c->secret, sizeof(config.secret));
        err = node_new(&config, sys_now_ns(), &a->node);
        adit_key_wipe(config.secret, sizeof(config.secret));
    }
    mem_free(peers);
    return err;
}

static int open_links(struct adit *a)
{
    for (size_t i = 0; i < a->relay_count; i++) {
        struct relay_link_options options = {.loop = a->loop,
                                             .node = a->node,
                                             .relay = i,
                                             .host = a->relays[i].host,
                                             .port = a->relays[i].port,
                                             .on_activity = on_activity,
                                             .user = a};
        a->relays[i].link = relay_link_new(&options);
        if (!a->relays[i].link) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

static int open_socket(struct adit *a, const struct adit_config *c)
{
    static const struct udp_uv_callbacks callbacks = {
        .on_batch = on_batch, .on_writable = on_writable, .on_error = on_udp_error};
    struct udp_options options = {.bind = &c->listen, .offload = c->offload};
    int err = udp_uv_open(a->loop, &options, NULL, &callbacks, a, &a->udp);
    char text[ADDR_TEXT_MAX];
    if (err != 0) {
        LOG_AT(a->log, LOG_ERROR, "udp", "not_bound", "listen=%s why=\"%s\"",
               addr_format(&c->listen, text), uv_strerror(err));
        return err;
    }
    const struct udp_socket *s = udp_uv_socket(a->udp);
    LOG_AT(a->log, LOG_INFO, "udp", "bound", "rcvbuf=%d sndbuf=%d offload=%d", s->rcvbuf, s->sndbuf,
           s->offload);
    if (s->rcvbuf < UDP_BUFFER_BYTES) {
        LOG_AT(a->log, LOG_INFO, "udp", "small_buffers",
               "hint=\"raise net.core.rmem_max and wmem_max to %d for full speed\"",
               UDP_BUFFER_BYTES);
    }
    return 0;
}

static void free_all(struct adit *a)
{
    struct stream_user *s, *next;
    HASH_ITER (hh, a->streams, s, next) {
        drop_stream(a, s);
    }
    node_free(a->node);
    for (size_t i = 0; i < a->relay_count; i++) {
        mem_free(a->relays[i].name);
        mem_free(a->relays[i].host);
        mem_free(a->relays[i].host_header);
        mem_free(a->relays[i].path);
    }
    for (size_t i = 0; i < a->peer_count; i++) {
        mem_free(a->peer_names[i]);
    }
    mem_free(a->peer_names);
    mem_free(a->lookups);
    mem_free(a);
}

static void tell_literals(struct adit *a, const struct adit_config *c)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        for (size_t k = 0; k < c->peers[i].endpoint_count; k++) {
            struct addr addr;
            if (addr_parse(&addr, c->peers[i].endpoints[k]) == 0) {
                node_resolved(a->node, i, k, &addr, 1, sys_now_ns());
            }
        }
    }
}

int adit_start(struct uv_loop_s *loop, const struct adit_config *config,
               void (*handler)(void *user, const struct adit_event *ev), void *user,
               struct adit **out)
{
    struct adit *a = mem_new(1, sizeof(*a));
    if (!a) {
        return ERR_NO_MEMORY;
    }
    a->loop = loop;
    a->log = config->log;
    a->handler = handler;
    a->user = user;
    int err = make_node(a, config);
    if (err == 0) {
        err = open_links(a);
    }
    if (err == 0) {
        err = open_socket(a, config);
    }
    if (err != 0) {
        for (size_t i = 0; i < a->relay_count; i++) {
            relay_link_free(a->relays[i].link);
        }
        free_all(a);
        return err;
    }
    (void)uv_prepare_init(loop, &a->prepare);
    (void)uv_timer_init(loop, &a->timer);
    a->prepare.data = a->timer.data = a;
    (void)uv_prepare_start(&a->prepare, on_prepare);
    a->open_handles = 2;
    tell_literals(a, config);
    node_start(a->node, sys_now_ns());
    a->work = true;
    *out = a;
    return 0;
}

/* --- stop --- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct adit *a = handle->data;
    if (--a->open_handles > 0) {
        return;
    }
    void (*stopped)(void *) = a->stopped;
    void *user = a->stopped_user;
    free_all(a);
    if (stopped) {
        stopped(user);
    }
}

void adit_stop(struct adit *a, void (*stopped)(void *user), void *user)
{
    a->stopping = true;
    a->stopped = stopped;
    a->stopped_user = user;
    node_stop(a->node, sys_now_ns());
    pump(a); /* the farewells */
    for (size_t i = 0; i < a->relay_count; i++) {
        relay_link_free(a->relays[i].link);
        a->relays[i].link = NULL;
    }
    for (size_t i = 0; i < a->peer_count * NODE_ENDPOINTS_MAX; i++) {
        if (a->lookups[i].resolve) {
            resolve_uv_cancel(a->lookups[i].resolve);
        }
    }
    udp_uv_close(a->udp);
    uv_close((uv_handle_t *)&a->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&a->timer, on_handle_closed);
}

void adit_local(const struct adit *a, struct addr *out)
{
    if (udp_uv_local(a->udp, out) != 0) {
        *out = (struct addr){0};
    }
}

/* --- streams --- */

int adit_open(struct adit *a, size_t peer, const void *target, size_t len, void *user,
              uint64_t *stream)
{
    int err = node_stream_open(a->node, peer, target, len, stream, sys_now_ns());
    if (err != 0) {
        return err;
    }
    a->work = true;
    if (!add_stream(a, *stream, user)) {
        (void)node_stream_abort(a->node, *stream, CAUSE_LIMIT);
        return ERR_NO_MEMORY;
    }
    return 0;
}

int adit_accept(struct adit *a, uint64_t stream, const void *info, size_t len)
{
    a->work = true;
    return node_stream_accept(a->node, stream, info, len);
}

void adit_set_user(struct adit *a, uint64_t stream, void *user)
{
    struct stream_user *s = find_stream(a, stream);
    if (s) {
        s->user = user;
    }
}

size_t adit_space(struct adit *a, uint64_t stream, size_t want, uint8_t **at)
{
    return node_stream_space(a->node, stream, want, at);
}

void adit_wrote(struct adit *a, uint64_t stream, size_t len)
{
    a->work = true;
    node_stream_wrote(a->node, stream, len);
}

void adit_finish(struct adit *a, uint64_t stream)
{
    a->work = true;
    (void)node_stream_finish(a->node, stream);
}

size_t adit_peek(struct adit *a, uint64_t stream, const uint8_t **at, bool *fin)
{
    return node_stream_peek(a->node, stream, at, fin);
}

void adit_consume(struct adit *a, uint64_t stream, size_t len)
{
    a->work = true;
    node_stream_consume(a->node, stream, len, sys_now_ns());
}

void adit_abort(struct adit *a, uint64_t stream, enum cause cause)
{
    struct stream_user *s = find_stream(a, stream);
    if (s) {
        drop_stream(a, s);
    }
    a->work = true;
    (void)node_stream_abort(a->node, stream, cause);
}

/* --- looking --- */

long adit_find_peer(const struct adit *a, const char *name)
{
    for (size_t i = 0; i < a->peer_count; i++) {
        if (strcasecmp(a->peer_names[i], name) == 0) {
            return (long)i;
        }
    }
    return -1;
}

bool adit_peer_stats(const struct adit *a, size_t peer, struct adit_peer_stats *out)
{
    if (peer >= a->peer_count) {
        return false;
    }
    node_peer_stats(a->node, peer, out, sys_now_ns());
    return true;
}

bool adit_relay_stats(const struct adit *a, size_t relay, struct adit_relay_stats *out)
{
    if (relay >= a->relay_count) {
        return false;
    }
    node_relay_stats(a->node, relay, out);
    out->host = a->relays[relay].host;
    out->port = a->relays[relay].port;
    return true;
}

void adit_counters(const struct adit *a, struct adit_counters *out)
{
    node_counters(a->node, out);
    out->packets_unsent += a->unsent;
}
