/* Which addresses an IPv6 listener of a relay takes. */
#ifndef LOOP_BINDFLAGS_H
#define LOOP_BINDFLAGS_H

#include "loop/relay_uv.h"

/* For uv_tcp_bind. [::] takes IPv4 as well, unless an IPv4 address with that port is listed, too:
 * the system lets only one of two sockets have it. */
unsigned bindflags_of(const struct relay_uv_config *config, const struct addr *where);

#endif
