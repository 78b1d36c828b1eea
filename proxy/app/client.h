/* One application at the front: negotiates (session/front.h), goes where the route says, is then
 * joined with what was reached. Frees itself; `clients` is the list it is in meanwhile.
 */
#ifndef APP_CLIENT_H
#define APP_CLIENT_H

#include "app/context.h"
#include "app/tcp.h"
#include "policy/auth.h"

#include <sys/queue.h>

struct client;

struct clients {
    struct context *ctx;
    size_t count;
    LIST_HEAD(, client) list;
};

/* How an application came in. */
struct client_door {
    bool is_unix;                     /* who may is told by the system: no password is asked for */
    const struct target *target;      /* not NULL: a forwarded port, no negotiation */
    const struct config_front *front; /* what goes there; NULL: no wishes, nothing forbidden */
    const struct auth *auth;          /* NULL: no password */
};

void clients_init(struct clients *c, struct context *ctx);
/* Resets all of them. */
void clients_stop(struct clients *c);
/* Takes a connection from a listener; beyond the ceiling it is closed at once and counted. False
 * without memory (counted): then nothing was taken. */
bool client_accept(struct clients *c, uv_stream_t *listener, const struct client_door *door);
/* Takes over a unix connection that has spoken already. False at the ceiling or without memory:
 * then it is still the caller's. */
bool client_adopt(struct clients *c, struct tcp *tcp, const void *data, size_t len);

#endif
