/* Joins a TCP connection with an endpoint: bytes both ways, half-close both ways, resets.
 *
 * TCP -> endpoint: the system writes straight into the endpoint's space; reading stops while there
 * is none. Endpoint -> TCP: sent in place; what the system does not take waits in the endpoint,
 * but for one block at most. So a slow reader holds the sender, and nothing grows.
 *
 * A reset keeps its place behind the bytes that came before it, as in TCP: a server that answers
 * 413 and closes with the rest of the upload unread has its answer read.
 *
 * There is no time-out: half-closed connections live as long as both ends want them to.
 */
#ifndef APP_PUMP_H
#define APP_PUMP_H

#include "app/endpoint.h"
#include "app/tcp.h"

struct pump {
    struct tcp *tcp;
    struct endpoint *end;
    const uint8_t *early; /* bytes of the TCP side that came before the pump */
    size_t early_len;
    bool deaf;      /* the TCP side takes nothing any more: what it has said is read to the end */
    bool tcp_ended; /* nothing more comes from the TCP side, */
    bool told_end;  /* and the endpoint knows */
    bool end_ended; /* the endpoint's end has been passed on, */
    bool fin_out;   /* and sent */
    enum cause broken;
    void (*over)(void *user);
    void *user;
};

/* What the pump takes over. */
struct pump_parts {
    struct tcp *tcp;
    struct endpoint *end;
    const uint8_t *early; /* lives as long as the pump */
    size_t early_len;
    bool tcp_ended;    /* the TCP side has sent FIN already */
    enum cause broken; /* what the endpoint is told when the TCP side breaks */
};

/* `over` is called once, when both parts are gone: perhaps before this returns. */
void pump_start(struct pump *p, const struct pump_parts *parts, void (*over)(void *user),
                void *user);
/* Breaks both off. `over` is not called. */
void pump_stop(struct pump *p, enum cause cause);

#endif
