/* The datagrams of one source at the front, to wherever the routes lead: a flow (a stream that
 * carries datagrams only, its target "udp") to each peer that is needed, and an outlet here for
 * `direct`. What cannot be carried is dropped and counted.
 */
#ifndef APP_CARRIER_H
#define APP_CARRIER_H

#include "app/context.h"
#include "app/outlet.h"
#include "app/udpsock.h"
#include "policy/route.h"
#include "proto/target.h"

#include <sys/queue.h>

struct leg;

/* What the listener and the user have to say about the way. */
struct carrier_way {
    struct route_choice choice;
    enum adit_lane lane;
};

struct carrier {
    struct context *ctx;
    struct carrier_way way;
    udpsock_received *received;
    void *user;
    struct outlet *outlet; /* NULL until needed */
    LIST_HEAD(, leg) legs;
};

/* `received`: who answers, and what, in a buffer with CONTEXT_HEADROOM. */
void carrier_init(struct carrier *c, struct context *ctx, const struct carrier_way *way,
                  udpsock_received *received, void *user);
void carrier_deinit(struct carrier *c);
/* `data` has CONTEXT_HEADROOM writable bytes before it. */
void carrier_send(struct carrier *c, const struct target *t, uint8_t *data, size_t len);

#endif
