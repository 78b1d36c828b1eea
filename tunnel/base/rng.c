#include <base/check.h>
#include <base/rng.h>

#include <string.h>

uint32_t rng_u32(struct rng rng)
{
    uint32_t v;
    rng_fill(rng, &v, sizeof(v));
    return v;
}

uint64_t rng_u64(struct rng rng)
{
    uint64_t v;
    rng_fill(rng, &v, sizeof(v));
    return v;
}

uint64_t rng_below(struct rng rng, uint64_t bound)
{
    CHECK(bound > 0);
    uint64_t reject_below = (UINT64_MAX - bound + 1) % bound; /* 2^64 mod bound */
    uint64_t v;
    do {
        v = rng_u64(rng);
    } while (v < reject_below);
    return v % bound;
}

static uint32_t pcg_next(struct pcg *pcg)
{
    uint64_t old = pcg->state;
    pcg->state = old * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t xored = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);
    return xored >> turn | xored << (-turn & 31);
}

static void pcg_fill(void *state, void *out, size_t len)
{
    struct pcg *pcg = state;
    uint8_t *p = out;
    while (len > 0) {
        uint32_t v = pcg_next(pcg);
        size_t n = len < sizeof(v) ? len : sizeof(v);
        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}

struct rng pcg_rng(struct pcg *pcg, uint64_t seed)
{
    pcg->state = seed + UINT64_C(1442695040888963407);
    (void)pcg_next(pcg);
    return (struct rng){pcg_fill, pcg};
}
