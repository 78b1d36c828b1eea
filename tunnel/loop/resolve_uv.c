#include "loop/resolve_uv.h"

#include "os/sockaddr.h"

#include <base/err.h>
#include <base/mem.h>

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

struct resolve_uv {
    union {
        uv_getaddrinfo_t request; /* a name */
        uv_timer_t timer;         /* a literal: answers in the loop's next round */
    } uv;
    bool literal;
    resolve_uv_cb *cb; /* NULL once cancelled */
    void *user;
    uint16_t port;
    size_t count;
    struct addr addrs[RESOLVE_UV_ADDRS_MAX];
};

static void add(struct resolve_uv *r, struct addr a)
{
    if (a.family != ADDR_NONE && r->count < RESOLVE_UV_ADDRS_MAX) {
        a.port = r->port;
        r->addrs[r->count++] = a;
    }
}

static void answer(struct resolve_uv *r, int status)
{
    if (status == 0 && r->count == 0) {
        status = UV_EAI_NODATA; /* only families that we do not speak */
    }
    if (r->cb) {
        r->cb(r->user, status, r->addrs, status == 0 ? r->count : 0);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolve_uv *r = request->data;
    for (const struct addrinfo *i = list; i && status == 0; i = i->ai_next) {
        add(r, sockaddr_decode(i->ai_addr, i->ai_addrlen));
    }
    uv_freeaddrinfo(list);
    answer(r, status);
    mem_free(r);
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void on_timer(uv_timer_t *timer)
{
    answer(timer->data, 0);
    uv_close((uv_handle_t *)timer, on_timer_closed);
}

static int start_literal(struct resolve_uv *r, uv_loop_t *loop, const struct addr *a)
{
    r->literal = true;
    add(r, addr_normalize(a));
    (void)uv_timer_init(loop, &r->uv.timer); /* these two cannot fail */
    r->uv.timer.data = r;
    return uv_timer_start(&r->uv.timer, on_timer, 0, 0);
}

/* One socket type, or every address would come three times. */
static int start_name(struct resolve_uv *r, uv_loop_t *loop, const char *host)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    r->uv.request.data = r;
    return uv_getaddrinfo(loop, &r->uv.request, on_resolved, host, NULL, &hints);
}

/* A zone ("[fe80::1%eth0]") is the system's to read, which knows no brackets. */
static const char *strip_brackets(char copy[RESOLVE_UV_HOST_MAX + 1], const char *host, size_t len)
{
    if (len < 2 || host[0] != '[' || host[len - 1] != ']') {
        return host;
    }
    memcpy(copy, host + 1, len - 2);
    copy[len - 2] = '\0';
    return copy;
}

int resolve_uv_start(uv_loop_t *loop, const char *host, uint16_t port, resolve_uv_cb *cb,
                     void *user, struct resolve_uv **out)
{
    struct addr a;
    char copy[RESOLVE_UV_HOST_MAX + 1];
    size_t len = strlen(host);
    if (len == 0 || len > RESOLVE_UV_HOST_MAX) {
        return UV_EINVAL;
    }
    struct resolve_uv *r = mem_new(1, sizeof(*r));
    if (!r) {
        return ERR_NO_MEMORY;
    }
    r->cb = cb;
    r->user = user;
    r->port = port;
    int rc = addr_parse_ip(&a, host) == 0 ? start_literal(r, loop, &a)
                                          : start_name(r, loop, strip_brackets(copy, host, len));
    if (rc < 0) {
        mem_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void resolve_uv_cancel(struct resolve_uv *r)
{
    r->cb = NULL;
    if (r->literal) {
        uv_close((uv_handle_t *)&r->uv.timer, on_timer_closed);
    } else {
        (void)uv_cancel((uv_req_t *)&r->uv.request); /* busy = ends by itself */
    }
}
