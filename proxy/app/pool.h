/* Blocks of 64 KiB for bytes on their way between two sockets.
 *
 * A connection holds one only while something is stuck in it, so thousands of idle connections
 * cost nothing and reading allocates nothing: a few free blocks are kept at hand.
 */
#ifndef APP_POOL_H
#define APP_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
    POOL_BLOCK = 65536,
    POOL_KEEP = 16, /* free blocks that are kept */
};

struct tcp;
struct tcp_watch;

struct pool {
    uint8_t *kept[POOL_KEEP];
    size_t kept_count;
    size_t used, used_max;
    uint64_t refused;
    LIST_HEAD(, tcp) tcps;      /* all connections that use it, also those that are closing */
    LIST_HEAD(, tcp) ended;     /* of these, the ones that tcp_watch.h looks after */
    struct tcp_watch *watch;    /* NULL while there are none */
    void (*unused)(void *user); /* the last of them is gone; see tcp_break_all */
    void *user;
    /* For bytes that are passed on before control returns to the loop. */
    uint8_t scratch[POOL_BLOCK];
};

/* At most `blocks_max` are out at once. */
void pool_init(struct pool *pool, size_t blocks_max);
/* All blocks must be back. */
void pool_deinit(struct pool *pool);

/* NULL at the ceiling or without memory (counted). */
uint8_t *pool_take(struct pool *pool);
/* NULL is allowed. */
void pool_give(struct pool *pool, uint8_t *block);

#endif
