/* The messaging of a cluster of relays: NATS, by the library cnats.
 *
 * Nothing of the library is called on the loop's thread: its calls wait for a lock that it holds
 * while it connects anew, for seconds if a server does not answer. So one thread publishes and
 * subscribes, the library's own threads deliver, and two rings of a fixed size (msgring.h) lie
 * between them and the loop. What finds no room in them is dropped and counted. Subscriptions are
 * never dropped: the table of them is what this relay wants, and the thread makes it so. With TLS a
 * server's certificate must name the host of its URL.
 *
 * Subjects: adit.relay.1.all, adit.relay.1.key.KEY (64 hex digits), and for what concerns one
 * process adit.relay.1.process.ID.KEY (16 hex digits). An asked message that nobody takes is
 * answered there by the server itself ("no responders").
 */
#ifndef LOOP_CLUSTER_NATS_H
#define LOOP_CLUSTER_NATS_H

#include "relay/relay_server.h"

#include <base/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct cluster_nats;

struct cluster_nats_config {
    const char *const *urls; /* nats://[USER:PASSWORD@|TOKEN@]HOST:PORT or tls://...; borrowed */
    size_t url_count;
    const char *credentials; /* a file of NATS' own kind; NULL = none */
    const char *ca;          /* PEM, who signs the servers' certificates; NULL = whom all trust */
    const uint8_t *secret;   /* 32 bytes: messages prove that they know it; NULL = they do not */
    uint64_t process;        /* relay_server_cluster_id */
    size_t ring_bytes;       /* each way; 0 = 4 MiB */
    size_t pending_max;      /* messages of a subscription in the library; 0 = 8192 */
    struct relay_cluster_io_stats *stats; /* borrowed until it has stopped */
    const struct log *log;
};

/* From the loop. */
struct cluster_nats_callbacks {
    void (*on_link)(void *user, bool up);
    void (*on_message)(void *user, const uint8_t *data, size_t len);
    void (*on_nobody)(void *user, const uint8_t key[32]);
    void (*on_turn_end)(void *user); /* after a number of the others */
};

/* Whether this build has the library. */
bool cluster_nats_is_there(void);

/* Begins to connect, and goes on doing so whenever the connection is lost. 0 or an error with a log
 * line: the configuration cannot be used. */
int cluster_nats_start(uv_loop_t *loop, const struct cluster_nats_config *config,
                       const struct cluster_nats_callbacks *callbacks, void *user,
                       struct cluster_nats **out);
/* Publishes, subscribes or unsubscribes, soon. */
void cluster_nats_do(struct cluster_nats *c, const struct relay_cluster_output *out);
/* Sends what waits, for a short while, and ends; done(user) comes from the loop. No callback after
 * this. */
void cluster_nats_stop(struct cluster_nats *c, void (*done)(void *user), void *user);

#endif
