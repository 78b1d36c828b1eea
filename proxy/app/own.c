#include "app/own.h"

#include "app/tcp.h"
#include "policy/acl.h"

void own_init(struct own *o)
{
    LIST_INIT(&o->places);
}

void own_add(struct own *o, struct own_place *p)
{
    LIST_INSERT_HEAD(&o->places, p, entry);
}

void own_remove(struct own_place *p)
{
    LIST_REMOVE(p, entry);
}

/* Without a list of the interfaces every address might be ours. */
static bool is_of_this_machine(const struct addr *a)
{
    uv_interface_address_t *list = NULL;
    int count = 0;
    if (addr_is_loopback(a) || uv_interface_addresses(&list, &count) != 0) {
        return true;
    }
    bool found = false;
    for (int i = 0; i < count && !found; i++) {
        struct addr have = tcp_addr((const struct sockaddr *)&list[i].address);
        have.scope = 0;
        found = addr_equal_ip(&have, a);
    }
    uv_free_interface_addresses(list, count);
    return found;
}

bool own_has(const struct own *o, const struct addr *addr, bool udp)
{
    struct addr a = acl_normalize(addr);
    const struct own_place *p;
    a.scope = 0;
    LIST_FOREACH (p, &o->places, entry) {
        bool all = addr_is_unspecified(&p->addr);
        if (p->udp != udp || p->addr.port != a.port || (all && p->addr.family != a.family)) {
            continue;
        }
        if (all ? is_of_this_machine(&a) : addr_equal_ip(&p->addr, &a)) {
            return true;
        }
    }
    return false;
}
