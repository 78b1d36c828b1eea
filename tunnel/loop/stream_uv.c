#include "loop/stream_uv.h"

#include "os/tcp.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

enum { PIECE = 16 << 10 };

int stream_uv_init(struct stream_uv *s, uv_loop_t *loop, struct stream_uv_buffers *buffers,
                   const struct stream_uv_callbacks *callbacks)
{
    memset(s, 0, sizeof(*s));
    s->buffers = buffers;
    s->callbacks = callbacks;
    int err = uv_tcp_init(loop, &s->tcp);
    s->tcp.data = s;
    s->request.data = s;
    return err;
}

bool stream_uv_is_busy(const struct stream_uv *s)
{
    return s->busy;
}

const char *stream_uv_why(const struct stream_uv *s)
{
    return s->tls ? tls_why(s->tls) : "";
}

bool stream_uv_is_closing(const struct stream_uv *s)
{
    return uv_is_closing((const uv_handle_t *)&s->tcp) != 0;
}

static ssize_t try_write(struct stream_uv *s, const uv_buf_t *bufs, unsigned count)
{
    int sent = uv_try_write((uv_stream_t *)&s->tcp, bufs, count);
    return sent == UV_EAGAIN ? 0 : sent;
}

/* libuv's buffers have no const; it only reads from them here. */
static uv_buf_t buf_of(const uint8_t *data, size_t len)
{
    uv_buf_t buf = {.len = len};
    memcpy(&buf.base, &data, sizeof(buf.base));
    return buf;
}

/* --- writing what the socket did not take --- */

static void on_written(uv_write_t *request, int status);

/* Leaves one piece with libuv, which tells when it has gone. 0 or libuv's error. */
static int write_piece(struct stream_uv *s, uv_buf_t buf)
{
    buf.len = buf.len < PIECE ? buf.len : PIECE;
    s->piece = buf.len;
    s->busy = true;
    int err = uv_write(&s->request, (uv_stream_t *)&s->tcp, &buf, 1, on_written);
    if (err) {
        s->piece = 0;
    }
    return err;
}

/* How much of the plaintext counts as gone when so much of its ciphertext has. */
static size_t newly_gone(struct stream_uv *s, size_t cipher)
{
    s->cipher_gone += cipher;
    size_t gone = s->cipher_gone < s->cipher_total
                      ? s->plain_total * s->cipher_gone / s->cipher_total
                      : s->plain_total;
    size_t more = gone - s->plain_told;
    s->plain_told = gone;
    return more;
}

/* Writes what TLS wants to be written; *told = bytes of the write under way that have gone. */
static int pour(struct stream_uv *s, size_t *told)
{
    const uint8_t *data;
    size_t len = tls_output(s->tls, &data);
    *told = 0;
    while (len > 0 && s->piece == 0) {
        uv_buf_t buf = buf_of(data, len);
        ssize_t sent = try_write(s, &buf, 1);
        if (sent < 0) {
            return (int)sent;
        }
        *told += newly_gone(s, (size_t)sent);
        tls_sent(s->tls, (size_t)sent);
        len = tls_output(s->tls, &data);
        if ((size_t)sent < buf.len && len > 0) {
            return write_piece(s, buf_of(data, len));
        }
    }
    if (len == 0 && s->piece == 0 && s->ready) {
        s->busy = false;
    }
    return 0;
}

static void end(struct stream_uv *s, int err)
{
    const char *why = stream_uv_why(s);
    s->callbacks->on_end(s, err, why[0] ? why : NULL);
}

static void on_written(uv_write_t *request, int status)
{
    struct stream_uv *s = request->data;
    size_t len = s->piece;
    size_t more = 0;
    if (status == UV_ECANCELED || stream_uv_is_closing(s)) {
        return;
    }
    s->piece = 0;
    if (status == 0 && s->tls) {
        tls_sent(s->tls, len);
        len = newly_gone(s, len);
        status = pour(s, &more);
    } else {
        s->busy = false;
    }
    if (status < 0) {
        end(s, status);
    } else {
        s->callbacks->on_sent(s, len + more);
    }
}

/* --- writing --- */

static ssize_t write_plain(struct stream_uv *s, const uv_buf_t *bufs, unsigned count)
{
    ssize_t sent = try_write(s, bufs, count);
    if (sent != 0) {
        return sent;
    }
    return write_piece(s, bufs[0]);
}

/* One buffer goes as it is, several are gathered: a record holds 16 KiB and packets are smaller. */
static const void *gather(struct stream_uv *s, const uv_buf_t *bufs, unsigned count, size_t *len)
{
    if (count == 1) {
        *len = bufs[0].len < TLS_WRITE_MAX ? bufs[0].len : TLS_WRITE_MAX;
        return bufs[0].base;
    }
    *len = 0;
    for (unsigned i = 0; i < count && *len < TLS_WRITE_MAX; i++) {
        size_t room = TLS_WRITE_MAX - *len;
        size_t part = bufs[i].len < room ? bufs[i].len : room;
        memcpy(s->buffers->out + *len, bufs[i].base, part);
        *len += part;
    }
    return s->buffers->out;
}

static ssize_t write_tls(struct stream_uv *s, const uv_buf_t *bufs, unsigned count)
{
    const uint8_t *cipher;
    size_t told;
    size_t len;
    const void *data = gather(s, bufs, count, &len);
    int err = tls_write(s->tls, data, len);
    if (err) {
        return err;
    }
    s->plain_total = len;
    s->cipher_total = tls_output(s->tls, &cipher);
    s->plain_told = s->cipher_gone = 0;
    err = pour(s, &told);
    return err ? err : (ssize_t)told;
}

ssize_t stream_uv_write(struct stream_uv *s, const uv_buf_t *bufs, unsigned count)
{
    CHECK(!s->busy && count > 0);
    return s->tls ? write_tls(s, bufs, count) : write_plain(s, bufs, count);
}

/* --- reading --- */

/* Without room libuv ends its reading of this socket, and finds it again with the next poll. */
static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    struct stream_uv *s = handle->data;
    struct stream_uv_buffers *b = s->buffers;
    if (s->heavy && !s->waits) {
        TAILQ_INSERT_TAIL(&b->heavy, s, turn);
        b->heavy_count++;
        s->waits = true;
    }
    bool later = s->heavy || b->held;
    unsigned room = b->turns ? STREAM_UV_LIGHT : sizeof(b->in);
    *buf = uv_buf_init(later ? NULL : (char *)b->in, later ? 0 : room);
}

static void become_ready(struct stream_uv *s)
{
    if (!s->ready && tls_is_ready(s->tls)) {
        s->ready = true;
        s->busy = s->piece > 0;
        s->callbacks->on_ready(s);
    }
}

/* What TLS itself has to say: handshake, alerts, tickets. False if it is over. */
static bool pour_own(struct stream_uv *s)
{
    size_t told;
    int err = s->piece == 0 ? pour(s, &told) : 0;
    if (err) {
        end(s, err);
    }
    return err == 0;
}

static void read_tls(struct stream_uv *s, size_t len)
{
    int got;
    tls_input(s->tls, s->buffers->in, len);
    do {
        got = tls_read(s->tls, s->buffers->plain, sizeof(s->buffers->plain));
        if (!pour_own(s)) {
            return;
        }
        become_ready(s);
        if (got > 0 && !stream_uv_is_closing(s)) {
            s->callbacks->on_data(s, s->buffers->plain, (size_t)got);
        }
    } while (got > 0 && !stream_uv_is_closing(s));
    if (got < 0 && !stream_uv_is_closing(s)) {
        end(s, got == ERR_CLOSED ? 0 : got);
    }
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buf)
{
    struct stream_uv *s = tcp->data;
    (void)buf;
    if (count == UV_ENOBUFS) {
        return;
    }
    s->heavy = s->buffers->turns && count >= STREAM_UV_LIGHT;
    if (count < 0) {
        end(s, count == UV_EOF ? 0 : (int)count);
    } else if (count > 0 && s->tls && !s->finished) {
        read_tls(s, (size_t)count);
    } else if (count > 0) {
        s->callbacks->on_data(s, s->buffers->in, (size_t)count);
    }
}

int stream_uv_read_start(struct stream_uv *s)
{
    return uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
}

static void stop_waiting(struct stream_uv *s)
{
    if (s->waits) {
        TAILQ_REMOVE(&s->buffers->heavy, s, turn);
        s->buffers->heavy_count--;
        s->waits = false;
    }
}

void stream_uv_read_stop(struct stream_uv *s)
{
    stop_waiting(s);
    (void)uv_read_stop((uv_stream_t *)&s->tcp);
}

void stream_uv_take_turns(struct stream_uv_buffers *b)
{
    b->turns = true;
    TAILQ_INIT(&b->heavy);
}

void stream_uv_turn(struct stream_uv_buffers *b, size_t count, size_t bytes)
{
    struct stream_uv *s;
    CHECK(bytes <= sizeof(b->in));
    while (count-- > 0 && (s = TAILQ_FIRST(&b->heavy))) {
        uv_os_fd_t fd;
        stop_waiting(s);
        int err = uv_fileno((uv_handle_t *)&s->tcp, &fd);
        ssize_t n = err ? err : tcp_read(fd, b->in, bytes);
        if (n != UV_EAGAIN) {
            on_read((uv_stream_t *)&s->tcp, n == 0 ? UV_EOF : n, NULL);
        }
    }
}

/* --- life --- */

int stream_uv_secure(struct stream_uv *s, struct tls_context *context)
{
    size_t told;
    CHECK(!s->tls && s->piece == 0);
    s->tls = tls_new(context);
    s->busy = true;
    return s->tls ? pour(s, &told) : ERR_NO_MEMORY;
}

static void say_goodbye(struct stream_uv *s)
{
    size_t told;
    if (s->tls && s->piece == 0) {
        tls_finish(s->tls);
        (void)pour(s, &told);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct stream_uv *s = handle->data;
    s->closed(s);
}

void stream_uv_finish(struct stream_uv *s)
{
    uv_os_fd_t fd;
    CHECK(!s->busy && !s->finished);
    s->finished = true;
    say_goodbye(s);
    if (s->piece == 0 && uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0) {
        tcp_shut_write(fd);
    }
}

void stream_uv_close(struct stream_uv *s, void (*closed)(struct stream_uv *s))
{
    CHECK(!stream_uv_is_closing(s));
    stop_waiting(s);
    if (!s->finished) {
        say_goodbye(s);
    }
    s->closed = closed;
    uv_close((uv_handle_t *)&s->tcp, on_closed);
    tls_free(s->tls); /* what libuv still had to write is written by nobody any more */
    s->tls = NULL;
}
