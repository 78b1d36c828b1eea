/* The STUN server's sockets on libuv (relay/stun_server.h). One that the system takes away is
 * opened again, at once or as soon as that is possible. */
#ifndef LOOP_STUN_UV_H
#define LOOP_STUN_UV_H

#include "relay/stun_server.h"

#include <base/log.h>

#include <uv.h>

enum { STUN_UV_ADDRESSES_MAX = 4 };

struct stun_uv;

/* Opens the socket of each address; where two are of one family, also those with the IP of one and
 * the port of the other (RFC 5780). 0, ERR_NO_MEMORY, ERR_REFUSED (three of one family, or two that
 * do not differ in both), -errno. */
int stun_uv_start(uv_loop_t *loop, const struct addr *addresses, size_t count,
                  const struct log *log, struct stun_uv **out);
/* Where the i-th of the given addresses is bound. 0 or a negative error. */
int stun_uv_address(const struct stun_uv *s, size_t i, struct addr *out);
/* Lives as long as the server. */
const struct stun_server_stats *stun_uv_stats(const struct stun_uv *s);
void stun_uv_stop(struct stun_uv *s);

#endif
