#include "app/lookup.h"

#include "app/tcp.h"
#include "policy/host.h"

#include <base/mem.h>

#include <netdb.h>

struct lookup {
    uv_getaddrinfo_t req;
    void (*done)(void *user, const struct addr *addrs, size_t count); /* NULL: cancelled */
    void *user;
};

size_t lookup_localhost(const char *name, struct addr addrs[LOOKUP_ADDRS_MAX])
{
    if (!host_is_in(name, "localhost")) {
        return 0;
    }
    addrs[0] = addr_ipv4(127, 0, 0, 1, 0);
    addrs[1] = (struct addr){.family = ADDR_IPV6, .ip = {[15] = 1}};
    return 2;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *l = req->data;
    struct addr addrs[LOOKUP_ADDRS_MAX];
    size_t count = 0;
    struct addrinfo *i = status == 0 ? list : NULL;
    for (; i && count < LOOKUP_ADDRS_MAX; i = i->ai_next) {
        struct addr a = tcp_addr(i->ai_addr);
        if (a.family != ADDR_NONE) {
            addrs[count++] = addr_normalize(&a);
        }
    }
    uv_freeaddrinfo(list);
    if (l->done) {
        l->done(l->user, addrs, count);
    }
    mem_free(l);
}

struct lookup *lookup_start(uv_loop_t *loop, const char *name,
                            void (*done)(void *user, const struct addr *addrs, size_t count),
                            void *user)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_family = AF_UNSPEC};
    struct lookup *l = mem_new(1, sizeof(*l));
    if (!l) {
        return NULL;
    }
    l->req.data = l;
    l->done = done;
    l->user = user;
    if (uv_getaddrinfo(loop, &l->req, on_resolved, name, NULL, &hints) != 0) {
        mem_free(l);
        return NULL;
    }
    return l;
}

void lookup_cancel(struct lookup *l)
{
    l->done = NULL;
    (void)uv_cancel((uv_req_t *)&l->req); /* if it has not begun */
}
