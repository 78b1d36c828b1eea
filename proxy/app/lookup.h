/* The addresses of a name, from the system's resolver on libuv's thread pool. */
#ifndef APP_LOOKUP_H
#define APP_LOOKUP_H

#include <base/addr.h>

#include <stddef.h>
#include <uv.h>

enum { LOOKUP_ADDRS_MAX = 8 };

struct lookup;

/* "localhost" and names below it mean the loopback addresses without asking anybody (RFC 6761
 * section 6.3): how many of them there are, or 0 for all other names. */
size_t lookup_localhost(const char *name, struct addr addrs[LOOKUP_ADDRS_MAX]);

/* `done` is called once, from the loop; count 0 = there is none. NULL without memory. */
struct lookup *lookup_start(uv_loop_t *loop, const char *name,
                            void (*done)(void *user, const struct addr *addrs, size_t count),
                            void *user);
/* No call of `done` any more. */
void lookup_cancel(struct lookup *l);

#endif
