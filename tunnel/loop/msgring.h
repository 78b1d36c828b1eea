/* Messages from one thread to another, in order, in memory of a fixed size.
 *
 * One thread puts, one peeks and pops. What is peeked at stays where it is until it is popped.
 */
#ifndef LOOP_MSGRING_H
#define LOOP_MSGRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { MSGRING_KEY = 32 };

/* What goes with a message, for the two threads to agree on. */
struct msgring_note {
    uint8_t type;
    bool flag;
    uint8_t key[MSGRING_KEY];
    uint64_t number;
};

struct msgring {
    uv_mutex_t lock;
    uint8_t *bytes;
    size_t cap;
    size_t head, tail; /* of the next to pop; of the next to put */
    size_t used;       /* bytes between them, those left out at the end included */
    size_t count;
};

/* `cap` is rounded up to a multiple of 16. 0 or ERR_NO_MEMORY. */
int msgring_init(struct msgring *r, size_t cap);
void msgring_deinit(struct msgring *r);

enum msgring_result {
    MSGRING_FULL,
    MSGRING_PUT,
    MSGRING_FIRST, /* it was empty: the other thread may have to be woken */
};

/* A message of two pieces. */
enum msgring_result msgring_put(struct msgring *r, const struct msgring_note *note,
                                const void *first, size_t first_len, const void *second,
                                size_t second_len);
/* The oldest; false when there is none. */
bool msgring_peek(struct msgring *r, struct msgring_note *note, const uint8_t **data, size_t *len);
void msgring_pop(struct msgring *r);
bool msgring_is_empty(struct msgring *r);

#endif
