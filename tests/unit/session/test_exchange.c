#include "session/exchange.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GET "GET http://h/ HTTP/1.1\r\n\r\n"

struct run {
    struct httpmsg *request;
    struct httpreq wanted;
    struct exchange x;
    char out[4096]; /* what the client got */
    size_t out_len;
};

static struct run *start(const char *head)
{
    struct run *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->request = httpmsg_new(HTTPMSG_REQUEST);
    assert_int_equal(httpmsg_head(r->request, head, strlen(head)), strlen(head));
    assert_null(httpreq_read(&r->wanted, r->request));
    assert_int_equal(exchange_init(&r->x, r->request, &r->wanted), 0);
    return r;
}

static void end(struct run *r)
{
    exchange_deinit(&r->x);
    mem_free(r->request);
    free(r);
}

/* In pieces; returns how many bytes were taken. */
static size_t answer(struct run *r, const char *text, size_t step)
{
    size_t len = strlen(text);
    size_t done = 0;
    while (done < len && exchange_state(&r->x) == EXCHANGE_RUNNING) {
        size_t piece = step < len - done ? step : len - done;
        const char *out = NULL;
        size_t out_len = 0;
        size_t taken = exchange_answer(&r->x, text + done, piece, &out, &out_len);
        assert_true(taken <= piece && r->out_len + out_len < sizeof(r->out));
        memcpy(r->out + r->out_len, out, out_len);
        r->out_len += out_len;
        done += taken;
    }
    r->out[r->out_len] = '\0';
    return done;
}

static void answers_pass_in_any_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer, *out;
        enum exchange_state end;
        bool keeps_client, keeps_target;
        size_t extra;
    } cases[] = {
        {GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", EXCHANGE_DONE,
         true, true, 0},
        {GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nokmore",
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", EXCHANGE_DONE,
         true, false, 4},
        {"GET http://h/ HTTP/1.1\r\nConnection: close\r\n\r\n",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         "1\r\na\r\n0\r\n\r\n",
         EXCHANGE_DONE, false, true, 0},
        {"HEAD http://h/ HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n", EXCHANGE_DONE,
         true, true, 0},
        {GET, "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
         "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\n"
         "HTTP/1.1 204 No\r\nConnection: keep-alive\r\n\r\n",
         EXCHANGE_DONE, true, true, 0},
        {"GET http://h/ HTTP/1.0\r\n\r\n", "HTTP/1.0 100 Go\r\n\r\nHTTP/1.0 204 No\r\n\r\n",
         "HTTP/1.0 204 No\r\nConnection: close\r\n\r\n", EXCHANGE_DONE, false, false, 0},
        {"GET http://h/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x01",
         "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", EXCHANGE_SWITCHED,
         false, false, 2},
        /* Nobody asked for it. */
        {GET, "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "",
         EXCHANGE_BROKEN, false, false, 0},
        {GET, "SSH-2.0-OpenSSH_9\r\n\r\n", "", EXCHANGE_BROKEN, false, false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = strlen(cases[i].answer);
        for (size_t step = 1; step <= len; step++) {
            struct run *r = start(cases[i].request);
            size_t taken = answer(r, cases[i].answer, step);
            assert_int_equal(exchange_state(&r->x), cases[i].end);
            assert_string_equal(r->out, cases[i].out);
            assert_int_equal(len - taken, cases[i].extra);
            assert_int_equal(exchange_keeps_client(&r->x), cases[i].keeps_client);
            assert_int_equal(exchange_keeps_target(&r->x), cases[i].keeps_target);
            end(r);
        }
    }
}

static void the_end_of_the_target_ends_what_has_no_length(void **state)
{
    (void)state;
    struct run *r = start(GET);
    (void)answer(r, "HTTP/1.1 200 OK\r\n\r\nall", 7);
    assert_int_equal(exchange_state(&r->x), EXCHANGE_RUNNING);
    exchange_target_end(&r->x);
    assert_int_equal(exchange_state(&r->x), EXCHANGE_DONE);
    assert_false(exchange_keeps_client(&r->x));
    assert_string_equal(r->out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall");
    end(r);
}

static void what_is_cut_short_is_broken(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        char part[sizeof(text)] = "";
        struct run *r = start(GET);
        memcpy(part, text, cut);
        (void)answer(r, part, sizeof(part));
        exchange_target_end(&r->x);
        assert_int_equal(exchange_state(&r->x), EXCHANGE_BROKEN);
        bool head = cut >= sizeof(text) - 2;
        assert_int_equal(exchange_is_silent(&r->x), !head);
        assert_int_equal(exchange_may_repeat(&r->x), !head);
        end(r);
    }
}

static void the_request_goes_out_with_its_body(void **state)
{
    (void)state;
    static const char head[] = "POST http://h/p HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    static const char sent[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
    struct run *r = start(head);
    const char *at = NULL;
    assert_int_equal(exchange_head(&r->x, &at), sizeof(sent) - 1);
    assert_memory_equal(at, sent, sizeof(sent) - 1);
    exchange_head_sent(&r->x, 5);
    assert_int_equal(exchange_head(&r->x, &at), sizeof(sent) - 6);
    assert_memory_equal(at, sent + 5, sizeof(sent) - 6);
    assert_true(exchange_wants_body(&r->x));
    assert_int_equal(exchange_body(&r->x, "ab", 2), 2);
    assert_int_equal(exchange_body(&r->x, "cdGET", 5), 2);
    assert_false(exchange_wants_body(&r->x));
    assert_int_equal(exchange_body(&r->x, "GET", 3), 0);
    (void)answer(r, "HTTP/1.1 204 No\r\n\r\n", 99);
    assert_true(exchange_keeps_client(&r->x));
    end(r);
}

static void an_answer_before_the_body_is_out_ends_the_connection(void **state)
{
    (void)state;
    struct run *r = start("POST http://h/p HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
    (void)answer(r, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 99);
    assert_int_equal(exchange_state(&r->x), EXCHANGE_DONE);
    assert_false(exchange_keeps_client(&r->x));
    assert_false(exchange_keeps_target(&r->x));
    assert_string_equal(r->out,
                        "HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    end(r);
    r = start("POST http://h/p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    (void)exchange_body(&r->x, "zz\r\n", 4); /* no chunk */
    assert_int_equal(exchange_state(&r->x), EXCHANGE_BROKEN);
    assert_false(exchange_may_repeat(&r->x));
    end(r);
}

static void memory_may_end(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        struct run *r = start(GET);
        exchange_deinit(&r->x);
        mem_fail_after(n);
        if (exchange_init(&r->x, r->request, &r->wanted) == 0) {
            assert_int_equal(n, 3);
            (void)answer(r, "HTTP/1.1 204 No\r\n\r\n", 99);
            assert_int_equal(exchange_state(&r->x), EXCHANGE_BROKEN);
        }
        mem_fail_after(0);
        end(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_pass_in_any_pieces),
        cmocka_unit_test(the_end_of_the_target_ends_what_has_no_length),
        cmocka_unit_test(what_is_cut_short_is_broken),
        cmocka_unit_test(the_request_goes_out_with_its_body),
        cmocka_unit_test(an_answer_before_the_body_is_out_ends_the_connection),
        cmocka_unit_test(memory_may_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
