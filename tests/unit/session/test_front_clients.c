/* What clients really send, and what other servers got wrong about it: every message whole, byte by
 * byte, split at every place and cut short at every place, and always the same comes out. Each
 * piece is a block of just its size, so that a read past its end is a red test.
 */
#include "session/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(text) text, sizeof(text) - 1

enum { NOW = 1000, SAID_MAX = 1024 };

/* What a conversation comes to. */
struct result {
    enum front_state state;
    enum front_fault fault;
    unsigned logins;
    size_t taken;
    char user[256];
    char target[TARGET_TEXT_MAX];
    char said[SAID_MAX]; /* all that the client gets up to here */
    size_t said_len;
};

struct client {
    struct front f;
    struct result r;
};

static void listen_to(struct client *c)
{
    while (front_output(&c->f, c->r.said + c->r.said_len, 1) == 1) {
        c->r.said_len++;
        assert_true(c->r.said_len < SAID_MAX);
    }
}

static void look(struct client *c)
{
    struct httpreq_login l;
    enum front_event_type ev;
    listen_to(c);
    while ((ev = front_event(&c->f)) != FRONT_EVENT_NONE) {
        if (ev == FRONT_EVENT_LOGIN) {
            front_login(&c->f, &l);
            assert_true(l.user_len < sizeof(c->r.user));
            memcpy(c->r.user, l.user, l.user_len);
            c->r.logins++;
            front_authorize(&c->f, true, NOW);
        } else if (ev == FRONT_EVENT_CONNECT) {
            (void)target_format(front_target(&c->f), c->r.target);
        }
        listen_to(c);
    }
}

/* A piece; what is not taken is offered again as long as something happens. */
static void say(struct client *c, const char *data, size_t len)
{
    unsigned logins;
    size_t taken;
    do {
        logins = c->r.logins;
        char *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, data, len);
        taken = front_input(&c->f, copy, len, NOW);
        free(copy);
        assert_true(taken <= len);
        c->r.taken += front_state(&c->f) == FRONT_CLOSING ? 0 : taken;
        data += taken;
        len -= taken;
        look(c);
    } while (len > 0 && (taken > 0 || c->r.logins > logins) &&
             front_state(&c->f) == FRONT_NEGOTIATING);
}

static void begin(struct client *c)
{
    const struct front_options options = {.name_wanted = true};
    *c = (struct client){0};
    front_init(&c->f, &front_times_default, &options, NOW);
}

static struct result end(struct client *c)
{
    c->r.state = front_state(&c->f);
    c->r.fault = c->f.fault;
    front_deinit(&c->f);
    return c->r;
}

static void assert_same(const struct result *a, const struct result *b)
{
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->fault, b->fault);
    assert_int_equal(a->logins, b->logins);
    assert_int_equal(a->said_len, b->said_len);
    assert_memory_equal(a->said, b->said, a->said_len);
    assert_string_equal(a->target, b->target);
    assert_string_equal(a->user, b->user);
    assert_int_equal(a->taken, b->taken);
}

/* The message in pieces of `step`, after a first one of `split`. */
static struct result talk(const char *data, size_t len, size_t split, size_t step)
{
    struct client c;
    begin(&c);
    say(&c, data, split);
    for (size_t at = split; at < len; at += step) {
        /* What was not taken before the request is complete is nobody's loss: it never happens. */
        say(&c, data + at, step < len - at ? step : len - at);
    }
    return end(&c);
}

struct message {
    const char *what, *data;
    size_t len, behind; /* bytes that are not the request's */
    const char *user, *target, *said;
    size_t said_len;
};

static const struct message messages[] = {
    {"Chromium",
     BYTES("\5\1\0\5\1\0\3\x0b"
           "example.org\1\xbb"),
     0, "", "example.org:443", BYTES("\5\0")},
    {"Chromium, IPv6", BYTES("\5\1\0\5\1\0\3\3::1\0\x50"), 0, "", "[::1]:80", BYTES("\5\0")},
    {"Chromium, IPv4",
     BYTES("\5\1\0\5\1\0\3\x09"
           "127.0.0.1\0\x50"),
     0, "", "127.0.0.1:80", BYTES("\5\0")},
    {"curl, GSSAPI and none", BYTES("\5\2\0\1\5\1\0\1\x7f\0\0\1\0\x50"), 0, "", "127.0.0.1:80",
     BYTES("\5\0")},
    {"curl, user", BYTES("\5\3\0\1\2\1\3ann\3one\5\1\0\3\1h\0\x50"), 0, "ann", "h:80",
     BYTES("\5\2\1\0")},
    {"curl, empty password", BYTES("\5\2\0\2\1\3ann\0\5\1\0\3\1h\0\x50"), 0, "ann", "h:80",
     BYTES("\5\2\1\0")},
    {"Firefox, user", BYTES("\5\1\2\1\1a\1b\5\1\0\3\x09home.peer\x1f\x90"), 0, "a",
     "home.peer:8080", BYTES("\5\2\1\0")},
    {"TLS hello along with the request", BYTES("\5\1\0\5\1\0\3\1h\1\xbb\x16\3\1\5"), 4, "", "h:443",
     BYTES("\5\0")},
    {"v4-mapped", BYTES("\5\1\0\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1\0\x16"), 0, "",
     "127.0.0.1:22", BYTES("\5\0")},
    {"trailing dot", BYTES("\5\1\0\5\1\0\3\2h.\0\x50"), 0, "", "h:80", BYTES("\5\0")},
    {"hexadecimal",
     BYTES("\5\1\0\5\1\0\3\x0a"
           "0x7f000001\0\x16"),
     0, "", "127.0.0.1:22", BYTES("\5\0")},
    {"port 65535", BYTES("\5\1\0\5\1\0\3\1h\xff\xff"), 0, "", "h:65535", BYTES("\5\0")},
    {"SOCKS4", BYTES("\4\1\0\x50\x7f\0\0\1\0"), 0, "", "127.0.0.1:80", BYTES("")},
    {"SOCKS4, user", BYTES("\4\1\0\x50\x7f\0\0\1me\0more"), 4, "me", "127.0.0.1:80", BYTES("")},
    {"SOCKS4a of Firefox", BYTES("\4\1\0\x50\0\0\0\1MOZ\0home.peer\0"), 0, "MOZ", "home.peer:80",
     BYTES("")},
    {"proxychains", BYTES("CONNECT h:22 HTTP/1.0\r\nHost: h:22\r\n\r\nSSH"), 3, "", "h:22",
     BYTES("")},
    {"CONNECT to IPv6, no Host", BYTES("CONNECT [::1]:80 HTTP/1.1\r\n\r\n"), 0, "", "[::1]:80",
     BYTES("")},
    {"CONNECT with a user and a length",
     BYTES("CONNECT h:22 HTTP/1.1\r\nContent-Length: 5\r\nProxy-Authorization: basic "
           "YW5uOm9uZQ==\r\n\r\nhello"),
     5, "ann", "h:22", BYTES("")},
};

static void every_split_gives_the_same_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        const struct message *m = &messages[i];
        struct result whole = talk(m->data, m->len, m->len, 1);
        if (strcmp(whole.target, m->target) != 0 || strcmp(whole.user, m->user) != 0) {
            fail_msg("%s: \"%s\" as \"%s\"", m->what, whole.target, whole.user);
        }
        assert_int_equal(whole.state, FRONT_CONNECTING);
        assert_int_equal(whole.taken, m->len - m->behind);
        assert_int_equal(whole.said_len, m->said_len);
        assert_memory_equal(whole.said, m->said, m->said_len);
        for (size_t split = 0; split <= m->len; split++) {
            struct result two = talk(m->data, m->len, split, m->len);
            struct result many = talk(m->data, m->len, split, 1);
            assert_same(&two, &whole);
            assert_same(&many, &whole);
        }
    }
}

static void what_is_cut_short_waits_and_is_then_late(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        const struct message *m = &messages[i];
        size_t len = m->len - m->behind;
        for (size_t cut = 0; cut < len; cut++) {
            struct client c;
            begin(&c);
            say(&c, m->data, cut);
            assert_int_equal(front_state(&c.f), FRONT_NEGOTIATING);
            assert_string_equal(c.r.target, "");
            front_tick(&c.f, NOW + front_times_default.negotiate);
            assert_int_equal(front_state(&c.f), FRONT_CLOSING);
            struct result late = end(&c);
            assert_int_equal(late.fault, FRONT_FAULT_SLOW);
        }
    }
}

/* What is wrong is refused with the right bytes, however it is cut. */
static const struct {
    const char *what, *data;
    size_t len;
    const char *said; /* the beginning */
    size_t said_len;
} wrong[] = {
    {"no methods", BYTES("\5\0"), BYTES("\5\xff")},
    {"GSSAPI alone", BYTES("\5\1\1"), BYTES("\5\xff")},
    {"private methods alone", BYTES("\5\3\x80\xfe\xff"), BYTES("\5\xff")},
    {"name of no bytes", BYTES("\5\1\0\5\1\0\3\0\0\x50"), BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"NUL in a name", BYTES("\5\1\0\5\1\0\3\3a\0b\0\x50"), BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"line end in a name", BYTES("\5\1\0\5\1\0\3\3a\r\n\0\x50"), BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"a dot and no name", BYTES("\5\1\0\5\1\0\3\1.\0\x50"), BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"a number that is no address",
     BYTES("\5\1\0\5\1\0\3\5"
           "256.1\0\x50"),
     BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"address type 2", BYTES("\5\1\0\5\1\0\2"), BYTES("\5\0\5\x08\0\1\0\0\0\0\0\0")},
    {"command 9", BYTES("\5\1\0\5\x09\0\1\x7f\0\0\1\0\x50"), BYTES("\5\0\5\7\0\1\0\0\0\0\0\0")},
    {"version 4 in the request", BYTES("\5\1\0\4"), BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"login of version 5", BYTES("\5\1\2\5"), BYTES("\5\2")},
    {"SOCKS4a without a name", BYTES("\4\1\0\x50\0\0\0\1\0\0"), BYTES("\0\x5b\0\0\0\0\0\0")},
    {"SOCKS4, command 9", BYTES("\4\x09\0\x50\x7f\0\0\1\0"), BYTES("\0\x5b\0\0\0\0\0\0")},
    {"CONNECT without a port", BYTES("CONNECT h HTTP/1.1\r\n\r\n"), BYTES("HTTP/1.1 400 ")},
    {"CONNECT with two", BYTES("CONNECT h:1:2 HTTP/1.1\r\n\r\n"), BYTES("HTTP/1.1 400 ")},
    {"another scheme", BYTES("GET ftp://h/ HTTP/1.1\r\n\r\n"), BYTES("HTTP/1.1 400 ")},
    {"TLS", BYTES("\x16"), BYTES("")},
    {"nothing we know", BYTES("\6"), BYTES("")},
};

static void what_is_wrong_is_refused_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct result whole = talk(wrong[i].data, wrong[i].len, wrong[i].len, 1);
        if (whole.state != FRONT_CLOSING || whole.said_len < wrong[i].said_len ||
            memcmp(whole.said, wrong[i].said, wrong[i].said_len) != 0) {
            fail_msg("%s: state %d, %zu bytes", wrong[i].what, (int)whole.state, whole.said_len);
        }
        assert_true(whole.fault == FRONT_FAULT_REQUEST || whole.fault == FRONT_FAULT_PROTOCOL);
        for (size_t split = 0; split < wrong[i].len; split++) {
            struct result pieces = talk(wrong[i].data, wrong[i].len, split, 1);
            assert_int_equal(pieces.state, FRONT_CLOSING);
            assert_int_equal(pieces.said_len, whole.said_len);
            assert_memory_equal(pieces.said, whole.said, whole.said_len);
        }
    }
}

/* Lengths are unsigned bytes: from 128 on they are a negative number to who is not careful. */
static void lengths_at_their_ends(void **state)
{
    (void)state;
    static const size_t lens[] = {1, 127, 128, 254, 255};
    for (size_t i = 0; i < COUNT(lens) * COUNT(lens); i++) {
        size_t user = lens[i % COUNT(lens)], name = lens[i / COUNT(lens)];
        char data[2 + 255 + 2 + 255 + 1 + 255 + 5 + 255 + 2] = {5, (char)user};
        size_t n = 2;
        memset(data + n, 0x40, user - 1); /* as many methods, the last of which is good */
        n += user - 1;
        data[n++] = 2;
        data[n++] = 1;
        data[n++] = (char)user;
        memset(data + n, 'u', user);
        n += user;
        data[n++] = (char)user;
        memset(data + n, 'p', user);
        n += user;
        memcpy(data + n, "\5\1\0\3", 4);
        n += 4;
        data[n++] = (char)name;
        memset(data + n, 'n', name);
        n += name;
        data[n++] = 0;
        data[n++] = 80;
        struct result whole = talk(data, n, n, 1);
        struct result bytes = talk(data, n, 0, 1);
        assert_same(&bytes, &whole);
        assert_int_equal(whole.taken, n);
        assert_int_equal(strlen(whole.user), user);
        assert_int_equal(strlen(whole.target), name + 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same_request),
        cmocka_unit_test(what_is_cut_short_waits_and_is_then_late),
        cmocka_unit_test(what_is_wrong_is_refused_in_any_pieces),
        cmocka_unit_test(lengths_at_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
