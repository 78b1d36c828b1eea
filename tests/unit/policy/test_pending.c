#include "policy/pending.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TOKEN "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"

static struct pending_item item(uint64_t expires_s, uint8_t token, const char *relay)
{
    struct pending_item i = {.expires_s = expires_s};
    memset(i.token, token, sizeof(i.token));
    memcpy(i.relay, relay, strlen(relay));
    return i;
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    struct pending p = {.count = 0}, back;
    struct pending_item a = item(1000, 1, "main"), b = item(999999999999999999, 2, "");
    char text[PENDING_TEXT_MAX];
    assert_int_equal(pending_add(&p, &a), 0);
    assert_int_equal(pending_add(&p, &b), 0);
    pending_format(&p, text);
    assert_int_equal(pending_parse(&back, text, strlen(text), 0), 0);
    assert_int_equal(back.count, 2);
    assert_memory_equal(&back.items[0].token, a.token, sizeof(a.token));
    assert_string_equal(back.items[0].relay, "main");
    assert_string_equal(back.items[1].relay, "");
    assert_true(back.items[1].expires_s == b.expires_s);
}

static void expires_to_the_second(void **state)
{
    (void)state;
    static const char text[] = "1000 " TOKEN " -\n1001 " TOKEN " main\n";
    struct pending p;
    assert_int_equal(pending_parse(&p, text, strlen(text), 999), 0);
    assert_int_equal(p.count, 2);
    assert_int_equal(pending_parse(&p, text, strlen(text), 1000), 0);
    assert_int_equal(p.count, 1);
    assert_string_equal(p.items[0].relay, "main");
    assert_int_equal(pending_parse(&p, text, strlen(text), 1001), 0);
    assert_int_equal(p.count, 0);
}

static void has_a_ceiling(void **state)
{
    (void)state;
    struct pending p = {.count = 0}, back;
    char text[PENDING_TEXT_MAX];
    struct pending_item one = item(
        999999999999999999, 3, "123456789-123456789-123456789-123456789-123456789-123456789-123");
    for (size_t i = 0; i < PENDING_MAX; i++) {
        assert_int_equal(pending_add(&p, &one), 0);
    }
    assert_int_equal(pending_add(&p, &one), ERR_NO_ROOM);
    pending_format(&p, text);
    assert_int_equal(pending_parse(&back, text, strlen(text), 0), 0);
    assert_int_equal(back.count, PENDING_MAX);
}

static void refuses_what_it_did_not_write(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x",
        "\n",
        "1000 " TOKEN " -",
        "1000 " TOKEN "\n",
        "1000  " TOKEN " -\n",
        "1000 " TOKEN " - more\n",
        "-1 " TOKEN " -\n",
        "1000000000000000000000 " TOKEN " -\n",
        "1000 " TOKEN "x -\n",
        "1000 " TOKEN " a_b\n",
        "1000 " TOKEN " -\ngarbage\n",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct pending p = {.count = 7};
        assert_int_equal(pending_parse(&p, bad[i], strlen(bad[i]), 0), ERR_MALFORMED);
        assert_int_equal(p.count, 0);
    }
}

static void is_taken_once(void **state)
{
    (void)state;
    struct config_public_key self = {{9}}, joiner = {{8}};
    struct pending p = {.count = 0};
    struct invite offer = {.kind = INVITE_OFFER, .key = self}, answer;
    struct pending_item a = item(1000, 1, "a"), b = item(1000, 2, "b"), c = item(1000, 3, "c");
    assert_int_equal(pending_add(&p, &a) | pending_add(&p, &b) | pending_add(&p, &c), 0);
    memcpy(offer.secret, a.token, sizeof(a.token));
    invite_answer(&answer, &offer, &joiner, "laptop");

    const struct pending_item *found = pending_find(&p, &answer, &self);
    assert_non_null(found);
    assert_string_equal(found->relay, "a");
    assert_null(pending_find(&p, &answer, &joiner));
    pending_remove(&p, found);
    assert_int_equal(p.count, 2);
    assert_null(pending_find(&p, &answer, &self));

    memcpy(offer.secret, c.token, sizeof(c.token));
    invite_answer(&answer, &offer, &joiner, "laptop");
    assert_non_null(pending_find(&p, &answer, &self));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was), cmocka_unit_test(expires_to_the_second),
        cmocka_unit_test(has_a_ceiling),        cmocka_unit_test(refuses_what_it_did_not_write),
        cmocka_unit_test(is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
