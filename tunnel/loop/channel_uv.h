/* A way for bytes to a relay: look the name up, connect to one address after the other, go through
 * an HTTP proxy if one is named, and do TLS if it is wanted.
 *
 * One channel is one try. There is no time-out here: who has waited long enough closes it. All
 * callbacks come from the loop, except on_end, which may also come from within channel_uv_write.
 */
#ifndef LOOP_CHANNEL_UV_H
#define LOOP_CHANNEL_UV_H

#include "loop/stream_uv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct channel_uv;

/* All borrowed as long as a channel lives. */
struct channel_uv_target {
    const char *host; /* name or address */
    uint16_t port;
    struct tls_context *tls; /* NULL = none */
    const char *proxy_host;  /* NULL = none */
    uint16_t proxy_port;
    const char *proxy_login; /* NAME:PASSWORD or NULL */
    struct stream_uv_buffers *buffers;
};

struct channel_uv_callbacks {
    void (*on_open)(void *user);
    void (*on_data)(void *user, const uint8_t *data, size_t len);
    /* As with stream_uv. */
    void (*on_sent)(void *user, size_t len);
    /* Over, or never open: the channel is gone. err 0 = closed by the other side; `why` is a
     * sentence that begins small, valid during the call. */
    void (*on_end)(void *user, int err, const char *why);
};

/* 0 and *out, or a negative error. */
int channel_uv_open(uv_loop_t *loop, const struct channel_uv_target *target,
                    const struct channel_uv_callbacks *callbacks, void *user,
                    struct channel_uv **out);
/* No callback comes any more; NULL is fine. */
void channel_uv_close(struct channel_uv *c);

/* Open, and may be written to. */
bool channel_uv_takes(const struct channel_uv *c);
/* How many bytes have gone; the others, which must not move, are told by on_sent, or are to be
 * given again if it still takes some. Negative: over, on_end was called. */
ssize_t channel_uv_write(struct channel_uv *c, const uint8_t *data, size_t len);
/* How long the TCP connection took, to the relay or to its proxy; 0 = there was none. */
uint64_t channel_uv_connect_ns(const struct channel_uv *c);

#endif
