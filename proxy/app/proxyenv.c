#include "app/proxyenv.h"

#include <stdlib.h>

static const char *variable(const char *lower, const char *upper, const char **name)
{
    const char *value = getenv(lower);
    *name = value && value[0] ? lower : upper;
    value = getenv(*name);
    return value && value[0] ? value : NULL;
}

bool proxyenv_find(struct httpproxy *out, bool tls, const char *host, uint16_t port,
                   const struct log *log)
{
    const char *name;
    const char *except = variable("no_proxy", "NO_PROXY", &name);
    const char *value = tls ? variable("https_proxy", "HTTPS_PROXY", &name)
                            : variable("http_proxy", "HTTP_PROXY", &name);
    if (!value || httpproxy_excepts(except, host, port)) {
        return false;
    }
    const char *why = httpproxy_parse(out, value);
    if (why) {
        LOG_AT(log, LOG_WARN, "relay", "proxy_not_usable", "variable=%s why=\"%s\"", name, why);
    }
    return !why;
}
