/* HTTP at the front: whole and in pieces must end the same; a head that was rewritten must read as
 * the same request, without what was for the proxy. The first byte is the size of the pieces and
 * the kind of message. */
#include "proto/httpedit.h"
#include "session/exchange.h"

#include <base/check.h>
#include <base/mem.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t take(struct httpmsg *m, const char *data, size_t len)
{
    if (m->state == HTTPMSG_HEAD) {
        return httpmsg_head(m, data, len);
    }
    return m->state == HTTPMSG_BODY ? httpmsg_body(m, data, len) : 0;
}

/* Bytes taken until the message is over or nothing is left. */
static size_t run(struct httpmsg *m, const char *data, size_t len, size_t step)
{
    size_t done = 0;
    while (done < len && (m->state == HTTPMSG_HEAD || m->state == HTTPMSG_BODY)) {
        size_t piece = step < len - done ? step : len - done;
        size_t n = take(m, data + done, piece);
        CHECK(n <= piece);
        done += n;
    }
    return done;
}

static bool is_whole(const struct httpmsg *m)
{
    return m->state == HTTPMSG_BODY || m->state == HTTPMSG_DONE;
}

static void check_rewritten(const struct httpmsg *m, const struct httpreq *r)
{
    size_t room = httpedit_room(m);
    char *out = mem_new(1, room);
    struct httpmsg *again = httpmsg_new(HTTPMSG_REQUEST);
    struct httpreq read;
    size_t len = httpedit_request(out, room, m, r);
    if (len < HTTPMSG_REQUEST_HEAD_MAX) { /* it may have grown past it */
        CHECK(httpmsg_head(again, out, len) == len && is_whole(again));
        CHECK(httpreq_read(&read, again) == NULL && read.form == HTTPREQ_ORIGIN);
        CHECK(again->parser.method == m->parser.method);
        CHECK(httpmsg_ends_itself(again) == httpmsg_ends_itself(m));
        CHECK(!httpmsg_find(again, "proxy-authorization") && httpmsg_find(again, "host"));
    }
    mem_free(again);
    mem_free(out);
}

static void check_request(struct httpmsg *m)
{
    struct httpreq r;
    struct httpreq_login login;
    (void)httpreq_login(&login, m);
    if (!httpreq_read(&r, m) && r.form == HTTPREQ_ABSOLUTE) {
        check_rewritten(m, &r);
    }
}

/* As an answer: what the client gets must not depend on the pieces. */
static void check_answer(const char *data, size_t len, size_t step)
{
    static const char get[] = "GET http://h/ HTTP/1.1\r\n\r\n";
    struct httpmsg *request = httpmsg_new(HTTPMSG_REQUEST);
    struct httpreq wanted;
    size_t totals[2] = {0};
    enum exchange_state ends[2];
    (void)httpmsg_head(request, get, sizeof(get) - 1);
    CHECK(httpreq_read(&wanted, request) == NULL);
    for (size_t i = 0; i < 2; i++) {
        struct exchange x;
        size_t done = 0;
        CHECK(exchange_init(&x, request, &wanted) == 0);
        while (done < len && exchange_state(&x) == EXCHANGE_RUNNING) {
            const char *out;
            size_t out_len;
            size_t piece = i == 0 || step > len - done ? len - done : step;
            done += exchange_answer(&x, data + done, piece, &out, &out_len);
            totals[i] += exchange_state(&x) == EXCHANGE_BROKEN ? 0 : out_len;
        }
        exchange_target_end(&x);
        ends[i] = exchange_state(&x);
        exchange_deinit(&x);
    }
    CHECK(ends[0] == ends[1]);
    CHECK(totals[0] == totals[1] || ends[0] == EXCHANGE_BROKEN);
    mem_free(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    size_t step = 1 + data[0] % 32u;
    enum httpmsg_kind kind = data[0] & 0x80 ? HTTPMSG_RESPONSE : HTTPMSG_REQUEST;
    struct httpmsg *whole = httpmsg_new(kind);
    struct httpmsg *pieces = httpmsg_new(kind);
    size_t taken = run(whole, text, len, len);
    size_t taken_in_pieces = run(pieces, text, len, step);
    CHECK(whole->state == pieces->state);
    CHECK(taken == taken_in_pieces || whole->state == HTTPMSG_BAD);
    if (kind == HTTPMSG_REQUEST && whole->headers_done && is_whole(whole)) {
        check_request(whole);
    }
    if (kind == HTTPMSG_RESPONSE) {
        check_answer(text, len, step);
    }
    mem_free(whole);
    mem_free(pieces);
    return 0;
}
