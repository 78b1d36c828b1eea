#include "path/lifetime.h"

#include <base/addr.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)

/* A NAT that forgets after idle_ns, and a server behind it that answers at once. */
struct bench {
    struct lifetime l;
    struct pcg pcg;
    struct addr server;
    uint64_t now, idle_ns, used_ns;
    uint16_t port;
    unsigned sent;
    bool dead;
};

static size_t write_answer(uint8_t *out, size_t cap, const struct stun_message *request,
                           const struct addr *mapped)
{
    struct stun_message m = {.type = STUN_SUCCESS, .xor_mapped = *mapped};
    memcpy(m.txid, request->txid, sizeof(m.txid));
    return stun_write(out, cap, &m);
}

static void answer(struct bench *b, const uint8_t *data, size_t len)
{
    struct stun_message m;
    uint8_t out[128];
    assert_int_equal(stun_read(&m, data, len), 0);
    if (b->used_ns != 0 && b->now - b->used_ns >= b->idle_ns) {
        b->port++;
    }
    b->used_ns = b->now;
    struct addr mapped = addr_ipv4(203, 0, 113, 7, b->port);
    size_t n = write_answer(out, sizeof(out), &m, &mapped);
    assert_true(n > 0);
    assert_true(lifetime_input(&b->l, &b->server, out, n, b->now));
}

static void run(struct bench *b, uint64_t idle_ns)
{
    *b = (struct bench){.server = addr_ipv4(198, 51, 100, 1, 3478),
                        .now = S(1000),
                        .idle_ns = idle_ns,
                        .port = 5000};
    lifetime_init(&b->l, pcg_rng(&b->pcg, 1));
    assert_int_equal(lifetime_next_ns(&b->l), TIME_NEVER);
    lifetime_start(&b->l, &b->server, STUN_FORM_FINGERPRINT, b->now);
}

static void run_to_end(struct bench *b)
{
    uint8_t buf[64];
    while (lifetime_is_running(&b->l)) {
        lifetime_tick(&b->l, b->now);
        size_t len;
        while ((len = lifetime_output(&b->l, buf, sizeof(buf), b->now)) > 0) {
            b->sent++;
            if (!b->dead) {
                answer(b, buf, len);
            }
        }
        uint64_t next = lifetime_next_ns(&b->l);
        if (next != TIME_NEVER) {
            assert_true(next > b->now);
            b->now = next;
        }
    }
}

static void the_longest_silence_that_was_survived_counts(void **state)
{
    (void)state;
    static const uint64_t cases[][2] = {{20, 0},  {27, 0},    {30, 25},   {45, 40},
                                        {60, 55}, {120, 115}, {180, 175}, {3600, 175}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench b;
        run(&b, S(cases[i][0]));
        run_to_end(&b);
        assert_int_equal(lifetime_keep_ns(&b.l), S(cases[i][1]));
        assert_true(b.sent <= 8);
        assert_int_equal(lifetime_next_ns(&b.l), TIME_NEVER);
    }
}

static void a_server_that_falls_silent_ends_it(void **state)
{
    (void)state;
    struct bench b;
    run(&b, S(120));
    b.dead = true;
    run_to_end(&b);
    assert_int_equal(lifetime_keep_ns(&b.l), 0);
    assert_true(b.sent <= 3);
    assert_true(b.now <= S(1000) + S(4));
}

/* Each question sees another port: there is nothing to measure. */
static void a_nat_that_never_keeps_a_mapping_gives_no_result(void **state)
{
    (void)state;
    struct bench b;
    run(&b, S(1));
    run_to_end(&b);
    assert_int_equal(lifetime_keep_ns(&b.l), 0);
    assert_int_equal(b.sent, 2);
}

static void strangers_are_not_heard(void **state)
{
    (void)state;
    struct bench b;
    uint8_t buf[64];
    struct addr stranger = addr_ipv4(198, 51, 100, 66, 3478);
    run(&b, S(120));
    assert_false(lifetime_input(&b.l, &b.server, "nonsense", 8, b.now));
    size_t len = lifetime_output(&b.l, buf, sizeof(buf), b.now);
    struct stun_message m;
    uint8_t out[128];
    assert_int_equal(stun_read(&m, buf, len), 0);
    size_t n = write_answer(out, sizeof(out), &m, &stranger);
    assert_false(lifetime_input(&b.l, &stranger, out, n, b.now));
    assert_true(lifetime_input(&b.l, &b.server, out, n, b.now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_silence_that_was_survived_counts),
        cmocka_unit_test(a_server_that_falls_silent_ends_it),
        cmocka_unit_test(a_nat_that_never_keeps_a_mapping_gives_no_result),
        cmocka_unit_test(strangers_are_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
