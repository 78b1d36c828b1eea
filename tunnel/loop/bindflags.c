#include "loop/bindflags.h"

#include <uv.h>

static bool has_ipv4_port(const struct addr *list, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].family == ADDR_IPV4 && list[i].port == port && port != 0) {
            return true;
        }
    }
    return false;
}

unsigned bindflags_of(const struct relay_uv_config *config, const struct addr *where)
{
    bool both = has_ipv4_port(config->listen, config->listen_count, where->port) ||
                has_ipv4_port(config->listen_tls, config->listen_tls_count, where->port);
    return where->family == ADDR_IPV6 && both ? UV_TCP_IPV6ONLY : 0;
}
