/* Names to addresses, by the system's resolver, so that /etc/hosts, mDNS and what else it knows
 * hold here as for every other program.
 *
 * It can only be asked by waiting, hence threads of its own: made when there is work, up to
 * RESOLVER_THREADS, and gone after some idle seconds. A name whose server keeps silent must not
 * delay the others, so whoever asks has to share: equal questions are asked once, and one owner (a
 * peer, or the front) has at most RESOLVER_PER_OWNER of the threads at a time, whatever waits. What
 * waits in one owner's queue is nobody else's to wait for. All peers together leave a quarter of
 * the threads and of the questions to the front.
 *
 * An asker that has gone leaves nothing behind; a question under way is left to end by itself, also
 * past resolver_stop, which waits for nothing.
 */
#ifndef APP_RESOLVER_H
#define APP_RESOLVER_H

#include <base/addr.h>

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    RESOLVER_ADDRS = 16, /* of one name; more are not looked at */
    RESOLVER_THREADS = 128,
    RESOLVER_PER_OWNER = 64,                       /* 32 names of both families that hang */
    RESOLVER_THREADS_FRONT = RESOLVER_THREADS / 4, /* which peers leave alone */
    RESOLVER_QUESTIONS = 2048,                     /* different ones at once */
    RESOLVER_QUESTIONS_PER_PEER = RESOLVER_QUESTIONS / 4,
    RESOLVER_QUESTIONS_FRONT = RESOLVER_QUESTIONS / 4, /* as with threads */
};

/* The owner that is no peer. */
#define RESOLVER_FRONT SIZE_MAX

struct resolver_core;
struct resolver_asker;

struct resolver {
    uv_loop_t *loop;
    struct resolver_core *core; /* NULL until somebody asks */
    uint64_t refused;           /* at a ceiling */
};

struct resolver_question {
    const char *name;
    size_t owner;
    uint8_t family; /* ADDR_IPV4 or ADDR_IPV6; ADDR_NONE = both */
};

typedef void resolver_done(void *user, uint8_t family, const struct addr *addrs, size_t count);

/* "localhost" and names below it mean the loopback addresses without asking anybody (RFC 6761
 * section 6.3): how many of them there are, or 0 for all other names. */
size_t resolver_localhost(const char *name, struct addr addrs[RESOLVER_ADDRS]);

void resolver_init(struct resolver *r, uv_loop_t *loop);
/* No call of anybody's `done` any more. */
void resolver_stop(struct resolver *r);

/* `done` is called once, from the loop; count 0: there is none. NULL at a ceiling, or without
 * memory. */
struct resolver_asker *resolver_ask(struct resolver *r, const struct resolver_question *q,
                                    resolver_done *done, void *user);
/* No call of `done` any more. */
void resolver_forget(struct resolver_asker *a);

#endif
