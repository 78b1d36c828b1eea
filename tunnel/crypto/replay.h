/* Which packet numbers of a path have been seen: a sliding window (RFC 6479).
 *
 * A ring of 64-bit blocks; moving forward clears whole blocks instead of shifting bits. One block
 * is slack, hence the window: a number is fresh if it lies ahead of all accepted ones, or less than
 * REPLAY_WINDOW behind the highest and has not been accepted yet.
 *
 * The window is as wide as it is because packets that went over the relay arrive long after those
 * that took the direct path: at 100 000 packets/s it spans 163 ms.
 *
 * A number may be checked before decrypting, to spare the work, but is accepted only after: anyone
 * can write a number on a packet.
 */
#ifndef CRYPTO_REPLAY_H
#define CRYPTO_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    REPLAY_BITS = 16384,
    REPLAY_BLOCK_BITS = 64,
    REPLAY_BLOCKS = REPLAY_BITS / REPLAY_BLOCK_BITS,
    REPLAY_WINDOW = REPLAY_BITS - REPLAY_BLOCK_BITS,
};

/* Embedded by its user; zeroed memory is an empty window. */
struct replay {
    uint64_t next; /* highest accepted number + 1, 0 = none yet */
    uint64_t blocks[REPLAY_BLOCKS];
};

void replay_reset(struct replay *r);
/* Is the number fresh? UINT64_MAX never is. */
bool replay_check(const struct replay *r, uint64_t number);
/* Checks, and marks a fresh number as seen; call it with authentic packets only. */
bool replay_accept(struct replay *r, uint64_t number);

#endif
