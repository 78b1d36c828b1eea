/* What a check asks over UDP: STUN servers, a router. */
#include "loop/netcheck_internal.h"

#include "loop/interfaces_uv.h"
#include "os/gateway.h"
#include "os/sysclock.h"

enum { DATAGRAM_MAX = 128 }; /* of those that are sent */

_Static_assert((int)DATAGRAM_MAX >= (int)PCP_REQUEST_MAX, "a datagram has room for a request");

/* --- sockets --- */

static void take(struct check_socket *s, const struct udp_datagram *d, uint64_t now)
{
    struct adit_netcheck *c = s->check;
    switch (s->place) {
    case CHECK_SHARED:
        if (!stunclient_input(&c->stun, &d->from, d->data, d->len, now)) {
            (void)netcheck_input(&c->netcheck, NETCHECK_SHARED, &d->from, d->data, d->len, now);
        }
        break;
    case CHECK_FRESH_IPV4:
    case CHECK_FRESH_IPV6:
        (void)netcheck_input(&c->netcheck, NETCHECK_FRESH, &d->from, d->data, d->len, now);
        break;
    case CHECK_PORTMAP:
        (void)portmap_input(&c->portmap, &d->from, d->data, d->len, now);
        break;
    case CHECK_SOCKETS:
        break;
    }
}

static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    struct check_socket *s = user;
    struct udp_datagram d;
    while (udp_batch_next(batch, &d)) {
        take(s, &d, now);
    }
    netcheck_uv_go_on(s->check);
}

/* What the socket does not take is lost, as the network may lose it: it is sent again. */
static void on_writable(void *user, uint64_t now)
{
    (void)user;
    (void)now;
}

static void close_socket(struct adit_netcheck *c, enum check_place place)
{
    if (c->sockets[place].udp) {
        udp_uv_close(c->sockets[place].udp);
        c->sockets[place].udp = NULL;
    }
}

/* Whatever is to be sent next opens another one. */
static void on_error(void *user, int err, uint64_t now)
{
    struct check_socket *s = user;
    (void)now;
    LOG_AT(s->check->config.log, LOG_WARN, "netcheck", "socket_lost", "place=%d why=\"%s\"",
           (int)s->place, uv_strerror(err));
    close_socket(s->check, s->place);
}

static int open_socket(struct adit_netcheck *c, enum check_place place)
{
    static const struct udp_uv_callbacks callbacks = {
        .on_batch = on_batch, .on_writable = on_writable, .on_error = on_error};
    struct check_socket *s = &c->sockets[place];
    struct addr bind = c->config.listen;
    bind.port = 0;
    struct udp_options options = {.bind = &bind};
    s->check = c;
    s->place = place;
    return s->udp ? 0 : udp_uv_open(c->loop, &options, &c->batch, &callbacks, s, &s->udp);
}

static void send_from(struct adit_netcheck *c, enum check_place place, const struct addr *to,
                      const uint8_t *data, size_t len)
{
    if (c->sockets[place].udp || open_socket(c, place) == 0) {
        (void)udp_uv_send(c->sockets[place].udp, to, data, len, 0, NULL);
    }
}

/* --- STUN --- */

/* A server of a family that this machine does not have would be asked in vain. */
static bool is_reachable(const struct adit_netcheck *c, const struct addr *server)
{
    for (size_t i = 0; i < c->host_count; i++) {
        const struct addr *host = &c->hosts[i];
        if (host->family == server->family && addr_is_loopback(host) == addr_is_loopback(server)) {
            return true;
        }
    }
    return c->host_count == 0; /* the system does not say which it has */
}

static void on_resolved(void *user, int status, const struct addr *addrs, size_t count)
{
    struct check_lookup *l = user;
    struct adit_netcheck *c = l->check;
    l->resolve = NULL;
    if (status != 0) {
        LOG_AT(c->config.log, LOG_WARN, "netcheck", "not_resolved", "server=%s why=\"%s\"",
               l->config->host, uv_strerror(status));
    }
    for (size_t i = 0; i < count; i++) {
        enum stun_form form = l->config->derper ? STUN_FORM_TAILNODE : STUN_FORM_FINGERPRINT;
        if (is_reachable(c, &addrs[i])) {
            (void)stunclient_add(&c->stun, &addrs[i], form, sys_now_ns());
        }
    }
    netcheck_uv_go_on(c);
}

static void start_lookups(struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->config.stun_count && i < ADIT_NETCHECK_STUN_MAX; i++) {
        const struct adit_stun_config *s = &c->config.stun[i];
        struct check_lookup *l = &c->lookups[c->lookup_count++];
        *l = (struct check_lookup){.check = c, .config = s};
        (void)resolve_uv_start(c->loop, s->host, s->port, on_resolved, l, &l->resolve);
    }
    stunclient_need(&c->stun, true, c->started_ns);
}

static void observe(struct adit_netcheck *c, const struct stunclient_event *ev, uint64_t now)
{
    const struct stunclient_server *s = stunclient_get(&c->stun, ev->server);
    struct netcheck_sample sample = {.server = s->addr,
                                     .mapped = ev->addr,
                                     .since_ns = ev->since_ns,
                                     .order = ev->order,
                                     .heard_ns = now};
    bool *tested = ev->family == ADDR_IPV6 ? &c->tested_ipv6 : &c->tested_ipv4;
    netcheck_observe(&c->netcheck, &sample);
    if (!*tested && s->other.family != ADDR_NONE) {
        *tested = netcheck_test(&c->netcheck, &s->addr, &s->other, s->form, now) == 0;
    }
}

static void take_stun_events(struct adit_netcheck *c, uint64_t now)
{
    struct stunclient_event ev;
    while (stunclient_event(&c->stun, &ev)) {
        if (ev.type == STUNCLIENT_MAPPED) {
            observe(c, &ev, now);
        } else if (ev.type == STUNCLIENT_TIMEOUT && ev.error == 0) {
            netcheck_unanswered(&c->netcheck, ev.family, now);
        }
    }
    struct netcheck_event done;
    while (netcheck_event(&c->netcheck, &done)) {
        close_socket(c, done.family == ADDR_IPV6 ? CHECK_FRESH_IPV6 : CHECK_FRESH_IPV4);
    }
}

static bool is_stun_over(const struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->lookup_count; i++) {
        if (c->lookups[i].resolve) {
            return false;
        }
    }
    for (int i = 0; i < STUNCLIENT_SERVERS_MAX; i++) {
        const struct stunclient_server *s = stunclient_get(&c->stun, i);
        if (s && s->mapped.family == ADDR_NONE && s->silent == 0) {
            return false;
        }
    }
    return c->netcheck.ipv4.test.step == NETCHECK_IDLE &&
           c->netcheck.ipv6.test.step == NETCHECK_IDLE;
}

/* --- the router --- */

/* The first one is what the node would use. */
static void take_mapping(struct adit_netcheck *c, enum adit_portmap by, const struct addr *external)
{
    if (c->report.portmap == ADIT_PORTMAP_NONE || c->report.portmap == ADIT_PORTMAP_UPNP) {
        c->report.portmap = by;
        c->report.portmapped = *external;
        c->report.behind_another_nat = addr_is_private(external);
        netcheck_set_port_mapped(&c->netcheck, !addr_is_private(external));
    }
}

/* It works: that was all there was to be known. What comes after is no port that is mapped. */
static void on_upnp(void *user, const struct addr *external)
{
    struct adit_netcheck *c = user;
    if (external) {
        c->report.upnp = true;
        take_mapping(c, ADIT_PORTMAP_UPNP, external);
        upnp_uv_stop(c->upnp);
    }
    netcheck_uv_go_on(c);
}

static void start_portmap(struct adit_netcheck *c)
{
    struct addr gateway, client, local;
    bool any = addr_is_unspecified(&c->config.listen);
    if (!c->config.portmap || !any || !gateway_find(&gateway, &client) ||
        open_socket(c, CHECK_PORTMAP) != 0 ||
        udp_uv_local(c->sockets[CHECK_PORTMAP].udp, &local) != 0) {
        return;
    }
    client.port = local.port;
    c->report.gateway = gateway;
    portmap_start(&c->portmap, &gateway, &client, c->started_ns);
    if (upnp_uv_new(c->loop, c->config.log, on_upnp, c, &c->upnp) == 0) {
        upnp_uv_start(c->upnp, &gateway, &client);
    }
}

bool netcheck_udp_has_released(const struct adit_netcheck *c)
{
    return portmap_is_off(&c->portmap) && (!c->upnp || upnp_uv_is_off(c->upnp));
}

/* One look is enough: what was mapped is given back, what was refused is not asked for again. */
static void take_portmap_events(struct adit_netcheck *c, uint64_t now)
{
    struct portmap_event ev;
    while (portmap_event(&c->portmap, &ev)) {
        if (ev.type == PORTMAP_EV_MAPPED) {
            take_mapping(c, c->portmap.natpmp ? ADIT_PORTMAP_NATPMP : ADIT_PORTMAP_PCP,
                         &ev.external);
            portmap_stop(&c->portmap, now);
        }
    }
    if (c->portmap.state == PORTMAP_RESTING) {
        portmap_stop(&c->portmap, now);
    }
}

void netcheck_udp_release(struct adit_netcheck *c, uint64_t now)
{
    portmap_stop(&c->portmap, now);
    if (c->upnp) {
        upnp_uv_stop(c->upnp);
    }
}

/* --- all of it --- */

int netcheck_udp_start(struct adit_netcheck *c)
{
    struct addr local;
    int err = open_socket(c, CHECK_SHARED);
    if (err == 0) {
        err = udp_uv_local(c->sockets[CHECK_SHARED].udp, &local);
    }
    if (err != 0) {
        return err;
    }
    c->host_count = interfaces_uv_list(&local, c->hosts, NETCHECK_HOSTS_MAX);
    for (size_t i = 0; i < c->host_count; i++) {
        netcheck_add_host(&c->netcheck, &c->hosts[i]);
    }
    start_lookups(c);
    start_portmap(c);
    return 0;
}

void netcheck_udp_pump(struct adit_netcheck *c, uint64_t now)
{
    uint8_t buf[DATAGRAM_MAX];
    struct addr to;
    enum netcheck_socket socket;
    size_t len;
    stunclient_tick(&c->stun, now);
    netcheck_tick(&c->netcheck, now);
    portmap_tick(&c->portmap, now);
    take_stun_events(c, now);
    take_portmap_events(c, now);
    while ((len = stunclient_output(&c->stun, &to, buf, sizeof(buf), now)) > 0) {
        send_from(c, CHECK_SHARED, &to, buf, len);
    }
    while ((len = netcheck_output(&c->netcheck, &socket, &to, buf, sizeof(buf), now)) > 0) {
        enum check_place fresh = to.family == ADDR_IPV6 ? CHECK_FRESH_IPV6 : CHECK_FRESH_IPV4;
        send_from(c, socket == NETCHECK_SHARED ? CHECK_SHARED : fresh, &to, buf, len);
    }
    while ((len = portmap_output(&c->portmap, &to, buf, sizeof(buf), now)) > 0) {
        send_from(c, CHECK_PORTMAP, &to, buf, len);
    }
}

bool netcheck_udp_is_over(const struct adit_netcheck *c)
{
    return is_stun_over(c) && netcheck_udp_has_released(c);
}

uint64_t netcheck_udp_next_ns(const struct adit_netcheck *c)
{
    return time_min(stunclient_next_ns(&c->stun),
                    time_min(netcheck_next_ns(&c->netcheck), portmap_next_ns(&c->portmap)));
}

void netcheck_udp_stop(struct adit_netcheck *c)
{
    uint64_t now = sys_now_ns();
    for (size_t i = 0; i < c->lookup_count; i++) {
        if (c->lookups[i].resolve) {
            resolve_uv_cancel(c->lookups[i].resolve);
            c->lookups[i].resolve = NULL;
        }
    }
    if (c->portmap.state == PORTMAP_MAPPED) { /* cancelled at a bad moment */
        portmap_stop(&c->portmap, now);
        netcheck_udp_pump(c, now);
    }
    if (c->upnp) {
        upnp_uv_free(c->upnp);
        c->upnp = NULL;
    }
    for (int place = 0; place < CHECK_SOCKETS; place++) {
        close_socket(c, (enum check_place)place);
    }
}
