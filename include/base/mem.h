/* Allocation through one hook, so that tests can make the n-th allocation fail.
 *
 * Only when a peer, session or stream is made, never per packet. NULL when out of memory: the
 * caller refuses what it was about to make and counts it.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Zeroed memory, or NULL. Aligned for any type, also for libsodium's states (64 bytes). */
void *mem_new(size_t count, size_t size);
/* As realloc: contents kept, new room not zeroed; on failure NULL and the old block lives. */
void *mem_resize(void *p, size_t size);
void mem_free(void *p);
char *mem_text(const char *text);

/* Tests only: the n-th allocation from now on (1 = the next) and all after it fail; 0 = none. */
void mem_fail_after(size_t n);

#endif
