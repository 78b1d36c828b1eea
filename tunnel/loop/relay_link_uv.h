/* The TCP connection to one relay, driven by libuv: resolve, connect, and carry the bytes that the
 * node's relay client makes and wants. When to connect and when to give up is the node's to say.
 */
#ifndef LOOP_RELAY_LINK_UV_H
#define LOOP_RELAY_LINK_UV_H

#include "node/node.h"

#include <uv.h>

struct relay_link_uv;

struct relay_link_options {
    uv_loop_t *loop;
    struct node *node;
    size_t relay;     /* index at the node */
    const char *host; /* outlives the link */
    uint16_t port;
    void (*on_activity)(void *user); /* the node was given something: events and output may wait */
    void *user;
};

/* NULL when out of memory. */
struct relay_link_uv *relay_link_new(const struct relay_link_options *options);
/* Closes what is open; memory goes when libuv is done with it. The node hears nothing any more. */
void relay_link_free(struct relay_link_uv *l);

void relay_link_connect(struct relay_link_uv *l);
void relay_link_close(struct relay_link_uv *l);
/* Writes what the node offers, as far as the connection takes it. */
void relay_link_flush(struct relay_link_uv *l);

#endif
