/* A place at which applications connect: to the front, or (forwarded) to one target. TCP, or a unix
 * socket that only its user may open (or those that the ini lists) and that therefore asks for no
 * password. What is forwarded may be UDP, too.
 */
#ifndef APP_LISTENER_H
#define APP_LISTENER_H

#include "app/client.h"

#include <base/addr.h>

#include <stdbool.h>

struct listener;

/* The door says who comes in: without a target it is the front's. The target is copied, the rest of
 * the door outlives the listener; its is_unix is set here. Port 0 = any. 0 or a negative system
 * error (with a log line). */
int listener_start(struct clients *clients, const struct config_listen *at,
                   const struct client_door *door, struct listener **out);
/* With the port it got; family ADDR_NONE for a unix socket. */
struct addr listener_address(const struct listener *l);
/* The address or the path. */
const char *listener_text(const struct listener *l, char out[CONFIG_SOCKET_PATH_MAX + 1]);
bool listener_forwards(const struct listener *l);
void listener_stop(struct listener *l);

#endif
