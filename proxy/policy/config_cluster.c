/* Where the relays of a cluster meet: URLs of NATS servers. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <base/mem.h>

#include <sodium.h>
#include <string.h>

enum { CLUSTER_URLS_MAX = 16, CLUSTER_LOGIN_MAX = 256, CLUSTER_PORT = 4222 };

/* Behind the scheme, and behind a name and password or a token; NULL: it is no such URL. */
static const char *host_of(const char *item)
{
    static const char *const schemes[] = {"nats://", "tls://"};
    const char *host = NULL;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && !host; i++) {
        size_t len = strlen(schemes[i]);
        host = strncmp(item, schemes[i], len) == 0 ? item + len : NULL;
    }
    const char *at = host ? strrchr(host, '@') : NULL;
    return !at ? host : at - host <= CLUSTER_LOGIN_MAX ? at + 1 : NULL;
}

/* The text is not shown: it may have a password. */
void config_take_cluster(struct config_parser *p, struct config_cluster *list, const char *item)
{
    char name[CONFIG_HOST_MAX + 1];
    uint16_t port = CLUSTER_PORT;
    const char *host = host_of(item);
    if (!host || !host_split(name, &port, host, strlen(host)) || port == 0) {
        config_fail_value(p, "is no URL of a NATS server");
        return;
    }
    char **items = config_grow(p, list->items, list->count, sizeof(*items), CLUSTER_URLS_MAX);
    if (!items) {
        return;
    }
    list->items = items;
    list->items[list->count] = mem_text(item);
    p->no_memory = p->no_memory || !list->items[list->count];
    list->count += list->items[list->count] != NULL;
}

void config_free_cluster(struct config_cluster *list)
{
    for (size_t i = 0; i < list->count; i++) {
        sodium_memzero(list->items[i], strlen(list->items[i]));
        mem_free(list->items[i]);
    }
    mem_free(list->items);
}
