/* A UDP socket (os/udp.h) on a libuv loop.
 *
 * When datagrams are there the clock is read once and on_batch is called for each batch, a bounded
 * number of times, so that streams on the same loop get their turn; what is left comes in the next
 * round. Everything happens on the loop's thread. Callbacks may send, open others, and close this
 * one: after udp_uv_close no callback comes any more.
 */
#ifndef LOOP_UDP_UV_H
#define LOOP_UDP_UV_H

#include "os/udp.h"

#include <uv.h>

/* Batches of one round: 16 reads of up to 64 datagrams each, some milliseconds of work when they
 * are full. */
enum { UDP_UV_ROUND_BATCHES = 1 };

struct udp_uv;

struct udp_uv_callbacks {
    /* The batch is filled and its cursor at the start; it is the callee's until it returns. */
    void (*on_batch)(void *user, struct udp_batch *batch, uint64_t now);
    /* Once after a udp_uv_send returned -EAGAIN: there is room again. */
    void (*on_writable)(void *user, uint64_t now);
    /* The system took the socket away (-errno): nothing is read any more; close it and open
     * another. May be NULL. */
    void (*on_error)(void *user, int err, uint64_t now);
};

/* `batch` are receive buffers that sockets of this loop may share (they outlive all of these); NULL
 * = own ones, 1 MiB. `callbacks` must live as long as the socket. 0, ERR_NO_MEMORY, -errno or a
 * libuv error; *out is set on success only. */
int udp_uv_open(uv_loop_t *loop, const struct udp_options *options, struct udp_batch *batch,
                const struct udp_uv_callbacks *callbacks, void *user, struct udp_uv **out);

/* Stops at once; memory and descriptor go when libuv has closed the handle. */
void udp_uv_close(struct udp_uv *u);

/* udp_send, and on -EAGAIN an on_writable to come. */
int udp_uv_send(struct udp_uv *u, const struct addr *to, const uint8_t *data, size_t len,
                size_t segment, size_t *sent);

/* As udp_set_hops, for what is sent from now on. */
int udp_uv_set_hops(struct udp_uv *u, int hops);

/* The buffers of a socket that was opened with smaller ones become those of the default. */
void udp_uv_grow(struct udp_uv *u);

/* udp_batch_sends. */
void udp_uv_batch_sends(struct udp_uv *u, bool on);

/* Reads what has arrived by now, as when the loop finds it readable: on_batch may be called. For
 * who is about to believe a timeout: timers run before sockets are looked at, and after a pause of
 * the whole process the answer may be there. */
void udp_uv_catch_up(struct udp_uv *u, uint64_t now);

int udp_uv_local(const struct udp_uv *u, struct addr *out);

/* udp_lend, udp_return. What is lent is used no more when udp_uv_close is called. */
struct udp_socket udp_uv_lend(const struct udp_uv *u);
void udp_uv_return(struct udp_uv *u, const struct udp_socket *lent);

/* For its capabilities and counters. */
const struct udp_socket *udp_uv_socket(const struct udp_uv *u);

#endif
