/* Names to addresses, without blocking the loop (getaddrinfo on libuv's thread pool).
 *
 * The answer always comes from the loop, never from within resolve_uv_start, also for an IP
 * literal, which needs neither the thread pool nor a resolver.
 */
#ifndef LOOP_RESOLVE_UV_H
#define LOOP_RESOLVE_UV_H

#include <base/addr.h>

#include <uv.h>

enum {
    RESOLVE_UV_ADDRS_MAX = 16, /* the rest is dropped */
    RESOLVE_UV_HOST_MAX = 255, /* bytes; RFC 1035 3.1 */
};

struct resolve_uv;

/* status 0 and 1..16 addresses, as the system orders them (RFC 6724), normalised and with the port
 * that was asked for; or a libuv error (UV_EAI_*) and none. They are gone after the callback, and
 * so is the request: forget the pointer, do not cancel it. */
typedef void resolve_uv_cb(void *user, int status, const struct addr *addrs, size_t count);

/* `host`: a name, or an address, IPv6 with or without brackets. 0; UV_EINVAL for an empty or
 * overlong name; ERR_NO_MEMORY or another libuv error. On failure the callback is never called. */
int resolve_uv_start(uv_loop_t *loop, const char *host, uint16_t port, resolve_uv_cb *cb,
                     void *user, struct resolve_uv **out);

/* The callback will not come. A look-up that already runs ends unheard in the thread pool. */
void resolve_uv_cancel(struct resolve_uv *r);

#endif
