/* For a listener that has no memory to take a connection: libuv listens no more until what came in
 * is accepted, so it is, into a handle kept for that, and closed at once. Who comes while that
 * handle is in use is refused right after.
 */
#ifndef APP_REFUSAL_H
#define APP_REFUSAL_H

#include <uv.h>

struct refusal;

/* `server`: a TCP or unix listener. NULL without memory. */
struct refusal *refusal_new(uv_stream_t *server);
/* Refuses who waits at the server. */
void refusal_take(struct refusal *r);
/* Before the server is closed; NULL is allowed. */
void refusal_free(struct refusal *r);

#endif
