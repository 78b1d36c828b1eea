/* The PAC file: the routes as the JavaScript function that browsers ask which proxy to take.
 *
 * What a route sends to a peer, or refuses by name, goes to the front; `direct` and everything that
 * no route names is left to the browser, so that it goes on working for the rest of the web. The
 * longest pattern wins, as in policy/route.h, and no name is ever resolved for it.
 */
#ifndef SESSION_PAC_H
#define SESSION_PAC_H

#include "policy/config.h"

#include <stdbool.h>
#include <stddef.h>

enum { PAC_PROXY_MAX = TARGET_TEXT_MAX };

/* "HOST:PORT" of the front as the browser wrote it in its Host header: only an IP, "localhost" or
 * this node's name, so that another site's name cannot be pointed at us to read the routes (DNS
 * rebinding). False for others. */
bool pac_proxy(char out[PAC_PROXY_MAX], const struct config *config, const char *host, size_t len);

/* For who came in at `front` (NULL: [front] itself). To be freed with mem_free; NULL without
 * memory. */
char *pac_text(const struct config *config, const struct config_front *front, const char *proxy);

#endif
