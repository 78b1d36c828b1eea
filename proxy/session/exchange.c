#include "session/exchange.h"

#include "proto/httpedit.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

static void set_state(struct exchange *x, enum exchange_state state)
{
    CHECK(x->state == EXCHANGE_RUNNING);
    x->state = state;
}

int exchange_init(struct exchange *x, struct httpmsg *request, const struct httpreq *wanted)
{
    size_t room = httpedit_room(request);
    *x = (struct exchange){.request = request, .wanted = wanted};
    CHECK(request->state == HTTPMSG_BODY || request->state == HTTPMSG_DONE);
    x->bodiless = request->state == HTTPMSG_DONE;
    x->response = httpmsg_new(HTTPMSG_RESPONSE);
    x->head = mem_new(1, room);
    if (!x->response || !x->head) {
        return ERR_NO_MEMORY;
    }
    httpmsg_reset(x->response, wanted->head);
    x->head_len = httpedit_request(x->head, room, request, wanted);
    return 0;
}

void exchange_deinit(struct exchange *x)
{
    mem_free(x->response);
    mem_free(x->head);
    mem_free(x->answer_head);
    *x = (struct exchange){.state = EXCHANGE_DONE};
}

size_t exchange_head(const struct exchange *x, const char **at)
{
    *at = x->head + x->head_at;
    return x->head_len - x->head_at;
}

void exchange_head_sent(struct exchange *x, size_t len)
{
    CHECK(len <= x->head_len - x->head_at);
    x->head_at += len;
}

bool exchange_wants_body(const struct exchange *x)
{
    return x->state == EXCHANGE_RUNNING && x->request->state == HTTPMSG_BODY;
}

size_t exchange_body(struct exchange *x, const void *data, size_t len)
{
    if (!exchange_wants_body(x)) {
        return 0;
    }
    size_t n = httpmsg_body(x->request, data, len);
    if (x->request->state == HTTPMSG_BAD) {
        set_state(x, EXCHANGE_BROKEN);
    }
    return n;
}

/* A client that wants no more, an answer that only the end of the connection ends, or a request
 * that was answered before it was complete: then the connection is not used again. */
static bool may_keep(const struct exchange *x)
{
    return x->wanted->keep_alive && httpmsg_ends_itself(x->response) &&
           x->request->state == HTTPMSG_DONE;
}

static void on_final_head(struct exchange *x)
{
    if (httpmsg_status(x->response) == 101) {
        set_state(x, x->wanted->upgrade ? EXCHANGE_SWITCHED : EXCHANGE_BROKEN);
    } else if (x->response->state == HTTPMSG_DONE) {
        set_state(x, EXCHANGE_DONE);
    }
}

/* The answer's head is complete: rewrite it. RFC 9110 section 15.2: there may be several 1xx heads
 * before the one that counts. */
static size_t pass_head(struct exchange *x, const char **out)
{
    size_t room = httpedit_room(x->response);
    unsigned status = httpmsg_status(x->response);
    mem_free(x->answer_head);
    x->answer_head = mem_new(1, room);
    if (!x->answer_head) {
        set_state(x, EXCHANGE_BROKEN);
        return 0;
    }
    x->keeps_client = may_keep(x);
    size_t len = httpedit_response(x->answer_head, room, x->response, x->keeps_client);
    *out = x->answer_head;
    if (status / 100 == 1 && status != 101) {
        httpmsg_reset(x->response, x->wanted->head);
        return x->request->parser.http_minor == 0 ? 0 : len; /* HTTP/1.0 knows no 1xx */
    }
    on_final_head(x);
    if (x->state == EXCHANGE_BROKEN) {
        return 0;
    }
    x->began = true;
    return len;
}

static size_t take_head(struct exchange *x, const void *data, size_t len, const char **out,
                        size_t *out_len)
{
    size_t taken = httpmsg_head(x->response, data, len);
    enum httpmsg_state state = x->response->state;
    if (state == HTTPMSG_BAD || state == HTTPMSG_TOO_LONG) {
        set_state(x, EXCHANGE_BROKEN);
    } else if (state != HTTPMSG_HEAD) {
        *out_len = pass_head(x, out);
    }
    return taken;
}

size_t exchange_answer(struct exchange *x, const void *data, size_t len, const char **out,
                       size_t *out_len)
{
    *out = data;
    *out_len = 0;
    if (x->state != EXCHANGE_RUNNING) {
        return 0;
    }
    if (x->response->state == HTTPMSG_HEAD) {
        return take_head(x, data, len, out, out_len);
    }
    *out_len = httpmsg_body(x->response, data, len);
    if (x->response->state == HTTPMSG_DONE) {
        set_state(x, EXCHANGE_DONE);
    } else if (x->response->state == HTTPMSG_BAD) {
        set_state(x, EXCHANGE_BROKEN);
    }
    return *out_len;
}

void exchange_target_end(struct exchange *x)
{
    if (x->state == EXCHANGE_RUNNING) {
        httpmsg_end(x->response);
        set_state(x, x->response->state == HTTPMSG_DONE ? EXCHANGE_DONE : EXCHANGE_BROKEN);
    }
}

enum exchange_state exchange_state(const struct exchange *x)
{
    return x->state;
}

bool exchange_keeps_client(const struct exchange *x)
{
    return x->state == EXCHANGE_DONE && x->keeps_client;
}

bool exchange_keeps_target(const struct exchange *x)
{
    return x->state == EXCHANGE_DONE && x->request->state == HTTPMSG_DONE &&
           httpmsg_keeps_alive(x->response);
}

bool exchange_is_silent(const struct exchange *x)
{
    return !x->began;
}

/* RFC 9110 section 9.2.2: only what asks and changes nothing. */
bool exchange_may_repeat(const struct exchange *x)
{
    return !x->began && x->bodiless && x->wanted->get;
}
