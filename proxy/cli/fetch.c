#include "cli/fetch.h"

#include "app/tcp.h"
#include "control/http.h"
#include "proto/proxyclient.h"

#include <base/mem.h>

#include <stdio.h>

enum {
    FETCH_MAX = 65536,
    FETCH_TIMEOUT_MS = 40000, /* longer than the front takes to give up */
};

struct fetch {
    struct tcp *tcp;
    uv_timer_t timer;
    struct target target;
    struct proxyclient talk; /* until it is CONNECTED */
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

static void fail(struct fetch *f, const char *error, enum cause cause)
{
    end(f, &(struct fetch_result){.error = error, .cause = cause});
}

static void send_all(struct fetch *f, const void *data, size_t len)
{
    if (len > 0 && tcp_send(f->tcp, data, len) != (ssize_t)len) {
        fail(f, "the SOCKS port does not take the request", CAUSE_NONE);
    }
}

static void send_get(struct fetch *f)
{
    char out[TARGET_TEXT_MAX + 128];
    char host[TARGET_TEXT_MAX];
    int n = snprintf(out, sizeof(out), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                     target_format(&f->target, host));
    send_all(f, out, (size_t)n);
}

/* `f` may have ended afterwards. */
static void talk_on(struct fetch *f)
{
    uint8_t out[PROXYCLIENT_OUT_MAX];
    switch (f->talk.state) {
    case PROXYCLIENT_TALKING:
        send_all(f, out, proxyclient_output(&f->talk, out));
        break;
    case PROXYCLIENT_CONNECTED:
        send_get(f);
        break;
    case PROXYCLIENT_FAILED:
        fail(f, "the SOCKS port refuses", f->talk.cause);
        break;
    }
}

static void take_answer(struct fetch *f, bool eof)
{
    struct control_answer a;
    switch (control_parse_answer(&a, f->in, f->len, eof)) {
    case CONTROL_MORE:
        if (f->len == sizeof(f->in)) {
            fail(f, "the answer is too long", CAUSE_NONE);
        }
        break;
    case CONTROL_BAD:
        fail(f, "the answer is not a web page", CAUSE_NONE);
        break;
    case CONTROL_COMPLETE:
        end(f, &(struct fetch_result){.status = a.status, .body = a.body, .body_len = a.body_len});
        break;
    }
}

static size_t on_room(void *user, uint8_t **at)
{
    struct fetch *f = user;
    size_t wants = proxyclient_wants(&f->talk); /* 0 once it is connected */
    size_t left = sizeof(f->in) - f->len;
    *at = (uint8_t *)f->in + f->len;
    return wants > 0 && wants < left ? wants : left;
}

static void on_read(void *user, ssize_t n)
{
    struct fetch *f = user;
    bool talking = f->talk.state == PROXYCLIENT_TALKING;
    if (n < 0 || (n == 0 && talking)) {
        fail(f, "the connection broke", CAUSE_NONE);
    } else if (talking) {
        proxyclient_input(&f->talk, (const uint8_t *)f->in, (size_t)n);
        talk_on(f);
    } else {
        f->len += (size_t)n;
        take_answer(f, n == 0);
    }
}

static void on_sent(void *user, int status)
{
    if (status < 0) {
        fail(user, "the connection broke", CAUSE_NONE);
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
        fail(f, "nobody listens at the SOCKS port", CAUSE_NONE);
        return;
    }
    tcp_attach(tcp, &tcp_ops, f);
    tcp_resume(tcp);
    talk_on(f);
}

static void on_timer(uv_timer_t *timer)
{
    fail(timer->data, "no answer in time", CAUSE_NONE);
}

struct fetch *fetch_start(uv_loop_t *loop, struct pool *pool, const struct addr *socks,
                          const struct target *target,
                          void (*done)(void *user, const struct fetch_result *result), void *user)
{
    struct fetch *f = mem_new(1, sizeof(*f));
    if (!f) {
        return NULL;
    }
    f->target = *target;
    proxyclient_init(&f->talk, true, "", target);
    f->done = done;
    f->user = user;
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
