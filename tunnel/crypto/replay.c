#include "crypto/replay.h"

#include <base/check.h>

_Static_assert((REPLAY_BLOCKS & (REPLAY_BLOCKS - 1)) == 0, "the ring's size is a power of two");

static uint64_t block_of(uint64_t number)
{
    return number / REPLAY_BLOCK_BITS;
}

static uint64_t bit_of(uint64_t number)
{
    return UINT64_C(1) << number % REPLAY_BLOCK_BITS;
}

void replay_reset(struct replay *r)
{
    *r = (struct replay){0};
}

bool replay_check(const struct replay *r, uint64_t number)
{
    if (number == UINT64_MAX) {
        return false; /* `next` could not go past it */
    }
    if (number >= r->next) {
        return true;
    }
    return r->next - number <= REPLAY_WINDOW &&
           !(r->blocks[block_of(number) % REPLAY_BLOCKS] & bit_of(number));
}

/* Clears the blocks between the highest number so far and the new one; a jump clears the ring. */
static void move_to(struct replay *r, uint64_t number)
{
    uint64_t from = r->next > 0 ? block_of(r->next - 1) : 0;
    uint64_t steps = block_of(number) - from;
    for (uint64_t i = 1; i <= steps && i <= REPLAY_BLOCKS; i++) {
        r->blocks[(from + i) % REPLAY_BLOCKS] = 0;
    }
    r->next = number + 1;
}

bool replay_accept(struct replay *r, uint64_t number)
{
    if (!replay_check(r, number)) {
        return false;
    }
    if (number >= r->next) {
        move_to(r, number);
    }
    uint64_t *block = &r->blocks[block_of(number) % REPLAY_BLOCKS];
    DCHECK(!(*block & bit_of(number)));
    *block |= bit_of(number);
    return true;
}
