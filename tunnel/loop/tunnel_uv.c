/* The seam (include/adit/adit.h) over a node, one UDP socket and its relays' TCP connections.
 *
 * One round: whatever woke the loop gives bytes to the node; then, before the loop sleeps again,
 * pump() hands out events, sends what the node has, and sets one timer. Calls of the program only
 * mark that there is work, so that many of them share one round of sending.
 *
 * While small streams talk beside bulk, rounds are short: one batch is sent, a few messages are
 * read, and others are let by (tunnel_haste.c).
 */
#include "loop/tunnel_internal.h"

#include <base/clock.h>
#include <base/err.h>

#include <string.h>
#include <strings.h>

#include "os/sysclock.h"

/* Batches sent before the loop looks at its sockets again. */
enum { OUTPUT_ROUNDS = 8 };

/* While small streams talk. */
enum { HASTY_ROUNDS = 1 };

/* --- events --- */

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
        tunnel_stream_event(a, ev, ADIT_EVENT_OPENED);
        break;
    case NODE_EVENT_STREAM_ACCEPTED:
        tunnel_stream_event(a, ev, ADIT_EVENT_ACCEPTED);
        break;
    case NODE_EVENT_STREAM_READABLE:
        tunnel_stream_event(a, ev, ADIT_EVENT_READABLE);
        break;
    case NODE_EVENT_STREAM_WRITABLE:
        tunnel_stream_event(a, ev, ADIT_EVENT_WRITABLE);
        break;
    case NODE_EVENT_STREAM_RESET:
        tunnel_stream_event(a, ev, ADIT_EVENT_RESET);
        break;
    case NODE_EVENT_STREAM_GONE:
        tunnel_stream_event(a, ev, ADIT_EVENT_GONE);
        break;
    case NODE_EVENT_DATAGRAM:
        tunnel_stream_event(a, ev, ADIT_EVENT_DATAGRAM);
        break;
    case NODE_EVENT_PONG:
        a->handler(a->user, &(struct adit_event){
                                .type = ADIT_EVENT_PONG, .peer = ev->peer, .pong = &ev->pong});
        break;
    case NODE_EVENT_PEER:
        tunnel_watch_path(a, ev->peer);
        a->handler(a->user, &(struct adit_event){.type = ADIT_EVENT_PEER, .peer = ev->peer});
        break;
    case NODE_EVENT_RELAY_CONNECT:
        relay_link_connect(a->relays[ev->relay].link);
        break;
    case NODE_EVENT_RELAY_CLOSE:
        relay_link_close(a->relays[ev->relay].link);
        break;
    case NODE_EVENT_PORTAL_ASK:
        tunnel_ask_portal(a, ev->relay);
        break;
    case NODE_EVENT_PORTAL_CLOSE:
        tunnel_close_portal(a);
        break;
    case NODE_EVENT_RESOLVE_STUN:
        tunnel_resolve_stun(a);
        break;
    case NODE_EVENT_SOCKETS:
        tunnel_adapt_sockets(a);
        break;
    case NODE_EVENT_RESOLVE:
        resolve(a, ev->peer, ev->endpoint);
        break;
    }
}

/* --- sending --- */

/* A batch that shall not go far is one datagram, and rare: two more system calls do not matter. */
static int send_some(struct adit *a, const struct node_batch *b, size_t *sent)
{
    struct udp_uv *udp = a->sockets[b->socket].udp;
    if (b->hops != 0) {
        tunnel_sender_settle(a);
        (void)udp_uv_set_hops(udp, (int)b->hops);
    }
    int err = udp_uv_send(udp, &b->to, b->data, b->len, b->segment, sent);
    if (b->hops != 0) {
        (void)udp_uv_set_hops(udp, 0);
    }
    return err;
}

/* False if the socket is full: the rest waits in a->blocked until it is writable. */
static bool send_batch(struct adit *a, struct node_batch *b)
{
    if (!a->sockets[b->socket].udp) { /* a temporary one that could not be opened */
        a->unsent++;
        b->len = 0;
    }
    while (b->len > 0) {
        size_t sent = 0;
        bool batch = b->len > b->segment;
        int err = send_some(a, b, &sent);
        if (batch && b->socket == 0) {
            tunnel_watch_batches(a);
        }
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
        tunnel_on_refusal(a, b->socket, &b->to, err);
        size_t lost = b->len < b->segment ? b->len : b->segment;
        b->data += lost;
        b->len -= lost;
        a->unsent++;
    }
    a->blocked.len = 0;
    return true;
}

/* True if there was any event. */
static bool hand_out(struct adit *a, uint64_t now)
{
    struct node_event ev;
    bool any = false;
    while (node_event(a->node, &ev, now)) {
        any = true;
        if (!a->stopping) {
            dispatch(a, &ev);
        }
    }
    return any;
}

/* Who writes is told between the batches: what it brings then is still in the caches when the next
 * one is made. */
static void send_output(struct adit *a, uint64_t now)
{
    if (a->blocked.len > 0) {
        return;
    }
    struct node_batch batch;
    int rounds = OUTPUT_ROUNDS;
    for (int i = 0; i < rounds; i++) {
        (void)hand_out(a, now);
        a->work = false; /* what the program asked for meanwhile goes out here */
        bool any = tunnel_sender_has_room(a) && node_output(a->node, &batch, now);
        tunnel_note_haste(a, node_is_hasty(a->node), node_take_said(a->node), now);
        rounds = a->haste.on ? HASTY_ROUNDS : OUTPUT_ROUNDS;
        if (!any) {
            return;
        }
        a->round.bytes += batch.len;
        a->round.sent = true;
        if (!tunnel_sender_send(a, &batch) && !send_batch(a, &batch)) {
            return;
        }
    }
    a->work = true; /* there may be more: after the sockets had their turn */
}

static void on_timer(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    uint64_t now = sys_now_ns();
    if (a->work && node_next_ns(a->node) > now) {
        return; /* only so that the loop does not sleep */
    }
    netmon_uv_check_clock(a->monitor);
    /* What comes in is handed out before the loop polls. A timer that was set anew in here would
     * be due at once, and libuv runs timers until none is: it might never get to poll. */
    a->pumping = true;
    tunnel_catch_up(a, now);
    a->pumping = false;
    node_tick(a->node, now);
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

void tunnel_unblock(struct adit *a)
{
    struct node_batch rest = a->blocked;
    a->blocked.len = 0;
    if (send_batch(a, &rest)) {
        tunnel_pump(a);
    }
}

void tunnel_pump(struct adit *a)
{
    if (a->pumping) {
        return;
    }
    a->pumping = true;
    uint64_t now = sys_now_ns();
    (void)hand_out(a, now);
    a->work = false; /* what the program asked for meanwhile is done below, not in one more round */
    tunnel_store_timestamp(a);
    tunnel_store_recipes(a);
    send_output(a, now);
    tunnel_make_haste(a, now);
    if (hand_out(a, now)) { /* rare: sending brought something about */
        a->work = true;
    }
    if (!a->stopped_links) {
        for (size_t i = 0; i < a->relay_count; i++) {
            relay_link_flush(a->relays[i].link, a->haste.on);
        }
        tunnel_keep_looking(a);
        tunnel_settle_router(a);
    }
    set_timer(a, now);
    a->pumping = false;
}

/* --- callbacks of the loop --- */

static void on_prepare(uv_prepare_t *prepare)
{
    struct adit *a = prepare->data;
    if (a->work) {
        tunnel_pump(a);
    }
    tunnel_wait(a);
}

static void on_activity(void *user)
{
    struct adit *a = user;
    adit_stir(a);
    a->work = true;
}

/* --- start --- */

static int open_links(struct adit *a, const struct adit_config *config)
{
    char why[TLS_WHY_MAX];
    for (size_t i = 0; i < a->relay_count; i++) {
        struct relay_link_options options = {.loop = a->loop,
                                             .node = a->node,
                                             .relay = i,
                                             .config = &config->relays[i],
                                             .on_activity = on_activity,
                                             .user = a};
        int err = relay_link_new(&options, &a->relays[i].link, why);
        if (err != 0) {
            LOG_AT(a->log, LOG_ERROR, "relay", "not_usable", "relay=%s why=\"%s\"",
                   a->relays[i].name, why);
            return err;
        }
    }
    return 0;
}

static void free_all(struct adit *a)
{
    tunnel_free_streams(a);
    node_free(a->node);
    udp_batch_deinit(&a->batch);
    tunnel_free_config(a);
    mem_free(a);
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
    int err = tunnel_make_node(a, config);
    if (err == 0) {
        err = open_links(a, config);
    }
    if (err == 0) {
        err = tunnel_open_socket(a, config);
    }
    if (err == 0) {
        err = tunnel_open_sender(a);
    }
    if (err == 0) {
        err = tunnel_open_opener(a);
    }
    if (err == 0) {
        err = netmon_uv_open(loop, tunnel_on_change, a, &a->monitor);
    }
    if (err == 0) {
        err = tunnel_open_router(a);
        if (err != 0) {
            netmon_uv_close(a->monitor);
        }
    }
    if (err != 0) {
        tunnel_close_opener(a);
        tunnel_close_sender(a);
        tunnel_close_sockets(a);
        for (size_t i = 0; i < a->relay_count; i++) {
            relay_link_free(a->relays[i].link);
        }
        free_all(a);
        return err;
    }
    (void)uv_prepare_init(loop, &a->prepare);
    (void)uv_timer_init(loop, &a->timer);
    (void)uv_timer_init(loop, &a->look);
    (void)uv_timer_init(loop, &a->rebind);
    (void)uv_timer_init(loop, &a->trim);
    (void)uv_timer_init(loop, &a->watching);
    a->prepare.data = a->timer.data = a->look.data = a->rebind.data = a->trim.data = a;
    a->watching.data = a;
    (void)uv_prepare_start(&a->prepare, on_prepare);
    tunnel_open_spin(a, config->spin_ns);
    a->open_handles = 7;
    tunnel_tell_literals(a, config);
    tunnel_look(a);
    node_start(a->node, sys_now_ns());
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
    tunnel_pump(a); /* the farewells */
    for (size_t i = 0; i < a->relay_count; i++) {
        relay_link_free(a->relays[i].link);
        a->relays[i].link = NULL;
    }
    for (size_t i = 0; i < a->peer_count * NODE_ENDPOINTS_MAX; i++) {
        if (a->lookups[i].resolve) {
            resolve_uv_cancel(a->lookups[i].resolve);
        }
    }
    tunnel_close_portal(a);
    tunnel_stop_net(a);
    a->stopped_links = true;
    tunnel_release_router(a);
}

void tunnel_finish_stop(struct adit *a)
{
    tunnel_end_haste(a);
    tunnel_close_opener(a);
    tunnel_close_sender(a);
    tunnel_close_sockets(a);
    uv_close((uv_handle_t *)&a->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&a->timer, on_handle_closed);
    uv_close((uv_handle_t *)&a->idle, on_handle_closed);
    uv_close((uv_handle_t *)&a->look, on_handle_closed);
    uv_close((uv_handle_t *)&a->rebind, on_handle_closed);
    uv_close((uv_handle_t *)&a->trim, on_handle_closed);
    uv_close((uv_handle_t *)&a->watching, on_handle_closed);
}

void adit_local(const struct adit *a, struct addr *out)
{
    if (!a->sockets[0].udp || udp_uv_local(a->sockets[0].udp, out) != 0) {
        *out = (struct addr){0};
    }
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

int adit_ping(struct adit *a, size_t peer, uint64_t *id)
{
    a->work = true;
    return node_ping(a->node, peer, id, sys_now_ns());
}

bool adit_peer_stats(const struct adit *a, size_t peer, struct adit_peer_stats *out)
{
    if (peer >= a->peer_count) {
        return false;
    }
    node_peer_stats(a->node, peer, out, sys_now_ns());
    return true;
}

bool adit_why(const struct adit *a, size_t peer, struct adit_why *out)
{
    if (peer >= a->peer_count) {
        return false;
    }
    node_why(a->node, peer, out, sys_now_ns());
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
    out->tls = a->relays[relay].tls;
    out->websocket = a->relays[relay].websocket;
    return true;
}

void adit_nat_stats(const struct adit *a, struct adit_nat_stats *out)
{
    node_nat_stats(a->node, out);
}

void adit_counters(const struct adit *a, struct adit_counters *out)
{
    node_counters(a->node, out);
    out->packets_unsent += a->unsent;
    out->waits_polled = a->waits_polled;
}
