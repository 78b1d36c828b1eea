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
    struct stun_site site;
    uint8_t request[600];
    size_t len;
    struct stun_reply reply;
};

static void init(struct world *w, enum stun_form form, uint8_t change)
{
    *w = (struct world){0};
    stun_server_init(&w->server, pcg_rng(&w->pcg, 1));
    w->len = stun_write_request(w->request, sizeof(w->request), txid, form, change);
    assert_true(w->len > 0);
}

/* 192.0.2.1 and .2, ports 3478 and 3479; or the same of IPv6. */
static void make_whole(struct world *w, bool ipv6)
{
    for (unsigned i = 0; i < STUN_SITE_SOCKETS; i++) {
        struct addr v6;
        assert_int_equal(addr_parse(&v6, i & 2 ? "[2001:db8::2]:3478" : "[2001:db8::1]:3478"), 0);
        w->site.at[i] = ipv6 ? v6 : addr_ipv4(192, 0, 2, i & 2 ? 2 : 1, 3478);
        w->site.at[i].port = i & 1 ? 3479 : 3478;
    }
    w->site.whole = true;
}

static size_t ask(struct world *w, unsigned at, const struct addr *from, uint64_t now)
{
    stun_server_input(&w->server, &w->site, at, from, w->request, w->len, now, &w->reply);
    return w->reply.len;
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
            size_t len = ask(&w, 0, &from, 0);
            assert_int_equal(stun_read(&m, w.reply.data, len), 0);
            assert_int_equal(m.type, STUN_SUCCESS);
            assert_memory_equal(m.txid, txid, sizeof(txid));
            assert_true(stun_mapped(&m, &seen));
            assert_true(addr_equal(&seen, &from));
            assert_int_equal(m.mapped.family, ADDR_NONE);
            assert_int_equal(m.other_address.family, ADDR_NONE);
            assert_int_equal(m.has_fingerprint, forms[i] != STUN_FORM_PLAIN);
            assert_true(len <= w.len + 32); /* no amplification to speak of */
        }
    }
}

/* RFC 5780 7.2, table 1: every socket asked, every combination of flags. */
static void answers_from_where_it_was_asked_to(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0, STUN_CHANGE_PORT, STUN_CHANGE_IP,
                                      STUN_CHANGE_IP | STUN_CHANGE_PORT};
    for (unsigned i = 0; i < 2 * 4 * STUN_SITE_SOCKETS; i++) {
        bool ipv6 = i & 1;
        uint8_t change = changes[(i >> 1) & 3];
        unsigned at = i >> 3;
        struct world w;
        struct stun_message m;
        struct addr from = addr_ipv4(203, 0, 113, 7, 4001);
        if (ipv6) {
            assert_int_equal(addr_parse(&from, "[2001:db8::7]:4001"), 0);
        }
        init(&w, STUN_FORM_FINGERPRINT, change);
        make_whole(&w, ipv6);
        size_t len = ask(&w, at, &from, 0);
        assert_int_equal(stun_read(&m, w.reply.data, len), 0);
        assert_int_equal(m.type, STUN_SUCCESS);
        const struct addr *arrived = &w.site.at[at];
        const struct addr *origin = &w.site.at[w.reply.via];
        assert_int_equal(origin->port != arrived->port, (change & STUN_CHANGE_PORT) != 0);
        assert_int_equal(!addr_equal_ip(origin, arrived), (change & STUN_CHANGE_IP) != 0);
        assert_true(addr_equal(&m.response_origin, origin));
        assert_true(m.other_address.port != arrived->port);
        assert_false(addr_equal_ip(&m.other_address, arrived));
        assert_true(addr_equal(&m.mapped, &from));
        assert_true(addr_equal(&m.xor_mapped, &from));
        assert_true(m.has_fingerprint);
    }
}

static void derp_clients_get_the_short_answer(void **state)
{
    (void)state;
    struct world w;
    struct stun_message m;
    struct addr from = addr_ipv4(203, 0, 113, 7, 4001);
    init(&w, STUN_FORM_TAILNODE, 0);
    make_whole(&w, false);
    assert_true(ask(&w, 2, &from, 0) <= w.len);
    assert_int_equal(w.reply.via, 2);
    assert_int_equal(stun_read(&m, w.reply.data, w.reply.len), 0);
    assert_int_equal(m.other_address.family, ADDR_NONE);
    assert_true(addr_equal(&m.xor_mapped, &from));
}

static void assert_refused(struct world *w, uint16_t what)
{
    struct addr from = addr_ipv4(203, 0, 113, 7, 4001);
    struct stun_message m;
    assert_int_equal(stun_read(&m, w->reply.data, ask(w, 0, &from, 0)), 0);
    assert_int_equal(m.type, STUN_ERROR);
    assert_int_equal(m.error, STUN_UNKNOWN_ATTRIBUTE);
    /* UNKNOWN-ATTRIBUTES stands behind the 8 bytes of ERROR-CODE. */
    const uint8_t unknown[] = {0, 0x0a, 0, 2, (uint8_t)(what >> 8), (uint8_t)what};
    assert_memory_equal(w->reply.data + STUN_HEADER_LEN + 8, unknown, sizeof(unknown));
    assert_int_equal(w->reply.via, 0);
    assert_true(w->reply.len <= w->len + 24);
    assert_int_equal(w->server.stats.refused, 1);
}

static void says_what_it_cannot_do(void **state)
{
    (void)state;
    struct world w;
    init(&w, STUN_FORM_PLAIN, STUN_CHANGE_PORT);
    assert_refused(&w, 0x0003);
}

/* Both would let one address make us send to another port of it, or send much. */
static void is_no_tool_against_others(void **state)
{
    (void)state;
    static const struct stun_message asked[] = {
        {.type = STUN_REQUEST, .response_port = 53},
        {.type = STUN_REQUEST, .has_padding = true, .padding_len = 512},
    };
    static const uint16_t what[] = {0x0027, 0x0026};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        init(&w, STUN_FORM_PLAIN, 0);
        make_whole(&w, false);
        w.len = stun_write(w.request, sizeof(w.request), &asked[i]);
        assert_true(w.len > 0);
        assert_refused(&w, what[i]);
    }
}

static void is_silent_to_anything_else(void **state)
{
    (void)state;
    struct world w;
    struct addr from = addr_ipv4(203, 0, 113, 7, 4001);
    init(&w, STUN_FORM_FINGERPRINT, 0);
    size_t whole = w.len;
    for (w.len = 0; w.len < whole; w.len++) {
        assert_int_equal(ask(&w, 0, &from, 0), 0);
    }
    w.request[w.len - 1] ^= 1; /* its fingerprint */
    assert_int_equal(ask(&w, 0, &from, 0), 0);
    struct stun_message answer = {.type = STUN_SUCCESS, .xor_mapped = from};
    w.len = stun_write(w.request, sizeof(w.request), &answer);
    assert_int_equal(ask(&w, 0, &from, 0), 0);
    assert_int_equal(w.server.stats.answered, 0);
    assert_int_equal(w.server.stats.ignored, 0 + 28 + 2);
}

static void limits_each_address_by_itself(void **state)
{
    (void)state;
    static const char *const greedy_text[] = {"203.0.113.7:4001", "[::ffff:203.0.113.7]:1"};
    static const char *const other_text[] = {"198.51.100.9:4001", "[::ffff:198.51.100.9]:1"};
    for (size_t k = 0; k < 2; k++) {
        struct world w;
        struct addr greedy, other;
        size_t answers = 0;
        assert_int_equal(addr_parse(&greedy, greedy_text[k]), 0);
        assert_int_equal(addr_parse(&other, other_text[k]), 0);
        init(&w, STUN_FORM_PLAIN, 0);
        for (int i = 0; i < 1000; i++) {
            greedy.port = (uint16_t)(4000 + i); /* another port is no other address */
            answers += ask(&w, 0, &greedy, 5) > 0;
        }
        assert_int_equal(answers, STUN_SERVER_PER_S);
        assert_int_equal(w.server.stats.limited, 1000 - STUN_SERVER_PER_S);
        assert_true(ask(&w, 0, &other, 5) > 0);
        assert_true(ask(&w, 0, &greedy, NS_PER_S + 5) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_every_form),
        cmocka_unit_test(answers_from_where_it_was_asked_to),
        cmocka_unit_test(derp_clients_get_the_short_answer),
        cmocka_unit_test(says_what_it_cannot_do),
        cmocka_unit_test(is_no_tool_against_others),
        cmocka_unit_test(is_silent_to_anything_else),
        cmocka_unit_test(limits_each_address_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
