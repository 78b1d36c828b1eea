#include "proto/httpmsg.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GET "GET http://a/ HTTP/1.1\r\n"

struct seed {
    enum httpmsg_kind kind;
    const char *text;
    enum httpmsg_state end;
    size_t extra; /* bytes at the end that are not the message's */
    bool to_end;  /* only the end of the connection ends it */
};

static const struct seed seeds[] = {
    {HTTPMSG_REQUEST, GET "Host: a\r\n\r\n", HTTPMSG_DONE, 0, false},
    {HTTPMSG_REQUEST, "\r\n\n" GET "Host: a\r\n\r\nGET", HTTPMSG_DONE, 3, false},
    {HTTPMSG_REQUEST, "GET http://a/ HTTP/1.1\nHost: a\n\n", HTTPMSG_DONE, 0, false},
    {HTTPMSG_REQUEST, "CONNECT a:80 HTTP/1.0\r\n\r\n\x16\x03", HTTPMSG_DONE, 2, false},
    {HTTPMSG_REQUEST, "CONNECT [::1]:80 HTTP/1.1\r\n\r\n", HTTPMSG_DONE, 0, false},
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET", HTTPMSG_DONE, 3,
     false},
    {HTTPMSG_REQUEST,
     "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n0\r\nTrail: er\r\n\r\nx",
     HTTPMSG_DONE, 1, false},
    {HTTPMSG_REQUEST,
     "GET http://a/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81",
     HTTPMSG_DONE, 1, false},
    /* Two readers could understand these differently. */
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
     HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST,
     "POST http://a/ HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
     HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTPMSG_BAD,
     0, false},
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", HTTPMSG_BAD, 0,
     false},
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n", HTTPMSG_BAD, 0,
     false},
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
     HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, GET "X: a\r\n b\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, GET "X : a\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, GET "X: a\rb\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, GET "no colon\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, "FETCH http://a/ HTTP/1.1\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, "GET http://a b/ HTTP/1.1\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, "PRI * HTTP/2.0\r\n\r\n", HTTPMSG_BAD, 0, false},
    {HTTPMSG_REQUEST, "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
     HTTPMSG_BAD, 5, false},
    {HTTPMSG_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", HTTPMSG_DONE, 0, false},
    {HTTPMSG_RESPONSE, "HTTP/1.1 204 No\r\n\r\n", HTTPMSG_DONE, 0, false},
    {HTTPMSG_RESPONSE, "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", HTTPMSG_DONE, 0, false},
    {HTTPMSG_RESPONSE, "HTTP/1.1 100 Go on\r\n\r\nHTTP", HTTPMSG_DONE, 4, false},
    {HTTPMSG_RESPONSE,
     "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05",
     HTTPMSG_DONE, 2, false},
    {HTTPMSG_RESPONSE, "HTTP/1.0 200 OK\r\n\r\nuntil the end", HTTPMSG_DONE, 0, true},
    {HTTPMSG_RESPONSE, "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
     HTTPMSG_DONE, 0, false},
    {HTTPMSG_RESPONSE, "SSH-2.0-OpenSSH\r\n\r\n", HTTPMSG_BAD, 0, false},
};

struct run {
    struct httpmsg *m;
    size_t taken;
};

/* The bytes are copied to a block of just their size: a read past the end is a red test. */
static size_t feed(struct run *r, const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    size_t taken = 0;
    assert_non_null(copy);
    memcpy(copy, text, len);
    if (r->m->state == HTTPMSG_HEAD) {
        taken = httpmsg_head(r->m, copy, len);
    }
    if (r->m->state == HTTPMSG_BODY) {
        taken += httpmsg_body(r->m, copy + taken, len - taken);
    }
    free(copy);
    assert_true(taken <= len);
    r->taken += taken;
    return taken;
}

static bool is_over(const struct run *r)
{
    return r->m->state != HTTPMSG_HEAD && r->m->state != HTTPMSG_BODY;
}

static struct run run_in_steps(const struct seed *seed, size_t first, size_t step)
{
    size_t len = strlen(seed->text);
    struct run r = {.m = httpmsg_new(seed->kind)};
    assert_non_null(r.m);
    (void)feed(&r, seed->text, first);
    while (r.taken < len && !is_over(&r)) {
        size_t left = len - r.taken;
        (void)feed(&r, seed->text + r.taken, step < left ? step : left);
    }
    if (seed->to_end) {
        assert_int_equal(r.m->state, HTTPMSG_BODY);
        httpmsg_end(r.m);
    }
    return r;
}

static void seeds_give_the_same_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        size_t len = strlen(seeds[i].text);
        for (size_t n = 0; n <= 2 * len; n++) {
            /* n < len: split there; above: pieces of that size */
            struct run r = run_in_steps(&seeds[i], n < len ? n : 0, n < len ? len : n - len + 1);
            if (r.m->state != seeds[i].end) {
                fail_msg("seed %zu ends as %d: %s", i, (int)r.m->state, seeds[i].text);
            }
            if (seeds[i].end == HTTPMSG_DONE) {
                assert_int_equal(len - r.taken, seeds[i].extra);
            }
            mem_free(r.m);
        }
    }
}

static void truncated_seeds_wait_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        size_t len = strlen(seeds[i].text) - seeds[i].extra;
        for (size_t cut = 0; cut < len && seeds[i].end == HTTPMSG_DONE && !seeds[i].to_end; cut++) {
            struct run r = {.m = httpmsg_new(seeds[i].kind)};
            assert_int_equal(feed(&r, seeds[i].text, cut), cut);
            assert_false(is_over(&r));
            httpmsg_end(r.m);
            assert_int_equal(r.m->state, HTTPMSG_BAD);
            mem_free(r.m);
        }
    }
}

static void heads_have_a_ceiling(void **state)
{
    (void)state;
    struct run r = {.m = httpmsg_new(HTTPMSG_REQUEST)};
    char text[HTTPMSG_REQUEST_HEAD_MAX + 1];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET http://a/", 13);
    assert_int_equal(feed(&r, text, HTTPMSG_REQUEST_HEAD_MAX - 1), HTTPMSG_REQUEST_HEAD_MAX - 1);
    assert_int_equal(r.m->state, HTTPMSG_HEAD);
    assert_int_equal(feed(&r, text, 2), 1);
    assert_int_equal(r.m->state, HTTPMSG_TOO_LONG);
    mem_free(r.m);
    r = (struct run){.m = httpmsg_new(HTTPMSG_REQUEST)};
    (void)feed(&r, GET, strlen(GET));
    for (size_t i = 0; i < HTTPMSG_HEADERS_MAX + 1; i++) {
        (void)feed(&r, "A: b\r\n", 6);
    }
    (void)feed(&r, "\r\n", 2);
    assert_int_equal(r.m->state, HTTPMSG_BAD);
    mem_free(r.m);
}

static void headers_are_found_in_any_case(void **state)
{
    (void)state;
    static const char text[] =
        GET "HOST:  a \r\nEmpty:\r\nConnection: close ,  X-One\r\nconnection:X-Two\r\n\r\n";
    struct run r = {.m = httpmsg_new(HTTPMSG_REQUEST)};
    static const struct httpmsg_text one = {"x-one", 5}, two = {"X-TWO", 5}, none = {"X", 1};
    (void)feed(&r, text, strlen(text));
    assert_int_equal(r.m->state, HTTPMSG_DONE);
    assert_int_equal(r.m->header_count, 4);
    assert_true(httpmsg_text_is(&httpmsg_find(r.m, "host")->value, "a"));
    assert_int_equal(httpmsg_find(r.m, "empty")->value.len, 0);
    assert_null(httpmsg_find(r.m, "hos"));
    assert_true(httpmsg_lists(r.m, "connection", &one));
    assert_true(httpmsg_lists(r.m, "Connection", &two));
    assert_false(httpmsg_lists(r.m, "connection", &none));
    assert_string_equal(httpmsg_method(r.m), "GET");
    assert_false(httpmsg_keeps_alive(r.m));
    mem_free(r.m);
}

static void a_message_is_followed_by_the_next(void **state)
{
    (void)state;
    struct run r = {.m = httpmsg_new(HTTPMSG_RESPONSE)};
    static const char first[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    static const char second[] = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n..";
    httpmsg_reset(r.m, true); /* answers HEAD: no body, whatever its length */
    (void)feed(&r, first, strlen(first));
    assert_int_equal(r.m->state, HTTPMSG_DONE);
    assert_true(httpmsg_ends_itself(r.m));
    assert_true(httpmsg_keeps_alive(r.m));
    httpmsg_reset(r.m, false);
    (void)feed(&r, second, strlen(second));
    assert_int_equal(r.m->state, HTTPMSG_DONE);
    assert_int_equal(httpmsg_status(r.m), 404);
    mem_free(r.m);
    mem_fail_after(1);
    assert_null(httpmsg_new(HTTPMSG_REQUEST));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_give_the_same_in_any_pieces),
        cmocka_unit_test(truncated_seeds_wait_for_more),
        cmocka_unit_test(heads_have_a_ceiling),
        cmocka_unit_test(headers_are_found_in_any_case),
        cmocka_unit_test(a_message_is_followed_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
