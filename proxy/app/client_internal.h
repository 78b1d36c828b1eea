/* struct client, shared by client.c (accept, negotiate, end) and client_target.c (where to). */
#ifndef APP_CLIENT_INTERNAL_H
#define APP_CLIENT_INTERNAL_H

#include "app/client.h"
#include "app/dialer.h"
#include "app/endpoint.h"
#include "app/pump.h"

#include <base/clock.h>

enum { CLIENT_IN = 2048 }; /* a request, and what an eager application sends behind it */

struct client {
    LIST_ENTRY(client) entry;
    struct clients *all;
    struct context *ctx;
    uv_timer_t timer;
    struct front front;
    struct tcp *tcp;       /* NULL once the pump has it */
    struct dialer *dialer; /* `direct`: while it dials */
    struct endpoint *end;  /* the stream that is being opened */
    size_t peer;           /* where to, for the cause of an expiry */
    struct pump pump;
    bool pumping, closing;
    bool ended; /* the application has sent FIN */
    size_t in_len;
    uint8_t in[CLIENT_IN];
};

static inline uint64_t client_now(const struct client *c)
{
    return uv_now(c->ctx->loop) * NS_PER_MS;
}

/* Out of the list and freed; sockets are gone already. */
void client_forget(struct client *c);
void client_send_output(struct client *c);
/* Looks at the front's next event; `c` may be gone, or be the pump's, afterwards. */
void client_step(struct client *c);

/* The request is complete: go where the route says. */
void client_go(struct client *c);
/* No answer in time. */
void client_expire(struct client *c);
void client_give_up_dialling(struct client *c, enum cause cause);

#endif
