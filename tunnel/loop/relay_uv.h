/* A relay on libuv: TCP listeners and connections that drive relay_server.
 *
 * One set of buffers serves all. Who says little is heard first, and those with much to say or to
 * hear take turns (relay_uv_turns.c), so that none of them makes the others wait. Writes go out as
 * stream_uv.h has it, a whole queue in one system call. No allocation per packet. All calls and
 * callbacks happen on the loop's thread.
 */
#ifndef LOOP_RELAY_UV_H
#define LOOP_RELAY_UV_H

#include "loop/cluster_nats.h"
#include "os/tls.h"
#include "relay/relay_server.h"

#include <base/addr.h>

#include <stddef.h>
#include <uv.h>

enum { RELAY_UV_LISTEN_MAX = 16 };

struct relay_uv;

struct relay_uv_config {
    const struct addr *listen; /* port 0 = any */
    size_t listen_count;       /* with listen_tls_count 1..RELAY_UV_LISTEN_MAX */
    const struct addr *listen_tls;
    size_t listen_tls_count;
    struct tls_context *tls;                   /* for listen_tls; borrowed until the stop is done */
    const struct cluster_nats_config *cluster; /* NULL = this relay is alone */
    struct relay_server_config server;         /* its cluster is filled in */
};

/* Listens. 0 and *out, or a negative error (libuv's or ours); on failure the loop may have handles
 * left to close, so run it once more before closing it. */
int relay_uv_start(uv_loop_t *loop, const struct relay_uv_config *config, struct relay_uv **out);

/* Where the i-th listener is bound, those with TLS last. 0 or a negative error. */
int relay_uv_address(const struct relay_uv *r, size_t i, struct addr *out);
const struct relay_server_stats *relay_uv_stats(const struct relay_uv *r);

/* relay_server_reload. 0 or ERR_NO_MEMORY: then all is as it was. */
int relay_uv_reload(struct relay_uv *r, const struct relay_server_config *config);

/* Accepts no one any more, tells all clients to come back later (relay_server_drain), and stops
 * like relay_uv_stop when all of them have left, but after wait_ns at the latest. */
void relay_uv_drain(struct relay_uv *r, uint64_t wait_ns, void (*done)(void *user), void *user);

/* Closes everything and frees r, then calls done(user), if not NULL, from the loop. */
void relay_uv_stop(struct relay_uv *r, void (*done)(void *user), void *user);

#endif
