#include "relay/stun_server.h"
#include "wire/stun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t txid[STUN_TXID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

struct world {
    struct pcg pcg;
    struct stun_server server;
    uint8_t request[64], reply[STUN_SERVER_REPLY_MAX];
    size_t len;
};

static void init(struct world *w, enum stun_form form, uint8_t change)
{
    stun_server_init(&w->server, pcg_rng(&w->pcg, 1));
    w->len = stun_write_request(w->request, sizeof(w->request), txid, form, change);
    assert_true(w->len > 0);
}

static void answers_every_form(void **state)
{
    (void)state;
    static const enum stun_form forms[] = {STUN_FORM_PLAIN, STUN_FORM_FINGERPRINT,
                                           STUN_FORM_TAILNODE};
    static const char *const from_text[] = {"203.0.113.7:4001", "[2001:db8::7]:4001"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct world w;
            struct addr from, seen;
            struct stun_message m;
            init(&w, forms[i], 0);
            assert_int_equal(addr_parse(&from, from_text[k]), 0);
            size_t len = stun_server_input(&w.server, &from, w.request, w.len, w.reply, 0);
            assert_int_equal(stun_read(&m, w.reply, len), 0);
            assert_int_equal(m.type, STUN_SUCCESS);
            assert_memory_equal(m.txid, txid, sizeof(txid));
            assert_true(stun_mapped(&m, &seen));
            assert_true(addr_equal(&seen, &from));
            assert_int_equal(m.has_fingerprint, forms[i] != STUN_FORM_PLAIN);
            assert_true(len <= w.len + 32); /* no amplification to speak of */
        }
    }
}

static void says_what_it_cannot_do(void **state)
{
    (void)state;
    struct world w;
    struct stun_message m;
    struct addr from = addr_ipv4(203, 0, 113, 7, 4001);
    init(&w, STUN_FORM_PLAIN, STUN_CHANGE_PORT);
    size_t len = stun_server_input(&w.server, &from, w.request, w.len, w.reply, 0);
    assert_int_equal(stun_read(&m, w.reply, len), 0);
    assert_int_equal(m.type, STUN_ERROR);
    assert_int_equal(m.error, STUN_UNKNOWN_ATTRIBUTE);
    assert_int_equal(w.server.refused, 1);
}

static void is_silent_to_anything_else(void **state)
{
    (void)state;
    struct world w;
    struct addr from = addr_ipv4(203, 0, 113, 7, 4001);
    init(&w, STUN_FORM_FINGERPRINT, 0);
    for (size_t cut = 0; cut < w.len; cut++) {
        assert_int_equal(stun_server_input(&w.server, &from, w.request, cut, w.reply, 0), 0);
    }
    w.request[w.len - 1] ^= 1; /* its fingerprint */
    assert_int_equal(stun_server_input(&w.server, &from, w.request, w.len, w.reply, 0), 0);
    struct stun_message answer = {.type = STUN_SUCCESS, .xor_mapped = from};
    size_t len = stun_write(w.request, sizeof(w.request), &answer);
    assert_int_equal(stun_server_input(&w.server, &from, w.request, len, w.reply, 0), 0);
    assert_int_equal(w.server.answered, 0);
    assert_int_equal(w.server.ignored, 0 + 28 + 2);
}

static void limits_each_address_by_itself(void **state)
{
    (void)state;
    struct world w;
    struct addr greedy = addr_ipv4(203, 0, 113, 7, 4001);
    struct addr other = addr_ipv4(198, 51, 100, 9, 4001);
    size_t answers = 0;
    init(&w, STUN_FORM_PLAIN, 0);
    for (int i = 0; i < 1000; i++) {
        greedy.port = (uint16_t)(4000 + i); /* another port is no other address */
        answers += stun_server_input(&w.server, &greedy, w.request, w.len, w.reply, 5) > 0;
    }
    assert_int_equal(answers, STUN_SERVER_PER_S);
    assert_int_equal(w.server.limited, 1000 - STUN_SERVER_PER_S);
    assert_true(stun_server_input(&w.server, &other, w.request, w.len, w.reply, 5) > 0);
    assert_true(stun_server_input(&w.server, &greedy, w.request, w.len, w.reply, NS_PER_S + 5) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_every_form),
        cmocka_unit_test(says_what_it_cannot_do),
        cmocka_unit_test(is_silent_to_anything_else),
        cmocka_unit_test(limits_each_address_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
