#include "os/sockaddr.h"

#include <netinet/in.h>
#include <string.h>

static socklen_t encode_v4(struct sockaddr_storage *out, const struct addr *a)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    memcpy(&sin.sin_addr, a->ip, sizeof(sin.sin_addr));
    memcpy(out, &sin, sizeof(sin));
    return sizeof(sin);
}

static socklen_t encode_v6(struct sockaddr_storage *out, const struct addr *a)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    if (a->family == ADDR_IPV4) {
        memset(sin6.sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(sin6.sin6_addr.s6_addr + 12, a->ip, 4);
    } else {
        memcpy(sin6.sin6_addr.s6_addr, a->ip, sizeof(a->ip));
        sin6.sin6_scope_id = a->scope;
    }
    memcpy(out, &sin6, sizeof(sin6));
    return sizeof(sin6);
}

socklen_t sockaddr_encode(struct sockaddr_storage *out, const struct addr *a, int family)
{
    memset(out, 0, sizeof(*out));
    if (a->family == ADDR_IPV4) {
        return family == AF_INET6 ? encode_v6(out, a) : encode_v4(out, a);
    }
    if (a->family == ADDR_IPV6 && family != AF_INET) {
        return encode_v6(out, a);
    }
    return 0;
}

struct addr sockaddr_decode(const void *sa, socklen_t len)
{
    struct addr a = {0};
    struct sockaddr_storage ss = {0};
    memcpy(&ss, sa, len < sizeof(ss) ? len : sizeof(ss));
    if (ss.ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in sin;
        memcpy(&sin, &ss, sizeof(sin));
        a.family = ADDR_IPV4;
        a.port = ntohs(sin.sin_port);
        memcpy(a.ip, &sin.sin_addr, sizeof(sin.sin_addr));
    } else if (ss.ss_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, &ss, sizeof(sin6));
        a.family = ADDR_IPV6;
        a.port = ntohs(sin6.sin6_port);
        a.scope = sin6.sin6_scope_id;
        memcpy(a.ip, sin6.sin6_addr.s6_addr, sizeof(a.ip));
    }
    return addr_normalize(&a);
}
