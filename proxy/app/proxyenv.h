/* The HTTP proxy that the environment names: https_proxy, http_proxy, no_proxy, in lower or upper
 * case. */
#ifndef APP_PROXYENV_H
#define APP_PROXYENV_H

#include "policy/httpproxy.h"

#include <base/log.h>

#include <stdbool.h>
#include <stdint.h>

/* The one for a relay with or without TLS; false = none. One that cannot be used is logged, and the
 * relay is reached without it. `log` may be NULL. */
bool proxyenv_find(struct httpproxy *out, bool tls, const char *host, uint16_t port,
                   const struct log *log);

#endif
