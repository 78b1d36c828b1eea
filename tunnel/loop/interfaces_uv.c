#include "loop/interfaces_uv.h"

#include "os/sockaddr.h"

#include <uv.h>

size_t interfaces_uv_list(const struct addr *local, struct addr *out, size_t cap)
{
    uv_interface_address_t *list;
    int count;
    size_t kept = 0;
    if (!addr_is_unspecified(local)) {
        out[0] = *local;
        return 1;
    }
    if (uv_interface_addresses(&list, &count) != 0) {
        return 0;
    }
    for (int i = 0; i < count && kept < cap; i++) {
        struct addr addr = sockaddr_decode(&list[i].address, sizeof(list[i].address));
        bool heard = local->family == ADDR_IPV6 || addr.family == ADDR_IPV4;
        if (addr.family != ADDR_NONE && heard && !addr_is_link_local(&addr)) {
            addr.port = local->port;
            addr.scope = 0;
            out[kept++] = addr;
        }
    }
    uv_free_interface_addresses(list, count);
    return kept;
}
