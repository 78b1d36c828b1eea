/* One plain HTTP request and its answer on their way through the front (RFC 9110 section 7.6).
 *
 * The heads are rewritten (proto/httpedit.h), the bodies pass as they are. A core: the caller has
 * the two connections.
 *
 *     exchange_head -> to the target, then the bytes that exchange_body accepts
 *     bytes of the target -> exchange_answer -> to the client, until the state is not RUNNING
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "proto/httpmsg.h"
#include "proto/httpreq.h"

#include <stdbool.h>
#include <stddef.h>

enum exchange_state {
    EXCHANGE_RUNNING,
    EXCHANGE_DONE,     /* the answer is complete */
    EXCHANGE_SWITCHED, /* 101: from here on both directions are bytes */
    EXCHANGE_BROKEN,   /* the answer, or the request's body, is malformed or cut short */
};

struct exchange {
    enum exchange_state state;
    struct httpmsg *request;      /* borrowed, as is what it says */
    const struct httpreq *wanted; /* */
    struct httpmsg *response;
    char *head; /* for the target */
    size_t head_at, head_len;
    char *answer_head; /* for the client */
    bool began;        /* something of the answer was passed on */
    bool bodiless;     /* the request has no body */
    bool keeps_client;
};

/* 0 or ERR_NO_MEMORY; to be ended with exchange_deinit in any case. The request's head is there. */
int exchange_init(struct exchange *x, struct httpmsg *request, const struct httpreq *wanted);
void exchange_deinit(struct exchange *x);

/* What is left of the request's head; exchange_head_sent takes bytes off it. */
size_t exchange_head(const struct exchange *x, const char **at);
void exchange_head_sent(struct exchange *x, size_t len);
/* Does the request's body go on? */
bool exchange_wants_body(const struct exchange *x);
/* How many bytes at the start of `data` are the request's body. */
size_t exchange_body(struct exchange *x, const void *data, size_t len);

/* Bytes of the target: returns how many were taken, and what goes to the client for them (in `data`
 * or in the exchange, until the next call). Both may be 0, and then the state says why. */
size_t exchange_answer(struct exchange *x, const void *data, size_t len, const char **out,
                       size_t *out_len);
/* The target has finished. */
void exchange_target_end(struct exchange *x);

enum exchange_state exchange_state(const struct exchange *x);
/* DONE: may the connection be used again? */
bool exchange_keeps_client(const struct exchange *x);
bool exchange_keeps_target(const struct exchange *x);
/* BROKEN: nothing was passed on, so an error can be told; and the request may be sent again. */
bool exchange_is_silent(const struct exchange *x);
bool exchange_may_repeat(const struct exchange *x);

#endif
