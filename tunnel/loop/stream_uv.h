/* The bytes of one TCP connection on libuv, as they are or inside TLS.
 *
 * Embedded in its owner. Reading goes through buffers that all streams of an owner share; an owner
 * of many may have them take turns: who has little to say is read from as soon as it speaks, the
 * heavy ones, who filled the last read, afterwards and when the owner calls stream_uv_turn. Writing
 * is what the socket takes at once; the rest stays where it is until on_sent, in pieces of 16 KiB,
 * so that a slow reader still shows progress. Nothing is allocated for a write, except that TLS
 * keeps what a full socket did not take.
 */
#ifndef LOOP_STREAM_UV_H
#define LOOP_STREAM_UV_H

#include "os/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

enum {
    STREAM_UV_READ = 64 << 10,
    STREAM_UV_LIGHT = 8 << 10, /* who had as much to say at once is heavy */
};

struct stream_uv;

TAILQ_HEAD(stream_uv_queue, stream_uv);

struct stream_uv_buffers {
    bool held;                    /* by the owner: none of the streams is read from */
    bool turns;                   /* stream_uv_take_turns */
    struct stream_uv_queue heavy; /* those that have something to read, longest first */
    size_t heavy_count;
    uint8_t in[STREAM_UV_READ];
    uint8_t plain[STREAM_UV_READ];
    uint8_t out[TLS_WRITE_MAX];
};

struct stream_uv_callbacks {
    /* TLS stands; never called without TLS. */
    void (*on_ready)(struct stream_uv *s);
    void (*on_data)(struct stream_uv *s, const uint8_t *data, size_t len);
    /* `len` more bytes have gone, of those that stream_uv_write did not count; look at
     * stream_uv_is_busy whether to write on. */
    void (*on_sent)(struct stream_uv *s, size_t len);
    /* Over: err 0 = closed by the other side. `why` is TLS's reason, or NULL. Close it. */
    void (*on_end)(struct stream_uv *s, int err, const char *why);
};

struct stream_uv {
    uv_tcp_t tcp; /* data = the stream; not to be closed but by stream_uv_close */
    uv_write_t request;
    struct stream_uv_buffers *buffers;
    const struct stream_uv_callbacks *callbacks;
    void (*closed)(struct stream_uv *s);
    struct tls *tls; /* NULL = plain */
    bool heavy;      /* takes turns with the others that are */
    bool waits;      /* for its turn */
    TAILQ_ENTRY(stream_uv) turn;
    bool busy;     /* takes nothing before on_sent */
    bool ready;    /* on_ready was called */
    bool finished; /* stream_uv_finish was called */
    size_t piece;  /* bytes with libuv; 0 = none */
    /* TLS: the write under way, how much of it has gone and has been told. */
    size_t plain_total, plain_told;
    size_t cipher_total, cipher_gone;
};

/* Makes the handle, which must then be closed. 0 or libuv's error: then there is none. */
int stream_uv_init(struct stream_uv *s, uv_loop_t *loop, struct stream_uv_buffers *buffers,
                   const struct stream_uv_callbacks *callbacks);
/* From now on inside TLS; busy until on_ready. Connected, nothing read or written yet, or only what
 * a proxy in between said. 0 or a negative error. */
int stream_uv_secure(struct stream_uv *s, struct tls_context *context);
/* The streams of these buffers take turns; before the first of them is made. */
void stream_uv_take_turns(struct stream_uv_buffers *b);
/* Reads once, `bytes` at most (up to STREAM_UV_READ), from each of the first `count` heavy ones
 * that have something. To be called after each poll of the loop, which finds the others again. */
void stream_uv_turn(struct stream_uv_buffers *b, size_t count, size_t bytes);
/* 0 or libuv's error. */
int stream_uv_read_start(struct stream_uv *s);
void stream_uv_read_stop(struct stream_uv *s);

/* How many bytes of the buffers, from the first on, have gone; what did not has not to move and
 * will be told by on_sent if stream_uv_is_busy, and is to be given again if not. Negative: over,
 * without on_end. Not while busy. */
ssize_t stream_uv_write(struct stream_uv *s, const uv_buf_t *bufs, unsigned count);
/* Ends our half: says goodbye in TLS, as far as the socket takes it, and writes no more. What still
 * comes goes to on_data, in TLS as it came. Not while busy. */
void stream_uv_finish(struct stream_uv *s);
bool stream_uv_is_busy(const struct stream_uv *s);
/* Why TLS failed, "" if it did not. */
const char *stream_uv_why(const struct stream_uv *s);

bool stream_uv_is_closing(const struct stream_uv *s);
/* Says goodbye in TLS, as far as the socket takes it. No callback comes any more but `closed`,
 * which may free the owner. */
void stream_uv_close(struct stream_uv *s, void (*closed)(struct stream_uv *s));

#endif
