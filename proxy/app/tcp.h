/* One TCP (or unix) connection on the loop, owning all that libuv may still touch.
 *
 * The owner is detached by tcp_close and tcp_reset: no callback comes after them, and the owner
 * may be freed at once; the handle follows when libuv lets go of it. So nobody else has to know
 * about requests under way and close callbacks.
 *
 * Sending never queues without bound: what the system does not take at once is copied, at most
 * one block of it, and until that is gone nothing more is taken.
 */
#ifndef APP_TCP_H
#define APP_TCP_H

#include "app/pool.h"

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct tcp_ops {
    /* Where the next bytes go; 0 = no room: reading stops as if by tcp_pause. */
    size_t (*room)(void *user, uint8_t **at);
    /* n > 0: bytes are there; 0: the other end finished; < 0: the connection broke, also after an
     * end. */
    void (*read)(void *user, ssize_t n);
    /* What tcp_send had to copy is out (0), or the connection broke (< 0). */
    void (*sent)(void *user, int status);
    /* The end, that is FIN, is out, or the connection broke. May be NULL. */
    void (*finished)(void *user, int status);
};

struct tcp {
    LIST_ENTRY(tcp) entry;
    LIST_ENTRY(tcp) ended_entry; /* see tcp_watch.h */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_write_t write;
    uv_shutdown_t shutdown;
    uv_connect_t connect;
    struct pool *pool;
    uint8_t *block; /* under way, or NULL */
    const struct tcp_ops *ops;
    void (*connected)(void *user, struct tcp *tcp, int status);
    void *user;
    bool reading;                       /* the owner wants bytes */
    bool polled;                        /* libuv looks for them; see tcp_pause */
    bool connected_early, finish_early; /* see tcp_is_connected */
    bool watched;
};

/* NULL without memory or descriptors. `pool` outlives the connection. */
struct tcp *tcp_new(uv_loop_t *loop, struct pool *pool);
/* The same as a unix socket. */
struct tcp *tcp_new_pipe(uv_loop_t *loop, struct pool *pool);
/* What connections accepted there inherit: small writes go out at once, since the bytes were
 * bundled by whoever wrote them first, and a machine that has gone is noticed. For TCP, once it is
 * bound. */
void tcp_prepare_listener(uv_tcp_t *listener);
/* Takes a connection off a listener. 0 or negative: close it. */
int tcp_accept(struct tcp *t, uv_stream_t *listener);
/* `connected` is called from the loop. 0 or a negative system error. */
int tcp_connect(struct tcp *t, const struct addr *to,
                void (*connected)(void *user, struct tcp *tcp, int status), void *user);
/* Right after tcp_connect: does it stand already, as it does to this machine? Then `connected` is
 * not called any more, and the connection can be used. What libuv still has to learn of it is seen
 * to here. */
bool tcp_is_connected(struct tcp *t);

/* The same for one of tcp_new_pipe and the path of a socket. */
void tcp_connect_unix(struct tcp *t, const char *path,
                      void (*connected)(void *user, struct tcp *tcp, int status), void *user);

/* Whom it calls from now on; reading stands still until tcp_resume. */
void tcp_attach(struct tcp *t, const struct tcp_ops *ops, void *user);
void tcp_resume(struct tcp *t);
void tcp_pause(struct tcp *t);
/* Reads what is there already, once, without waiting for the loop to say so; only while reading. */
void tcp_read_now(struct tcp *t);
/* tcp_resume for who has got room: reads at once, and has the loop look for more only while there
 * is room. Who has none left gets it again later, and calls again: with a hundred sockets that all
 * have more than there is room for, the loop would be told to start and to stop for each read.
 * `read` may be called before it returns; false if that has closed it. */
bool tcp_go_on(struct tcp *t);

/* True while copied bytes are under way: tcp_send takes nothing. */
bool tcp_busy(const struct tcp *t);
/* Bytes taken, or a negative system error. */
ssize_t tcp_send(struct tcp *t, const void *data, size_t len);
/* FIN behind everything sent; once. 0, then `finished` follows, or a negative system error. */
int tcp_finish(struct tcp *t);

/* Our address, or the other's; family ADDR_NONE if the system does not tell. */
struct addr tcp_local(const struct tcp *t);
struct addr tcp_remote(const struct tcp *t);

/* The user at the other end of a unix socket. 0 or a negative system error. */
int tcp_user(const struct tcp *t, uint32_t *uid);

void tcp_close(struct tcp *t);
/* With RST, so that the application knows that it did not get everything. */
void tcp_reset(struct tcp *t);

/* Tells every owner of a connection in the pool that it broke, so that all let go of theirs.
 * `unused` is called once the last is gone: at once if there is none. */
void tcp_break_all(struct pool *pool, void (*unused)(void *user), void *user);

/* sockaddr to and from struct addr. */
void tcp_sockaddr(const struct addr *a, struct sockaddr_storage *out);
struct addr tcp_addr(const struct sockaddr *sa);

#endif
