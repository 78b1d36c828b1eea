#include "policy/serve.h"

#include "policy/host.h"

#include <string.h>

bool serve_is_meant(const struct target *target)
{
    return target->kind == TARGET_NAME && host_is_in(target->name, "peer");
}

bool serve_fits(const struct config_serve *serve, const struct target *target)
{
    size_t len = strlen(serve->name);
    return target->kind == TARGET_NAME && target->port == serve->port &&
           strncmp(target->name, serve->name, len) == 0 && strcmp(target->name + len, ".peer") == 0;
}

bool serve_allows(const struct config_serve *serve, size_t peer)
{
    bool listed = serve->peers == NULL;
    for (size_t i = 0; i < serve->peers_count && !listed; i++) {
        listed = serve->peers[i] == peer;
    }
    return listed;
}

const struct config_serve *serve_find(const struct config_serve *list, size_t count,
                                      const struct target *target)
{
    for (size_t i = 0; i < count; i++) {
        if (serve_fits(&list[i], target)) {
            return &list[i];
        }
    }
    return NULL;
}
