#include "app/outlet.h"

#include "app/upstream.h"
#include "app/upstream_udp.h"
#include "policy/host.h"

static uint64_t now_of(const struct outlet *o)
{
    return uv_now(o->ctx->loop) * NS_PER_MS;
}

static void on_received(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct outlet *o = user;
    struct addr plain = addr_normalize(from);
    if (!asked_has(&o->asked, &plain, now_of(o))) {
        o->ctx->counters.udp.unasked++;
        return;
    }
    o->used_ns = now_of(o);
    o->ctx->counters.udp.received++;
    o->received(o->user, &plain, data, len);
}

static struct udpsock *socket_for(struct outlet *o, const struct addr *to)
{
    struct udpsock **slot = &o->udp[to->family == ADDR_IPV6];
    const struct addr any = {.family = to->family};
    if (!*slot) {
        int err = udpsock_open(o->ctx, &any, on_received, o, slot);
        if (err != 0) {
            LOG_AT(o->ctx->log, LOG_WARN, "udp", "socket_failed", "error=\"%s\"", uv_strerror(err));
        }
    }
    return *slot;
}

/* One datagram that reaches many is an amplifier. (Broadcast addresses of the machine's own
 * networks are refused by the system.) */
static bool is_for_many(const struct addr *a)
{
    static const struct addr everybody = {.family = ADDR_IPV4, .ip = {255, 255, 255, 255}};
    bool v4 = a->family == ADDR_IPV4 && (a->ip[0] & 0xf0) == 0xe0;
    bool v6 = a->family == ADDR_IPV6 && a->ip[0] == 0xff;
    return v4 || v6 || addr_equal_ip(a, &everybody);
}

static bool may_send(const struct outlet *o, const struct addr *to, const char *name)
{
    if (to->port == 0 || is_for_many(to) || !acl_allows(o->acl, to, to->port, name)) {
        return false;
    }
    return !own_has(&o->ctx->own, to, true) || acl_names(o->acl, to, to->port);
}

/* True if the target needs no further try. */
static bool send_to(struct outlet *o, const struct addr *to, const uint8_t *data, size_t len)
{
    struct udpsock *udp = socket_for(o, to);
    if (!udp) {
        return false;
    }
    if (asked_add(&o->asked, to, now_of(o)) != 0) {
        o->ctx->counters.udp.too_many_targets++;
        return true;
    }
    if (udpsock_send(udp, to, data, len) != 0) {
        return false;
    }
    o->used_ns = now_of(o);
    o->ctx->counters.udp.sent++;
    return true;
}

/* The first address that is allowed and that the system has a way to. A target does not change
 * between two datagrams: the order stays the same. */
static void try_addresses(struct outlet *o, const struct target *t, const struct addr *addrs,
                          size_t count, const uint8_t *data, size_t len)
{
    const char *name = t->kind == TARGET_NAME ? t->name : NULL;
    size_t allowed = 0;
    for (size_t i = 0; i < count; i++) {
        struct addr to = addrs[i];
        to.port = t->port;
        if (!may_send(o, &to, name)) {
            continue;
        }
        allowed++;
        if (send_to(o, &to, data, len)) {
            return;
        }
    }
    if (count > 0 && allowed == 0) {
        o->ctx->counters.udp.not_allowed++;
    } else if (count > 0) {
        o->ctx->counters.udp.unsent++;
    } else {
        o->ctx->counters.udp.names_not_found++;
    }
}

static void on_found(void *user, const struct target *t, const struct addr *addrs, size_t count,
                     const uint8_t *data, size_t len)
{
    try_addresses(user, t, addrs, count, data, len);
}

void outlet_init(struct outlet *o, struct context *ctx, size_t owner, const struct acl *acl,
                 udpsock_received *received, void *user)
{
    *o =
        (struct outlet){.ctx = ctx, .acl = acl, .owner = owner, .received = received, .user = user};
    o->used_ns = now_of(o);
    asked_init(&o->asked, now_of(o));
    names_init(&o->names, &ctx->resolver, owner, on_found, o);
}

static void close_sockets(struct outlet *o)
{
    for (size_t i = 0; i < 2; i++) {
        if (o->udp[i]) {
            udpsock_close(o->udp[i]);
            o->udp[i] = NULL;
        }
    }
    upstream_udp_free(o->upstream);
    o->upstream = NULL;
}

/* --- through the upstream -------------------------------------------------------------------- */

static void on_passed_back(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct outlet *o = user;
    o->used_ns = now_of(o);
    o->received(o->user, from, data, len);
}

static void send_upstream(struct outlet *o, const struct target *t, const uint8_t *data, size_t len)
{
    struct addr meant = acl_normalize(&t->addr);
    bool many = t->kind == TARGET_ADDRESS && is_for_many(&meant);
    if (t->port == 0 || many || !upstream_allows(o->acl, t)) {
        o->ctx->counters.udp.not_allowed++;
        return;
    }
    if (!o->upstream) {
        o->upstream = upstream_udp_new(o->ctx, o->owner, on_passed_back, o);
    }
    if (!o->upstream) {
        o->ctx->counters.udp.unsent++;
        return;
    }
    o->used_ns = now_of(o);
    upstream_udp_send(o->upstream, t, data, len);
}

/* What our own applications send does not go there, as their connections do not. */
static bool is_for_upstream(const struct outlet *o, const struct target *t)
{
    return o->owner != RESOLVER_FRONT && upstream_is_for(o->ctx, t, true);
}

void outlet_deinit(struct outlet *o)
{
    close_sockets(o);
    names_deinit(&o->names);
    asked_deinit(&o->asked);
}

void outlet_send(struct outlet *o, const struct target *t, const uint8_t *data, size_t len)
{
    bool ours = t->kind == TARGET_NAME && host_is_in(t->name, "peer");
    if (!ours && is_for_upstream(o, t)) {
        send_upstream(o, t, data, len);
    } else if (t->kind == TARGET_ADDRESS) {
        try_addresses(o, t, &t->addr, 1, data, len);
    } else if (ours || !acl_could_allow(o->acl, t->name, t->port)) {
        o->ctx->counters.udp.not_allowed++;
    } else if (!names_send(&o->names, t, data, len)) {
        o->ctx->counters.udp.names_not_found++;
    }
}

void outlet_tick(struct outlet *o)
{
    if (time_since(o->used_ns, now_of(o)) > ASKED_NS) {
        close_sockets(o);
    }
}
