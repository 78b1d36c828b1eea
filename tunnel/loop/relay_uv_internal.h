/* A relay on libuv, by jobs; shared by relay_uv*.c only. */
#ifndef LOOP_RELAY_UV_INTERNAL_H
#define LOOP_RELAY_UV_INTERNAL_H

#include "loop/relay_uv.h"
#include "loop/stream_uv.h"

#include <base/heap.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct relay_uv_client {
    struct relay_uv *relay;
    uint64_t id;
    struct stream_uv stream;
    bool writes; /* had more to be written than its turn */
    TAILQ_ENTRY(relay_uv_client) turn;
};

TAILQ_HEAD(relay_uv_clients, relay_uv_client);

struct relay_uv_listener {
    struct relay_uv *relay;
    uv_tcp_t tcp;
    bool tls;
    bool waiting; /* a connection came when there was no memory to take it */
};

struct relay_uv {
    uv_loop_t *loop;
    struct relay_server *server;
    struct tls_context *tls; /* borrowed; NULL if there is no TLS */
    const struct log *log;
    struct relay_uv_client **clients; /* by slot */
    struct relay_uv_listener listeners[RELAY_UV_LISTEN_MAX];
    size_t listeners_count;
    uv_timer_t timer;
    uint64_t timer_at;
    unsigned user_timeout_ms;
    struct relay_uv_clients writers; /* wait for their turn to write on */
    size_t writers_count;
    uint64_t pair[2];     /* ids, see relay_uv_turns.c */
    unsigned short_turns; /* so many more */
    uv_check_t turns;
    uv_idle_t again; /* on while writers wait: nothing else would wake the loop */
    uv_timer_t drain;
    struct relay_uv_client refused; /* takes, and closes, what finds no memory */
    bool refusing;
    size_t handles; /* not closed yet */
    bool draining;
    bool stopping;
    void (*done)(void *user);
    void *user;
    struct stream_uv_buffers buffers;
    struct cluster_nats *cluster; /* NULL = none */
    struct relay_cluster_io_stats cluster_stats;
};

/* relay_uv.c */
/* Does what the server wants done; after every call to it. */
void relay_uv_run_events(struct relay_uv *r, uint64_t now);
/* The last handle to close while stopping ends it all. */
void relay_uv_handle_gone(struct relay_uv *r);
/* For handles whose data is the relay. */
void relay_uv_on_part_closed(uv_handle_t *handle);

/* relay_uv_client.c */
extern const struct stream_uv_callbacks relay_uv_client_callbacks;
/* Registers the accepted connection with the server; on failure the caller closes it. */
int relay_uv_client_admit(struct relay_uv *r, struct relay_uv_client *c, bool tls, uint64_t now);
void relay_uv_client_event(struct relay_uv_client *c, const struct relay_server_event *ev,
                           uint64_t now);
/* The server has forgotten it already or is told here; the memory goes with the handle. */
void relay_uv_client_drop(struct relay_uv_client *c, uint64_t now);
/* For stream_uv_close. */
void relay_uv_client_on_closed(struct stream_uv *s);
/* Writes on, a turn's worth at most. */
void relay_uv_client_flush(struct relay_uv_client *c, uint64_t now);

/* relay_uv_turns.c: who is read from and written to when there is more to do than at once. */
void relay_uv_turns_init(struct relay_uv *r);
void relay_uv_turns_close(struct relay_uv *r);
/* There is more to write to it than it may have now. */
void relay_uv_turns_add_writer(struct relay_uv_client *c);
void relay_uv_turns_remove(struct relay_uv_client *c);
/* Bytes of it have come, and will be looked at; so many were written to it at once. */
void relay_uv_turns_heard(struct relay_uv_client *c);
void relay_uv_turns_wrote(struct relay_uv_client *c, size_t bytes);

/* relay_uv_listen.c */
int relay_uv_listen(struct relay_uv *r, const struct relay_uv_config *config);
void relay_uv_listen_close(struct relay_uv *r);

/* relay_uv_cluster.c: without a cluster these do nothing. */
int relay_uv_cluster_join(struct relay_uv *r, const struct cluster_nats_config *config);
/* Hands over what the others shall hear. */
void relay_uv_cluster_tell(struct relay_uv *r, uint64_t now);
void relay_uv_cluster_leave(struct relay_uv *r, uint64_t now);

#endif
