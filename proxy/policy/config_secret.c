/* Secrets in the ini: what error messages leave out, what belongs into a file of its own, and
 * whether the ini itself has a password in it. */
#include "policy/config_internal.h"

#include <stdio.h>
#include <string.h>

void config_hide(const struct config_parser *p, char *text)
{
    char *from = strchr(text, '"');
    if (!p->value || !strchr(p->value, '@') || !from) {
        return;
    }
    char *to = strrchr(from + 1, '"');
    to = to ? to : text + strlen(text); /* the message was cut */
    char *scheme = strstr(from, "://");
    from = scheme && scheme + 3 <= to ? scheme + 3 : from + 1;
    if (to - from > 3) {
        memcpy(from, "...", 3);
        memmove(from + 3, to, strlen(to) + 1);
    }
}

/* In base64 of either alphabet or hex: not what files are called. */
static bool is_key(const char *value)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = strlen(value);
    size_t run = strspn(value, base64);
    while (run < len && strchr("+/-_", value[run])) {
        run += 1 + strspn(value + run + 1, base64);
    }
    return (len == 43 && run == len && !strchr(value, '/')) ||
           (len == 44 && run == len - 1 && value[run] == '=') ||
           (len == 64 && strspn(value, "0123456789abcdefABCDEF") == len);
}

const char *config_secret_itself(const char *value)
{
    const char *colon = strchr(value, ':');
    if (is_key(value)) {
        return "is a key itself: put it into a file, which nobody else may read";
    }
    if (colon && colon > value && colon[1] && !strchr(value, '/')) {
        return "is NAME:PASSWORD itself: put it into a file, which nobody else may read";
    }
    return NULL;
}

static bool has_login(const struct config_proxy *p)
{
    return p->kind == CONFIG_PROXY_GIVEN && p->at->login[0] != '\0';
}

const char *config_find_password(const struct config *config, char out[CONFIG_PASSWORD_PLACE])
{
    for (size_t i = 0; i < config->relays.count; i++) {
        if (has_login(&config->relays.items[i].proxy)) {
            (void)snprintf(out, CONFIG_PASSWORD_PLACE, "[relay %s] proxy",
                           config->relays.items[i].name);
            return out;
        }
    }
    for (size_t i = 0; i < config->server.cluster.count; i++) {
        if (strchr(config->server.cluster.items[i], '@')) {
            return "[server] cluster";
        }
    }
    return has_login(&config->exit.upstream) ? "[exit] upstream" : NULL;
}
