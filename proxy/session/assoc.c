#include "session/assoc.h"

void assoc_init(struct assoc *a, const struct addr *client, const struct target *said)
{
    *a = (struct assoc){.client = addr_normalize(client)};
    a->client.port = 0;
    bool address = said->kind == TARGET_ADDRESS;
    if (address && (addr_is_unspecified(&said->addr) || addr_equal_ip(&said->addr, &a->client))) {
        a->client.port = said->port;
    }
}

static bool is_client(const struct assoc *a, const struct addr *from)
{
    if (a->client.family == ADDR_NONE) {
        bool port = a->client.port == 0 || a->client.port == from->port;
        return addr_is_loopback(from) && port;
    }
    return addr_equal_ip(from, &a->client) && (a->client.port == 0 || a->client.port == from->port);
}

enum assoc_verdict assoc_input(struct assoc *a, const struct addr *from, const void *data,
                               size_t len, struct udphead *head)
{
    struct udphead h;
    struct addr plain = addr_normalize(from);
    if (!is_client(a, &plain)) {
        return ASSOC_STRANGER;
    }
    if (udphead_read(&h, true, data, len) != 0 || h.target.port == 0) {
        return ASSOC_MALFORMED;
    }
    if (h.frag != 0) {
        return ASSOC_FRAGMENT;
    }
    a->client = plain;
    a->settled = true;
    *head = h;
    return ASSOC_GOOD;
}

bool assoc_client(const struct assoc *a, struct addr *out)
{
    *out = a->client;
    return a->settled;
}
