/* Where a client's request goes: a stream to a peer, a connection from here, or an answer. */
#include "app/client_internal.h"

#include "policy/host.h"

#include <adit/why.h>
#include <base/err.h>

#include <string.h>

void client_give_up_dialling(struct client *c, enum cause cause)
{
    if (c->dialer) {
        dialer_cancel(c->dialer);
        c->dialer = NULL;
    }
    if (c->binder) {
        binder_stop(c->binder);
        c->binder = NULL;
    }
    if (c->end) {
        endpoint_abort(c->end, cause);
        c->end = NULL;
    }
}

void client_refuse(struct client *c, enum cause cause)
{
    char text[TARGET_TEXT_MAX];
    LOG_AT(c->ctx->log, LOG_INFO, "front", "failed", "target=%s cause=%s",
           target_format(front_target(&c->front), text), cause_name(cause));
    context_count_failure(c->ctx->counters.front.failures, cause);
    if (c->relaying) {
        client_end_exchange(c);
    }
    front_failed(&c->front, cause, client_now(c));
    client_step(c);
}

void client_connected(struct client *c, struct endpoint *end, const struct addr *bound)
{
    front_connected(&c->front, bound);
    c->ctx->counters.front.connected++;
    client_send_output(c);
    if (front_state(&c->front) == FRONT_RELAYING) {
        c->end = end;
        (void)uv_timer_stop(&c->timer);
        client_relay(c);
    } else {
        client_pump(c, end);
    }
}

void client_connected_tcp(struct client *c, struct tcp *tcp, const struct addr *bound)
{
    struct endpoint *end = endpoint_of_tcp(tcp);
    if (end) {
        client_connected(c, end, bound);
    } else {
        tcp_close(tcp);
        client_refuse(c, CAUSE_LIMIT);
    }
}

static void on_dialled(void *user, struct tcp *tcp, enum cause cause)
{
    struct client *c = user;
    c->dialer = NULL;
    if (tcp) {
        struct addr bound = tcp_local(tcp);
        client_connected_tcp(c, tcp, &bound);
    } else {
        client_refuse(c, cause);
    }
}

static void on_accepted(void *user, const void *info, size_t len)
{
    struct client *c = user;
    char text[ADDR_TEXT_MAX] = "";
    struct addr bound = {.family = ADDR_NONE};
    if (len < sizeof(text)) {
        memcpy(text, info, len);
        (void)addr_parse(&bound, text);
    }
    c->in_len -= c->early;
    memmove(c->in, c->in + c->early, c->in_len);
    c->early = 0;
    client_connected(c, c->end, bound.family == ADDR_NONE ? NULL : &bound);
}

static int open_stream(struct client *c);

/* Of what went along with the request nobody can say whether it got to the target before the
 * restart: only what changes nothing there is sent twice (RFC 9110 section 9.2.2). */
static bool may_repeat(const struct client *c)
{
    return c->relaying ? exchange_may_repeat(&c->exchange) : c->early == 0;
}

/* The peer was restarted and knows nothing of the session any more. */
static bool reopen(struct client *c, enum cause cause)
{
    if (cause != CAUSE_PEER_RESTARTED || c->reopened || !may_repeat(c)) {
        return false;
    }
    c->reopened = true;
    c->ctx->counters.front.reopened++;
    if (c->relaying) {
        client_end_exchange(c);
    }
    return open_stream(c) == 0;
}

static void on_refused(void *user, enum cause cause)
{
    struct client *c = user;
    endpoint_release(c->end);
    c->end = NULL;
    if (!reopen(c, cause)) {
        client_refuse(c, cause);
    }
}

static void on_room(void *user)
{
    client_send_early(user);
}

/* Bytes before the acceptance stay in the stream until there is a pump to take them. */
static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events opening = {
    .readable = on_nothing,
    .writable = on_room,
    .reset = on_refused,
    .accepted = on_accepted,
};

static void go_direct(struct client *c, const struct target *t)
{
    const struct dialer_wish wish = {
        .target = *t, .acl = &c->ctx->config->direct, .owner = RESOLVER_FRONT};
    c->dialer = dialer_start(c->ctx, &wish, on_dialled, c);
    if (c->dialer) {
        dialer_hurry(c->dialer);
    } else {
        client_refuse(c, CAUSE_LIMIT);
    }
}

/* What a client of plain HTTP sends behind its request may be the next one. */
static bool has_raw_data(const struct client *c)
{
    const struct front *f = &c->front;
    return f->kind != FRONT_HTTP || front_request(f)->form != HTTPREQ_ABSOLUTE;
}

void client_send_early(struct client *c)
{
    uint8_t *at = NULL;
    size_t room;
    if (front_state(&c->front) != FRONT_CONNECTING || !c->end) {
        return;
    }
    if (!has_raw_data(c)) {
        client_send_head(c);
        return;
    }
    while (c->early < c->in_len && (room = endpoint_space(c->end, c->in_len - c->early, &at)) > 0) {
        size_t left = c->in_len - c->early;
        size_t some = room < left ? room : left;
        memcpy(at, c->in + c->early, some);
        (void)endpoint_wrote(c->end, some); /* a stream takes what it had room for */
        c->early += some;
    }
}

/* The user's word, else the listener's. */
enum adit_lane client_lane(const struct client *c)
{
    enum config_path path = c->policy ? c->policy->path : PATH_ANY;
    switch (c->wish.path_given ? c->wish.path : path) {
    case PATH_DIRECT_ONLY:
        return ADIT_LANE_DIRECT;
    case PATH_RELAY_ONLY:
        return ADIT_LANE_RELAY;
    case PATH_ANY:
        break;
    }
    return ADIT_LANE_ANY;
}

struct route_choice client_choice(const struct client *c)
{
    return (struct route_choice){
        .exit = c->policy ? &c->policy->exit : NULL,
        .wished = c->wish.exit,
        .peer = c->wish.peer,
    };
}

int client_open(struct client *c, const char *text, const struct endpoint_events *on)
{
    int err = endpoint_open(c->ctx->node, c->route.peer, text, on, c, &c->end);
    if (err == 0) {
        err = adit_bind(c->ctx->node, endpoint_stream(c->end), client_lane(c));
    }
    if (err != 0) {
        client_give_up_dialling(c, CAUSE_CANCELLED);
    }
    return err;
}

static int open_stream(struct client *c)
{
    const struct target *t = front_target(&c->front);
    char text[TARGET_TEXT_MAX];
    (void)(c->route.self ? route_name_there(t, text) : target_format(t, text));
    c->early = 0;
    int err = client_open(c, text, &opening);
    if (err == 0) {
        client_send_early(c);
    }
    return err;
}

static void go_to_peer(struct client *c)
{
    int err = open_stream(c);
    if (err != 0) {
        client_refuse(c, err == ERR_NOT_FOUND ? CAUSE_UNKNOWN_PEER : CAUSE_LIMIT);
    }
}

static void dial(struct client *c)
{
    const struct target *t = front_target(&c->front);
    if (client_take_kept(c, t)) {
        client_connected(c, c->end, NULL);
        return;
    }
    switch (c->route.kind) {
    case ROUTE_DIRECT:
        go_direct(c, t);
        break;
    case ROUTE_PEER:
        go_to_peer(c);
        break;
    case ROUTE_REFUSE:
        client_refuse(c, client_refusal(c));
        break;
    }
}

enum cause client_refusal(const struct client *c)
{
    const struct target *t = front_target(&c->front);
    bool peer_name = t->kind == TARGET_NAME && host_is_in(t->name, "peer");
    return peer_name && !c->route.self ? CAUSE_UNKNOWN_PEER : CAUSE_REFUSED_BY_ROUTE;
}

/* Who has come by no listener of the front's (a forwarded port, the control socket) only connects.
 */
static bool is_allowed(const struct client *c, enum config_command command)
{
    return c->policy ? (c->policy->commands & command) != 0 : command == COMMAND_CONNECT;
}

static void obey(struct client *c, enum socks5_command command)
{
    const struct route_choice choice = client_choice(c);
    switch (command) {
    case SOCKS5_CONNECT:
        c->route = route_decide(c->ctx->config, front_target(&c->front), &choice);
        dial(c);
        break;
    case SOCKS5_BIND:
        c->route = route_decide(c->ctx->config, front_target(&c->front), &choice);
        client_bind(c);
        break;
    case SOCKS5_ASSOCIATE:
        client_associate(c);
        break;
    }
}

void client_go(struct client *c)
{
    static const enum config_command needed[] = {
        [SOCKS5_CONNECT] = COMMAND_CONNECT,
        [SOCKS5_BIND] = COMMAND_BIND,
        [SOCKS5_ASSOCIATE] = COMMAND_UDP,
    };
    enum socks5_command command = front_command(&c->front);
    c->reopened = false;
    c->ctx->counters.front.requests++;
    if (c->wish.unclear) {
        client_refuse(c, CAUSE_UNKNOWN_WISH);
    } else if (!is_allowed(c, needed[command])) {
        client_refuse(c, CAUSE_REFUSED_BY_ROUTE);
    } else {
        obey(c, command);
    }
}

static bool has_path_of_kind(const struct client *c, enum adit_path_kind kind)
{
    struct adit_why why;
    bool found = false;
    if (!adit_why(c->ctx->node, c->route.peer, &why)) {
        return false;
    }
    for (size_t i = 0; i < why.path_count && !found; i++) {
        const struct adit_why_path *p = &why.paths[i];
        found = p->kind == kind && (p->used || p->trusted);
    }
    return found;
}

/* Without a session there is no path, nor is there where only the other kind works, whichever is in
 * use; with one it is the target that does not answer. */
static bool has_path(const struct client *c)
{
    struct adit_peer_stats peer;
    if (!adit_peer_stats(c->ctx->node, c->route.peer, &peer) || peer.state != ADIT_PEER_CONNECTED) {
        return false;
    }
    switch (client_lane(c)) {
    case ADIT_LANE_DIRECT:
        return has_path_of_kind(c, ADIT_PATH_DIRECT);
    case ADIT_LANE_RELAY:
        return has_path_of_kind(c, ADIT_PATH_RELAY);
    case ADIT_LANE_ANY:
        break;
    }
    return true;
}

void client_expire(struct client *c)
{
    enum cause cause = c->end && !has_path(c) ? CAUSE_PEER_UNREACHABLE : CAUSE_TIMED_OUT;
    client_give_up_dialling(c, CAUSE_TIMED_OUT);
    client_refuse(c, cause);
}
