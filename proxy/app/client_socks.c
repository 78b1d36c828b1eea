/* What SOCKS knows besides CONNECT: UDP ASSOCIATE and BIND (RFC 1928 sections 4, 6 and 7; BIND also
 * in SOCKS4). */
#include "app/client_internal.h"

#include <base/err.h>

#include <stdio.h>
#include <string.h>

/* --- UDP ASSOCIATE --------------------------------------------------------------------------- */

/* The connection only says how long the association lives. */
static size_t on_held_room(void *user, uint8_t **at)
{
    struct client *c = user;
    *at = c->in;
    return sizeof(c->in);
}

static void on_held_read(void *user, ssize_t n)
{
    if (n <= 0) {
        client_drop(user);
    }
}

static void on_held_sent(void *user, int status)
{
    struct client *c = user;
    if (status < 0) {
        client_drop(c);
    } else {
        client_send_output(c);
    }
}

static const struct tcp_ops held = {
    .room = on_held_room,
    .read = on_held_read,
    .sent = on_held_sent,
};

/* Where the client has reached us, its datagrams will, too; by a unix socket it is on this
 * machine. */
static struct addr place_for_datagrams(const struct client *c)
{
    struct addr at = c->by_unix ? addr_ipv4(127, 0, 0, 1, 0) : tcp_local(c->tcp);
    return at.family == ADDR_NONE ? addr_ipv4(127, 0, 0, 1, 0) : at;
}

void client_associate(struct client *c)
{
    struct addr at = place_for_datagrams(c);
    const struct association_options options = {
        .at = at,
        .client = *client_from(c),
        .said = front_target(&c->front),
        .way = {.choice = client_choice(c), .lane = client_lane(c)},
    };
    enum cause cause = association_start(c->ctx, &options, &c->association);
    if (cause != CAUSE_NONE) {
        client_refuse(c, cause);
        return;
    }
    struct addr bound = association_address(c->association);
    front_connected(&c->front, &bound);
    (void)uv_timer_stop(&c->timer);
    c->in_len = 0;
    c->ctx->counters.front.connected++;
    tcp_attach(c->tcp, &held, c);
    client_send_output(c);
    tcp_resume(c->tcp);
}

/* --- BIND ------------------------------------------------------------------------------------ */

/* Both ways: first where it is listened, then who has connected. */
static void tell_bound(struct client *c, const struct addr *at)
{
    if (front_bound(&c->front, at, client_now(c))) {
        client_step(c);
        return;
    }
    client_give_up_dialling(c, CAUSE_CANCELLED);
    client_refuse(c, CAUSE_FAILED);
}

static void on_listening(void *user, const struct addr *at)
{
    tell_bound(user, at);
}

static void on_bound(void *user, struct tcp *tcp, enum cause cause)
{
    struct client *c = user;
    c->binder = NULL;
    if (tcp) {
        struct addr from = tcp_remote(tcp);
        client_connected_tcp(c, tcp, &from);
    } else {
        client_refuse(c, cause);
    }
}

static void on_accepted(void *user, const void *info, size_t len)
{
    char text[ADDR_TEXT_MAX] = "";
    struct addr at = {.family = ADDR_NONE};
    if (len < sizeof(text)) {
        memcpy(text, info, len);
        (void)addr_parse(&at, text);
    }
    tell_bound(user, &at);
}

/* The exit's first bytes are the address of who connected: a length byte and text. */
static void on_readable(void *user)
{
    struct client *c = user;
    char text[ADDR_TEXT_MAX] = "";
    struct addr from = {.family = ADDR_NONE};
    const uint8_t *at;
    bool fin;
    size_t len = endpoint_peek(c->end, &at, &fin);
    if (len > 0 && at[0] < sizeof(text) && len > at[0]) {
        memcpy(text, at + 1, at[0]);
        (void)addr_parse(&from, text);
        endpoint_consume(c->end, 1U + at[0]);
        client_connected(c, c->end, from.family == ADDR_NONE ? NULL : &from);
    } else if (fin || (len > 0 && at[0] >= sizeof(text))) {
        client_give_up_dialling(c, CAUSE_PROTOCOL);
        client_refuse(c, CAUSE_PROTOCOL);
    }
}

static void on_refused(void *user, enum cause cause)
{
    struct client *c = user;
    endpoint_release(c->end);
    c->end = NULL;
    client_refuse(c, cause);
}

static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events binding = {
    .readable = on_readable,
    .writable = on_nothing,
    .reset = on_refused,
    .accepted = on_accepted,
};

static void bind_here(struct client *c)
{
    const struct binder_options options = {
        .ctx = c->ctx,
        .expected = front_target(&c->front),
        .acl = &c->ctx->config->direct,
        .listening = on_listening,
        .done = on_bound,
        .user = c,
    };
    c->binder = binder_start(&options);
    if (!c->binder) {
        client_refuse(c, CAUSE_LIMIT);
    }
}

static void bind_at_peer(struct client *c)
{
    const struct target *t = front_target(&c->front);
    char target[TARGET_TEXT_MAX];
    char text[BINDER_TARGET_MAX];
    (void)(c->route.self ? route_name_there(t, target) : target_format(t, target));
    (void)snprintf(text, sizeof(text), BINDER_TARGET_PREFIX "%s", target);
    int err = client_open(c, text, &binding);
    if (err != 0) {
        client_refuse(c, err == ERR_NOT_FOUND ? CAUSE_UNKNOWN_PEER : CAUSE_LIMIT);
    }
}

void client_bind(struct client *c)
{
    switch (c->route.kind) {
    case ROUTE_DIRECT:
        bind_here(c);
        break;
    case ROUTE_PEER:
        bind_at_peer(c);
        break;
    case ROUTE_REFUSE:
        client_refuse(c, client_refusal(c));
        break;
    }
}
