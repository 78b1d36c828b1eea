/* This machine's addresses. */
#ifndef LOOP_INTERFACES_UV_H
#define LOOP_INTERFACES_UV_H

#include <base/addr.h>

#include <stddef.h>

/* Of a socket bound to `local` those at which it hears: the one it is bound to, or all of its
 * families; with its port. At most `cap`. Link-local ones are left out. */
size_t interfaces_uv_list(const struct addr *local, struct addr *out, size_t cap);

#endif
