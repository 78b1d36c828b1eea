/* Randomness as a value that is handed in: the system's in production, a seeded PCG in tests. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    void (*fill)(void *state, void *out, size_t len);
    void *state;
};

static inline void rng_fill(struct rng rng, void *out, size_t len)
{
    rng.fill(rng.state, out, len);
}

uint32_t rng_u32(struct rng rng);
uint64_t rng_u64(struct rng rng);
/* Uniform in [0, bound), without modulo bias; bound > 0. */
uint64_t rng_below(struct rng rng, uint64_t bound);

/* PCG32 (O'Neill 2014, XSH-RR): small, seeded, repeatable. Never for keys. */
struct pcg {
    uint64_t state;
};

struct rng pcg_rng(struct pcg *pcg, uint64_t seed);

#endif
