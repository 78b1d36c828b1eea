#include "proto/httpedit.h"
#include "proto/httpreq.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct httpmsg *parse(enum httpmsg_kind kind, const char *text)
{
    struct httpmsg *m = httpmsg_new(kind);
    assert_non_null(m);
    assert_int_equal(httpmsg_head(m, text, strlen(text)), strlen(text));
    assert_true(m->state == HTTPMSG_BODY || m->state == HTTPMSG_DONE);
    return m;
}

static void requests_name_their_target(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum httpreq_form form;
        const char *target, *authority, *path; /* target NULL: malformed */
    } cases[] = {
        {"CONNECT home.peer:22 HTTP/1.1\r\n\r\n", HTTPREQ_CONNECT, "home.peer:22", "", ""},
        {"CONNECT [::1]:80 HTTP/1.1\r\n\r\n", HTTPREQ_CONNECT, "[::1]:80", "", ""},
        {"CONNECT home.peer HTTP/1.1\r\n\r\n", HTTPREQ_CONNECT, NULL, "", ""},
        {"GET http://Home.Peer HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, "home.peer:80", "Home.Peer",
         ""},
        {"GET HTTP://h:8080/a?b#c HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, "h:8080", "h:8080", "/a?b"},
        {"GET http://h:/ HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, "h:80", "h:", "/"},
        {"GET http://h?q HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, "h:80", "h", "?q"},
        {"GET http://[::1]/ HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, "[::1]:80", "[::1]", "/"},
        {"GET http://u:p@h:1/ HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, "h:1", "h:1", "/"},
        {"GET http://h:99999/ HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, NULL, "", ""},
        {"GET https://h/ HTTP/1.1\r\n\r\n", HTTPREQ_ABSOLUTE, NULL, "", ""},
        {"OPTIONS * HTTP/1.1\r\n\r\n", HTTPREQ_ORIGIN, NULL, "", ""},
        {"GET /proxy.pac HTTP/1.1\r\n\r\n", HTTPREQ_ORIGIN, "", "", "/proxy.pac"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct httpmsg *m = parse(HTTPMSG_REQUEST, cases[i].text);
        struct httpreq r;
        char text[TARGET_TEXT_MAX];
        const char *why = httpreq_read(&r, m);
        if ((why == NULL) != (cases[i].target != NULL)) {
            fail_msg("%s: %s", cases[i].text, why ? why : "good");
        }
        if (!why) {
            assert_int_equal(r.form, cases[i].form);
            assert_int_equal(r.authority.len, strlen(cases[i].authority));
            assert_int_equal(r.path.len, strlen(cases[i].path));
            assert_memory_equal(r.path.len ? r.path.at : "", cases[i].path, r.path.len);
            assert_memory_equal(r.authority.len ? r.authority.at : "", cases[i].authority,
                                r.authority.len);
        }
        if (!why && cases[i].target[0]) {
            assert_string_equal(target_format(&r.target, text), cases[i].target);
        }
        mem_free(m);
    }
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    struct httpreq r;
    struct httpmsg *m = httpmsg_new(HTTPMSG_REQUEST);
    (void)httpmsg_head(m, "GET http://a/ HTTP/2.0\r\n\r\n", 26);
    assert_true(m->state == HTTPMSG_BAD || httpreq_read(&r, m));
    mem_free(m);
}

static bool login_of(const char *value, struct httpreq_login *l)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "GET http://a/ HTTP/1.1\r\nProxy-Authorization: %s\r\n\r\n",
                   value);
    struct httpmsg *m = parse(HTTPMSG_REQUEST, text);
    bool good = httpreq_login(l, m);
    mem_free(m);
    return good;
}

static void logins_are_decoded(void **state)
{
    (void)state;
    struct httpreq_login l;
    assert_true(login_of("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &l)); /* RFC 7617 section 2 */
    assert_int_equal(l.user_len, 7);
    assert_memory_equal(l.user, "Aladdin", 7);
    assert_int_equal(l.password_len, 11);
    assert_memory_equal(l.password, "open sesame", 11);
    assert_true(login_of("basic YTpiOmM=", &l)); /* a:b:c */
    assert_int_equal(l.user_len, 1);
    assert_memory_equal(l.password, "b:c", 3);
    assert_true(login_of("Basic Og==", &l)); /* both empty */
    assert_int_equal(l.user_len + l.password_len, 0);
    static const char *const bad[] = {
        "",    "Basic", "Basic !!!!", "Basic YWJj", "Digest username=\"a\"", "Basic YTpi YTpi=",
        "YTpi"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(login_of(bad[i], &l));
    }
    char longest[900] = "Basic ";
    memset(longest + 6, 'O', 800);
    longest[806] = '\0';
    assert_false(login_of(longest, &l));
}

static void assert_edit(const char *from, const char *to)
{
    struct httpmsg *m = parse(HTTPMSG_REQUEST, from);
    struct httpreq r;
    size_t room = httpedit_room(m);
    char *out = malloc(room + 1);
    assert_non_null(out);
    assert_null(httpreq_read(&r, m));
    out[httpedit_request(out, room, m, &r)] = '\0';
    assert_string_equal(out, to);
    free(out);
    mem_free(m);
}

static void requests_lose_what_was_for_the_proxy(void **state)
{
    (void)state;
    assert_edit("GET http://h:8080/a?b HTTP/1.1\r\nHost: other\r\nAccept:*/*\r\n"
                "Proxy-Connection: Keep-Alive\r\nProxy-Authorization: Basic YTpi\r\n"
                "Connection: close, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nTE: trailers\r\n\r\n",
                "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\n\r\n");
    assert_edit("GET http://h HTTP/1.0\nA:b\n\n", "GET / HTTP/1.0\r\nHost: h\r\nA: b\r\n\r\n");
    assert_edit("GET http://h?x HTTP/1.1\r\n\r\n", "GET /?x HTTP/1.1\r\nHost: h\r\n\r\n");
    /* What frames the body stays even if somebody asks for its removal. */
    assert_edit("POST http://u:p@h/ HTTP/1.1\r\nContent-Length: 1\r\n"
                "Connection: Content-Length, Host\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
    assert_edit(
        "GET http://h/ HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\n"
        "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_edit("GET http://h/ HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void assert_answer(const char *from, bool keep, const char *to)
{
    struct httpmsg *m = parse(HTTPMSG_RESPONSE, from);
    size_t room = httpedit_room(m);
    char *out = malloc(room + 1);
    assert_non_null(out);
    out[httpedit_response(out, room, m, keep)] = '\0';
    assert_string_equal(out, to);
    free(out);
    mem_free(m);
}

static void answers_say_what_the_proxy_does(void **state)
{
    (void)state;
    assert_answer("HTTP/1.1 200 OK\r\nConnection: close, X\r\nX: y\r\nContent-Length: 0\r\n\r\n",
                  true, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    assert_answer("HTTP/1.0 404 Not here\nA: b\n\n", false,
                  "HTTP/1.0 404 Not here\r\nA: b\r\nConnection: close\r\n\r\n");
    assert_answer("HTTP/1.1 100 Continue\r\n\r\n", true, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_answer("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                  true,
                  "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

/* Lines grow by a CR and a blank each; the room must be enough for the most of them. */
static void the_room_is_enough(void **state)
{
    (void)state;
    char text[4096] = "GET http://h HTTP/1.1\n";
    for (size_t i = 0; i < HTTPMSG_HEADERS_MAX; i++) {
        strncpy(text + strlen(text), "A:\n", 4);
    }
    strncpy(text + strlen(text), "\n", 2);
    struct httpmsg *m = parse(HTTPMSG_REQUEST, text);
    struct httpreq r;
    size_t room = httpedit_room(m);
    char *out = malloc(room);
    assert_null(httpreq_read(&r, m));
    assert_true(httpedit_request(out, room, m, &r) <= room);
    free(out);
    mem_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_name_their_target),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(logins_are_decoded),
        cmocka_unit_test(requests_lose_what_was_for_the_proxy),
        cmocka_unit_test(answers_say_what_the_proxy_does),
        cmocka_unit_test(the_room_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
