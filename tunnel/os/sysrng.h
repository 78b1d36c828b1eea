/* The system's randomness, by way of libsodium; fit for keys. */
#ifndef OS_SYSRNG_H
#define OS_SYSRNG_H

#include <base/rng.h>

/* Also initialises libsodium (once; thread-safe). The value has no state and is valid for ever. */
struct rng sys_rng(void);

#endif
