#include "crypto/throttle.h"

#include <base/bytes.h>

#include <sodium.h>

#define EACH_NS (NS_PER_S / THROTTLE_PER_S)

_Static_assert((int)THROTTLE_KEY_LEN == (int)crypto_shorthash_KEYBYTES, "the hash's key");

void throttle_init(struct throttle *t, struct rng rng)
{
    *t = (struct throttle){0};
    rng_fill(rng, t->key, sizeof(t->key));
}

static size_t slot_of(const struct throttle *t, const struct cookie_source *source)
{
    uint8_t hash[crypto_shorthash_BYTES];
    (void)crypto_shorthash(hash, source->bytes, cookie_source_host(source), t->key);
    struct reader r = reader_of(hash, sizeof(hash));
    return read_u32(&r) % THROTTLE_SLOTS;
}

bool throttle_allow(struct throttle *t, const struct cookie_source *source, uint64_t now)
{
    uint64_t *due_ns = &t->due_ns[slot_of(t, source)];
    uint64_t from = *due_ns > now ? *due_ns : now;
    if (from - now > (THROTTLE_BURST - 1) * EACH_NS) {
        return false;
    }
    *due_ns = from + EACH_NS;
    return true;
}
