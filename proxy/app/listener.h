/* A place at which applications connect: to the front, or (forwarded) to one target. TCP, or a unix
 * socket that only its user may open and that therefore asks for no password; forwarded also UDP.
 */
#ifndef APP_LISTENER_H
#define APP_LISTENER_H

#include "app/client.h"

#include <base/addr.h>

#include <stdbool.h>

struct listener;

/* `target` NULL: the front; else it is copied. Port 0 = any. 0 or a negative system error (with a
 * log line). */
int listener_start(struct clients *clients, const struct config_listen *at,
                   const struct target *target, struct listener **out);
/* With the port it got; family ADDR_NONE for a unix socket. */
struct addr listener_address(const struct listener *l);
/* The address or the path. */
const char *listener_text(const struct listener *l, char out[CONFIG_SOCKET_PATH_MAX + 1]);
bool listener_forwards(const struct listener *l);
void listener_stop(struct listener *l);

#endif
