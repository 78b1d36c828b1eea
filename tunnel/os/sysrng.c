#include "os/sysrng.h"

#include <base/check.h>

#include <sodium.h>

static void fill(void *state, void *out, size_t len)
{
    (void)state;
    randombytes_buf(out, len);
}

struct rng sys_rng(void)
{
    CHECK(sodium_init() >= 0);
    return (struct rng){.fill = fill};
}
