/* struct client, shared by client.c (accept, negotiate, end), client_target.c (where to),
 * client_socks.c (BIND, UDP ASSOCIATE) and client_http.c (plain HTTP). */
#ifndef APP_CLIENT_INTERNAL_H
#define APP_CLIENT_INTERNAL_H

#include "app/association.h"
#include "app/binder.h"
#include "app/client.h"
#include "app/dialer.h"
#include "app/endpoint.h"
#include "app/pump.h"
#include "policy/route.h"
#include "policy/wish.h"
#include "session/exchange.h"

#include <base/clock.h>

enum { CLIENT_IN = 2048 }; /* a request, and what an eager application sends behind it */

struct client {
    LIST_ENTRY(client) entry;
    struct clients *all;
    struct context *ctx;
    uv_timer_t timer;
    struct front front;
    struct tcp *tcp;                   /* NULL once the pump has it */
    struct dialer *dialer;             /* `direct`: while it dials */
    struct endpoint *end;              /* the stream that is being opened */
    struct binder *binder;             /* BIND and `direct`: while it waits */
    struct association *association;   /* UDP ASSOCIATE */
    struct route route;                /* where to */
    bool reopened;                     /* and once more, after the peer's restart */
    const struct config_front *policy; /* may be NULL */
    const struct auth *auth;           /* may be NULL */
    struct wish wish;                  /* what the user name asks for, request by request */
    struct pump pump;
    /* Plain HTTP: a request and its answer, and a connection that may serve the next one. */
    struct exchange exchange;
    bool relaying; /* the exchange is set up */
    bool reused;
    uint8_t *direct; /* where the request's body is being read to, in the endpoint; or NULL */
    struct endpoint *kept;
    struct target kept_target;
    struct wish kept_wish;
    bool pumping, closing;
    bool ended; /* the application has sent FIN */
    bool by_unix;
    struct addr from; /* once somebody asked, see client_from */
    size_t in_len;
    size_t early; /* bytes of `in` that the stream has, which is not accepted yet */
    uint8_t in[CLIENT_IN];
};

static inline uint64_t client_now(const struct client *c)
{
    return uv_now(c->ctx->loop) * NS_PER_MS;
}

/* Where it comes from; family ADDR_NONE by a unix socket. */
const struct addr *client_from(struct client *c);
/* Out of the list and freed; sockets are gone already. */
void client_forget(struct client *c);
void client_send_output(struct client *c);
/* Looks at the front's next event; `c` may be gone, or be the pump's, afterwards. */
void client_step(struct client *c);

/* Gives the front what was read; `c` may be gone, or be the pump's, afterwards. */
void client_feed(struct client *c);
/* Back to negotiating: reads for the front again. */
void client_listen(struct client *c);
void client_drop(struct client *c);
/* Joins both sides byte by byte. */
void client_pump(struct client *c, struct endpoint *end);

/* The request is complete: go where the route says. */
void client_go(struct client *c);
/* Bytes behind the request go along with it, as far as the stream takes them. */
void client_send_early(struct client *c);
/* No answer in time. */
void client_expire(struct client *c);
/* The request failed: the cause is logged, counted and told. */
void client_refuse(struct client *c, enum cause cause);

/* --- client_socks.c --- */

/* BIND: goes where the target is, and waits there for a connection. */
void client_bind(struct client *c);
/* UDP ASSOCIATE: the connection is held from here on. */
void client_associate(struct client *c);

/* --- client_target.c --- */

/* What the user's name and the listener say about the way. */
struct route_choice client_choice(const struct client *c);
enum adit_lane client_lane(const struct client *c);
/* Opens c->end toward c->route's peer; `on` gets the client as its user. 0 or adit_open's errors.
 */
int client_open(struct client *c, const char *text, const struct endpoint_events *on);
/* Replies and joins both sides; `c` may be gone afterwards. */
void client_connected(struct client *c, struct endpoint *end, const struct addr *bound);
void client_connected_tcp(struct client *c, struct tcp *tcp, const struct addr *bound);
/* Why c->route refuses. */
enum cause client_refusal(const struct client *c);

/* --- client_http.c --- */

/* A plain HTTP request's head goes along with the request for a stream, as far as it has room. */
void client_send_head(struct client *c);
void client_end_exchange(struct client *c);
/* c->end is connected: the request goes there, the answer to the client. */
void client_relay(struct client *c);
/* Takes the kept connection if it leads to `t`; else it is let go. */
bool client_take_kept(struct client *c, const struct target *t);
void client_drop_kept(struct client *c);
/* The PAC file. */
void client_show_pac(struct client *c);

void client_give_up_dialling(struct client *c, enum cause cause);

#endif
