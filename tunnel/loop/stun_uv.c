#include "loop/stun_uv.h"

#include "loop/udp_uv.h"
#include "os/sysrng.h"

#include <base/err.h>
#include <base/mem.h>

enum { SITES = 2, FIRST = 0, SECOND = STUN_SITE_SOCKETS - 1 };

enum { REOPEN_MS = 1000 };

struct stun_socket {
    struct site *site;
    struct udp_uv *udp; /* NULL = not open */
    bool lost;
    unsigned index;
};

struct site {
    struct stun_uv *owner;
    struct stun_site core;
    struct stun_socket sockets[STUN_SITE_SOCKETS];
    size_t given; /* addresses of the configuration */
};

struct stun_uv {
    uv_loop_t *loop;
    uv_timer_t reopen;
    const struct log *log;
    struct stun_server server;
    struct site sites[SITES]; /* IPv4, IPv6 */
    struct stun_socket *given[STUN_UV_ADDRESSES_MAX];
    size_t given_count;
};

/* An answer that the socket does not take is lost, as the network may lose it: clients ask again.
 */
static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    struct stun_socket *socket = user;
    struct site *site = socket->site;
    struct udp_datagram d;
    struct stun_reply reply;
    while (udp_batch_next(batch, &d)) {
        stun_server_input(&site->owner->server, &site->core, socket->index, &d.from, d.data, d.len,
                          now, &reply);
        if (reply.len > 0 && site->sockets[reply.via].udp) {
            (void)udp_uv_send(site->sockets[reply.via].udp, &d.from, reply.data, reply.len, 0,
                              NULL);
        }
    }
}

static void on_writable(void *user, uint64_t now)
{
    (void)user;
    (void)now;
}

static void on_error(void *user, int err, uint64_t now);

static int bind_socket(uv_loop_t *loop, struct site *site, unsigned index, const struct addr *at)
{
    static const struct udp_uv_callbacks callbacks = {
        .on_batch = on_batch, .on_writable = on_writable, .on_error = on_error};
    struct stun_socket *socket = &site->sockets[index];
    struct udp_options options = {.bind = at};
    socket->site = site;
    socket->index = index;
    int err = udp_uv_open(loop, &options, NULL, &callbacks, socket, &socket->udp);
    if (err != 0) {
        return err;
    }
    err = udp_uv_local(socket->udp, &site->core.at[index]);
    if (err != 0) {
        udp_uv_close(socket->udp);
        socket->udp = NULL;
    }
    return err;
}

static int open_socket(uv_loop_t *loop, struct site *site, unsigned index, const struct addr *at)
{
    char text[ADDR_TEXT_MAX];
    int err = bind_socket(loop, site, index, at);
    if (err != 0) {
        LOG_AT(site->owner->log, LOG_ERROR, "stun_server", "not_bound", "address=%s why=\"%s\"",
               addr_format(at, text), uv_strerror(err));
    }
    return err;
}

static void on_reopen(uv_timer_t *timer)
{
    struct stun_uv *s = timer->data;
    for (size_t i = 0; i < SITES * STUN_SITE_SOCKETS; i++) {
        struct site *site = &s->sites[i / STUN_SITE_SOCKETS];
        struct stun_socket *socket = &site->sockets[i % STUN_SITE_SOCKETS];
        struct addr at = site->core.at[socket->index];
        if (socket->lost && bind_socket(s->loop, site, socket->index, &at) == 0) {
            socket->lost = false;
        } else if (socket->lost) {
            (void)uv_timer_start(timer, on_reopen, REOPEN_MS, 0);
        }
    }
}

static void on_error(void *user, int err, uint64_t now)
{
    struct stun_socket *socket = user;
    struct stun_uv *s = socket->site->owner;
    char text[ADDR_TEXT_MAX];
    (void)now;
    LOG_AT(s->log, LOG_ERROR, "stun_server", "socket_lost", "address=%s why=\"%s\"",
           addr_format(&socket->site->core.at[socket->index], text), uv_strerror(err));
    udp_uv_close(socket->udp);
    socket->udp = NULL;
    socket->lost = true;
    (void)uv_timer_start(&s->reopen, on_reopen, 0, 0);
}

/* The IP of one and the port of the other, both ways. */
static int complete(uv_loop_t *loop, struct site *site)
{
    const struct addr *first = &site->core.at[FIRST];
    const struct addr *second = &site->core.at[SECOND];
    if (first->port == second->port || addr_equal_ip(first, second)) {
        return ERR_REFUSED;
    }
    for (unsigned index = FIRST + 1; index < SECOND; index++) {
        struct addr at = index & 2 ? *second : *first;
        at.port = index & 1 ? second->port : first->port;
        int err = open_socket(loop, site, index, &at);
        if (err != 0) {
            return err;
        }
    }
    site->core.whole = true;
    return 0;
}

static int add(uv_loop_t *loop, struct stun_uv *s, const struct addr *given)
{
    struct addr at = addr_normalize(given);
    struct site *site = &s->sites[at.family == ADDR_IPV6];
    unsigned index = site->given == 0 ? FIRST : SECOND;
    if (site->given == 2) {
        return ERR_REFUSED;
    }
    int err = open_socket(loop, site, index, &at);
    if (err != 0) {
        return err;
    }
    s->given[s->given_count++] = &site->sockets[index];
    site->given++;
    return site->given == 2 ? complete(loop, site) : 0;
}

int stun_uv_start(uv_loop_t *loop, const struct addr *addresses, size_t count,
                  const struct log *log, struct stun_uv **out)
{
    struct stun_uv *s = mem_new(1, sizeof(*s));
    int err = count <= STUN_UV_ADDRESSES_MAX ? 0 : ERR_REFUSED;
    if (!s) {
        return ERR_NO_MEMORY;
    }
    s->loop = loop;
    s->log = log;
    (void)uv_timer_init(loop, &s->reopen);
    s->reopen.data = s;
    s->sites[0].owner = s;
    s->sites[1].owner = s;
    stun_server_init(&s->server, sys_rng());
    for (size_t i = 0; i < count && err == 0; i++) {
        err = add(loop, s, &addresses[i]);
    }
    if (err != 0) {
        stun_uv_stop(s);
        return err;
    }
    *out = s;
    return 0;
}

int stun_uv_address(const struct stun_uv *s, size_t i, struct addr *out)
{
    if (i >= s->given_count) {
        return ERR_NOT_FOUND;
    }
    *out = s->given[i]->site->core.at[s->given[i]->index];
    return 0;
}

const struct stun_server_stats *stun_uv_stats(const struct stun_uv *s)
{
    return &s->server.stats;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void stun_uv_stop(struct stun_uv *s)
{
    for (size_t i = 0; i < SITES; i++) {
        for (size_t k = 0; k < STUN_SITE_SOCKETS; k++) {
            if (s->sites[i].sockets[k].udp) {
                udp_uv_close(s->sites[i].sockets[k].udp);
            }
        }
    }
    uv_close((uv_handle_t *)&s->reopen, on_closed);
}
