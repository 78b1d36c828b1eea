/* One application at the front: negotiates (session/front.h), goes where the route says, is then
 * joined with what was reached. Frees itself; `clients` is the list it is in meanwhile.
 */
#ifndef APP_CLIENT_H
#define APP_CLIENT_H

#include "app/context.h"
#include "app/tcp.h"

#include <sys/queue.h>

struct client;

struct clients {
    struct context *ctx;
    size_t count;
    LIST_HEAD(, client) list;
};

void clients_init(struct clients *c, struct context *ctx);
/* Resets all of them. */
void clients_stop(struct clients *c);
/* Takes a connection from a listener; beyond the ceiling it is closed at once and counted. */
void client_accept(struct clients *c, uv_stream_t *listener);

#endif
