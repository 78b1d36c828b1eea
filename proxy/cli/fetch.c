#include "cli/fetch.h"

#include "app/tcp.h"
#include "control/http.h"

#include <base/bytes.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum {
    FETCH_MAX = 65536,
    FETCH_TIMEOUT_MS = 40000, /* longer than the front takes to give up */
    HOST_MAX = 255,
    REPLY_LEN = 10,
};

enum fetch_state { FETCH_GREETED, FETCH_ASKED, FETCH_READING };

struct fetch {
    struct tcp *tcp;
    uv_timer_t timer;
    enum fetch_state state;
    char host[HOST_MAX + 1];
    uint16_t port;
    void (*done)(void *user, const struct fetch_result *result);
    void *user;
    size_t len;
    char in[FETCH_MAX];
};

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void fetch_cancel(struct fetch *f)
{
    if (f->tcp) {
        tcp_close(f->tcp);
        f->tcp = NULL;
    }
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
}

static void end(struct fetch *f, const struct fetch_result *result)
{
    fetch_cancel(f); /* the memory stays until the loop comes round */
    f->done(f->user, result);
}

static void fail(struct fetch *f, const char *error, unsigned rep)
{
    end(f, &(struct fetch_result){.error = error, .rep = rep});
}

static void send_all(struct fetch *f, const void *data, size_t len)
{
    if (tcp_send(f->tcp, data, len) != (ssize_t)len) {
        fail(f, "the SOCKS port does not take the request", 0);
    }
}

static void send_request(struct fetch *f)
{
    uint8_t out[4 + 1 + HOST_MAX + 2];
    struct writer w = writer_of(out, sizeof(out));
    size_t host_len = strlen(f->host);
    write_bytes(&w, "\x05\x01\x00\x03", 4); /* CONNECT, a name follows */
    write_u8(&w, (uint8_t)host_len);
    write_bytes(&w, f->host, host_len);
    write_u16(&w, f->port);
    f->state = FETCH_ASKED;
    send_all(f, out, writer_len(&w));
}

static void send_get(struct fetch *f)
{
    char out[HOST_MAX + 128];
    int n = snprintf(out, sizeof(out), "GET / HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n\r\n",
                     f->host, (unsigned)f->port);
    f->state = FETCH_READING;
    send_all(f, out, (size_t)n);
}

/* The first `len` bytes are dealt with. */
static void forget(struct fetch *f, size_t len)
{
    f->len -= len;
    memmove(f->in, f->in + len, f->len);
}

static void take_answer(struct fetch *f, bool eof)
{
    struct control_answer a;
    switch (control_parse_answer(&a, f->in, f->len, eof)) {
    case CONTROL_MORE:
        break;
    case CONTROL_BAD:
        fail(f, "the answer is not a web page", 0);
        break;
    case CONTROL_COMPLETE:
        end(f, &(struct fetch_result){.status = a.status, .body = a.body, .body_len = a.body_len});
        break;
    }
}

static void take_reply(struct fetch *f)
{
    if (f->len < REPLY_LEN) {
        return;
    }
    if (f->in[1] != 0) {
        fail(f, "the SOCKS port refuses", (uint8_t)f->in[1]);
        return;
    }
    forget(f, REPLY_LEN);
    send_get(f);
}

static size_t on_room(void *user, uint8_t **at)
{
    struct fetch *f = user;
    *at = (uint8_t *)f->in + f->len;
    return sizeof(f->in) - f->len;
}

static void on_read(void *user, ssize_t n)
{
    struct fetch *f = user;
    if (n < 0 || (n == 0 && f->state != FETCH_READING)) {
        fail(f, "the connection broke", 0);
        return;
    }
    f->len += (size_t)n;
    switch (f->state) {
    case FETCH_GREETED:
        if (f->len >= 2 && memcmp(f->in, "\x05\x00", 2) == 0) {
            forget(f, 2);
            send_request(f);
        } else if (f->len >= 2) {
            fail(f, "the SOCKS port does not speak SOCKS5", 0);
        }
        break;
    case FETCH_ASKED:
        take_reply(f);
        break;
    case FETCH_READING:
        take_answer(f, n == 0);
        break;
    }
}

static void on_sent(void *user, int status)
{
    if (status < 0) {
        fail(user, "the connection broke", 0);
    }
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

static void on_connected(void *user, struct tcp *tcp, int status)
{
    struct fetch *f = user;
    if (status != 0) {
        fail(f, "nobody listens at the SOCKS port", 0);
        return;
    }
    tcp_attach(tcp, &tcp_ops, f);
    tcp_resume(tcp);
    send_all(f, "\x05\x01\x00", 3);
}

static void on_timer(uv_timer_t *timer)
{
    fail(timer->data, "no answer in time", 0);
}

struct fetch *fetch_start(uv_loop_t *loop, struct pool *pool, const struct addr *socks,
                          const char *host, uint16_t port,
                          void (*done)(void *user, const struct fetch_result *result), void *user)
{
    struct fetch *f = mem_new(1, sizeof(*f));
    if (!f) {
        return NULL;
    }
    f->port = port;
    f->done = done;
    f->user = user;
    (void)snprintf(f->host, sizeof(f->host), "%s", host);
    (void)uv_timer_init(loop, &f->timer); /* cannot fail */
    f->timer.data = f;
    f->tcp = tcp_new(loop, pool);
    if (!f->tcp || tcp_connect(f->tcp, socks, on_connected, f) != 0) {
        fetch_cancel(f);
        return NULL;
    }
    (void)uv_timer_start(&f->timer, on_timer, FETCH_TIMEOUT_MS, 0);
    return f;
}
