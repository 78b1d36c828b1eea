/* How fast this machine seals packets: what the choice of a cipher rests on. */
#ifndef ADIT_BENCH_H
#define ADIT_BENCH_H

#include <adit/stats.h>

#include <stddef.h>
#include <stdint.h>

/* Bytes per second that one core seals in packets of `packet` bytes (1 .. 16384), measured for
 * `ms`; 0: this machine has not the instructions for it, or no memory. Blocking. */
uint64_t adit_bench_aead(enum adit_aead aead, size_t packet, unsigned ms);

#endif
