/* The connection to one relay, driven by libuv: a channel that carries the bytes that the node's
 * relay client makes and wants. When to connect and when to give up is the node's to say.
 */
#ifndef LOOP_RELAY_LINK_UV_H
#define LOOP_RELAY_LINK_UV_H

#include "node/node.h"
#include "os/tls.h"

#include <adit/adit.h>
#include <uv.h>

struct relay_link_uv;

struct relay_link_options {
    uv_loop_t *loop;
    struct node *node;
    size_t relay; /* index at the node */
    /* Where it is and how to get there; copied. */
    const struct adit_relay_config *config;
    void (*on_activity)(void *user); /* the node was given something: events and output may wait */
    void *user;
};

/* 0 and *out, or a negative error with what is wrong in `why`. */
int relay_link_new(const struct relay_link_options *options, struct relay_link_uv **out,
                   char why[TLS_WHY_MAX]);
/* Closes what is open; memory goes when libuv is done with it. The node hears nothing any more. */
void relay_link_free(struct relay_link_uv *l);

void relay_link_connect(struct relay_link_uv *l);
void relay_link_close(struct relay_link_uv *l);
/* Writes what the node offers, as far as the connection takes it, and lets it read on: between two
 * calls it reads no more than a round's worth, which is less if there is haste. */
void relay_link_flush(struct relay_link_uv *l, bool hasty);

#endif
