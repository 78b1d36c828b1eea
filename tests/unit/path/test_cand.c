/* Candidates: what we tell of ourselves, what of a peer's list is probed, and when. */
#include "path/cand.h"

#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr at(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(&a, text), 0);
    return a;
}

static void assert_list(const struct cand_own *o, const char *expected)
{
    struct frame_candidate list[CAND_MAX];
    char all[CAND_MAX * 80] = "";
    size_t used = 0;
    size_t count = cand_own_list(o, list);
    for (size_t i = 0; i < count; i++) {
        char text[ADDR_TEXT_MAX];
        (void)addr_format(&list[i].addr, text);
        all[used++] = (char)('0' + list[i].source);
        memcpy(all + used, text, strlen(text));
        used += strlen(text);
        all[used++] = ' ';
    }
    all[used] = '\0';
    assert_string_equal(all, expected);
}

static bool own(struct cand_own *o, enum cand_source source, const char *text, uint64_t now)
{
    struct addr a = at(text);
    return cand_own_add(o, source, &a, now);
}

/* --- ours --- */

/* A peer that makes up where it sees us: what is known otherwise stays, and the list does not
 * change with each of its words. */
static void what_a_peer_claims_to_see_has_little_room(void **state)
{
    (void)state;
    struct cand_own o;
    struct frame_candidate list[CAND_MAX];
    cand_own_init(&o);
    assert_true(own(&o, CAND_HOST, "192.168.1.2:4000", 1));
    uint32_t version = o.version;
    for (uint32_t i = 0; i < 1000; i++) {
        struct addr fake = addr_ipv4(198, 51, (uint8_t)(i >> 8), (uint8_t)i, 53);
        (void)cand_own_add(&o, CAND_PEER_REFLEXIVE, &fake, 1 + i * NS_PER_MS);
    }
    assert_in_range(o.version - version, CAND_SEEN_MAX, CAND_SEEN_MAX + 1);
    size_t count = cand_own_list(&o, list);
    assert_int_equal(count, CAND_SEEN_MAX + 1);
    assert_int_equal(list[count - 1].source, CAND_HOST);
    /* in time there is room for what is true now */
    assert_true(own(&o, CAND_PEER_REFLEXIVE, "203.0.113.9:4000", 1 + NS_PER_S + CAND_SEEN_NS));
    assert_int_equal(cand_own_list(&o, list), CAND_SEEN_MAX + 1);
}

static void lists_the_most_useful_first_and_nothing_twice(void **state)
{
    (void)state;
    struct cand_own o;
    cand_own_init(&o);
    assert_true(own(&o, CAND_HOST, "192.168.1.2:4000", 1));
    assert_true(own(&o, CAND_HOST, "[2001:db8::1]:4000", 1));
    assert_true(own(&o, CAND_REFLEXIVE, "203.0.113.7:4000", 1));
    assert_true(own(&o, CAND_MAPPED, "203.0.113.7:4001", 1));
    assert_true(own(&o, CAND_PREDICTED, "203.0.113.7:4002", 1));
    assert_int_equal(o.version, 5);
    assert_false(own(&o, CAND_REFLEXIVE, "[::ffff:203.0.113.7]:4000", 2)); /* the same */
    assert_false(own(&o, CAND_HOST, "203.0.113.7:4000", 2)); /* no NAT: known, and better so */
    struct addr zoned = at("[2001:db8::1]:4000");
    zoned.scope = 3; /* which interface it is on means nothing elsewhere */
    assert_false(cand_own_add(&o, CAND_HOST, &zoned, 2));
    assert_int_equal(o.version, 5);
    assert_list(&o, "3203.0.113.7:4001 2203.0.113.7:4000 1[2001:db8::1]:4000 1192.168.1.2:4000 "
                    "5203.0.113.7:4002 ");
}

static void replaces_all_of_one_source(void **state)
{
    (void)state;
    struct cand_own o;
    cand_own_init(&o);
    struct addr hosts[] = {at("10.0.0.1:1"), at("10.0.0.2:1")};
    own(&o, CAND_REFLEXIVE, "10.0.0.1:1", 1); /* both sources name it */
    assert_true(cand_own_replace(&o, CAND_HOST, hosts, 2, 1));
    assert_list(&o, "210.0.0.1:1 110.0.0.2:1 ");
    assert_false(cand_own_replace(&o, CAND_HOST, hosts, 2, 1));
    assert_true(cand_own_replace(&o, CAND_HOST, NULL, 0, 1));
    assert_list(&o, "210.0.0.1:1 ");
    assert_false(cand_own_replace(&o, CAND_MAPPED, NULL, 0, 1));
}

static void forgets_what_is_seen_no_more(void **state)
{
    (void)state;
    struct cand_own o;
    cand_own_init(&o);
    own(&o, CAND_HOST, "10.0.0.1:1", 0);
    assert_int_equal(cand_own_next_ns(&o), TIME_NEVER);
    own(&o, CAND_REFLEXIVE, "203.0.113.7:1", 0);
    own(&o, CAND_PREDICTED, "203.0.113.7:2", 0);
    assert_int_equal(cand_own_next_ns(&o), CAND_PREDICTED_NS);
    assert_false(cand_own_expire(&o, CAND_PREDICTED_NS - 1));
    assert_true(cand_own_expire(&o, CAND_PREDICTED_NS));
    assert_int_equal(cand_own_next_ns(&o), CAND_KEEP_NS);
    assert_false(own(&o, CAND_REFLEXIVE, "203.0.113.7:1", 100 * NS_PER_S)); /* seen again */
    assert_false(cand_own_expire(&o, CAND_KEEP_NS + 99 * NS_PER_S));
    assert_true(cand_own_expire(&o, CAND_KEEP_NS + 100 * NS_PER_S));
    assert_list(&o, "110.0.0.1:1 ");
}

static void tells_no_address_that_nobody_can_use(void **state)
{
    (void)state;
    static const char *const bad[] = {"0.0.0.0:1",   "224.0.0.1:1",  "255.255.255.255:1",
                                      "10.0.0.1:0",  "[::]:1",       "[ff02::1]:1",
                                      "[fe80::1]:1", "169.254.0.1:1"};
    struct cand_own o;
    cand_own_init(&o);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(own(&o, CAND_HOST, bad[i], 1));
    }
    assert_int_equal(o.useless, sizeof(bad) / sizeof(bad[0]));
    assert_true(own(&o, CAND_HOST, "127.0.0.1:1", 1)); /* the only one: for tests on one machine */
    assert_list(&o, "1127.0.0.1:1 ");
    assert_true(own(&o, CAND_HOST, "10.0.0.1:1", 1));
    assert_list(&o, "110.0.0.1:1 ");
}

static void keeps_its_ceiling_and_the_better_ones(void **state)
{
    (void)state;
    struct cand_own o;
    cand_own_init(&o);
    for (int i = 0; i < 100; i++) {
        struct addr a = addr_ipv4(10, 0, 0, (uint8_t)i, 1);
        cand_own_add(&o, CAND_HOST, &a, 1);
    }
    assert_int_equal(o.count, CAND_MAX);
    assert_int_equal(o.no_room, 100 - CAND_MAX);
    assert_true(own(&o, CAND_REFLEXIVE, "203.0.113.7:1", 1));
    assert_int_equal(o.count, CAND_MAX);
    assert_true(addr_equal(&o.list[0].addr,
                           &(struct addr){.family = ADDR_IPV4, .port = 1, .ip = {203, 0, 113, 7}}));
    assert_false(own(&o, CAND_PREDICTED, "203.0.113.7:2", 1));
}

/* --- a peer's --- */

struct world {
    struct cand_own own;
    struct cand_peer p;
    struct pcg pcg;
    uint64_t now;
};

static struct world *world_new(void)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.now = 10 * NS_PER_S;
    cand_own_init(&w.own);
    cand_peer_init(&w.p, pcg_rng(&w.pcg, 9));
    own(&w.own, CAND_HOST, "192.168.1.2:4000", 1);
    own(&w.own, CAND_REFLEXIVE, "203.0.113.7:4000", 1);
    return &w;
}

static void take(struct world *w, size_t count, uint8_t net)
{
    struct frame_candidate list[CAND_MAX];
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct frame_candidate){.source = CAND_HOST,
                                           .addr = addr_ipv4(10, 0, net, (uint8_t)i, 1)};
    }
    cand_peer_take(&w->p, list, count, &w->own, w->now);
}

/* One more, as a handshake tells it. */
static void hint(struct world *w, enum cand_source source, const struct addr *addr)
{
    const struct frame_candidate one = {.source = (uint8_t)source, .addr = *addr};
    cand_peer_hint(&w->p, &one, 1, &w->own, w->now);
}

/* Probes all that are due, and that address answers. */
static void answer(struct world *w, const char *text)
{
    struct addr to, who = at(text);
    uint8_t token[FRAME_CHALLENGE_LEN];
    bool any = false;
    while (cand_peer_output(&w->p, &to, token, w->now)) {
        any = any || (addr_equal(&to, &who) && cand_peer_response(&w->p, token, w->now));
    }
    assert_true(any);
}

/* Probes in the next `ns`; who answers is told so after a round trip. */
static size_t run(struct world *w, uint64_t ns)
{
    uint64_t until = w->now + ns;
    uint64_t before = w->p.probes;
    for (;;) {
        struct addr to;
        uint8_t token[FRAME_CHALLENGE_LEN];
        while (cand_peer_output(&w->p, &to, token, w->now)) {
            assert_true(w->p.probes - before < 100000);
        }
        uint64_t next = cand_peer_next_ns(&w->p);
        assert_true(next > w->now);
        if (next > until) {
            break;
        }
        w->now = next;
    }
    w->now = until;
    return w->p.probes - before;
}

static void skips_what_is_not_worth_a_probe(void **state)
{
    (void)state;
    static const char *const bad[] = {"0.0.0.0:1",         "224.0.0.1:1",
                                      "255.255.255.255:1", "10.0.0.1:0",
                                      "[fe80::1]:1",       "127.0.0.1:1",
                                      "[::1]:1",           "[ff02::1]:1",
                                      "203.0.113.7:4000", /* ourselves */
                                      "192.168.1.2:4000",  "[::ffff:192.168.1.2]:4000"};
    struct world *w = world_new();
    size_t count = sizeof(bad) / sizeof(bad[0]);
    struct frame_candidate list[CAND_MAX];
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct frame_candidate){.source = CAND_HOST, .addr = at(bad[i])};
    }
    /* The same IPs with other ports are somebody behind the same NAT: worth a probe. */
    list[count++] = (struct frame_candidate){.source = 2, .addr = at("203.0.113.7:4001")};
    list[count++] = (struct frame_candidate){.source = 200, .addr = at("198.51.100.1:1")};
    cand_peer_take(&w->p, list, count, &w->own, w->now);
    assert_int_equal(w->p.not_worth, sizeof(bad) / sizeof(bad[0]));
    assert_int_equal(w->p.count, 2);
    assert_int_equal(w->p.list[1].addr.port, 1); /* of a source that we do not know: last */

    struct cand_own loopback;
    struct addr a = at("127.0.0.1:5");
    cand_own_init(&loopback);
    assert_false(cand_is_worth(&a, &loopback));
    own(&loopback, CAND_HOST, "127.0.0.1:4", 1);
    assert_true(cand_is_worth(&a, &loopback));
}

static void probes_all_at_the_same_moment(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct addr to, good = at("198.51.100.1:1");
    take(w, CAND_MAX - 1, 0);
    hint(w, CAND_PREDICTED, &good);
    bool found = false;
    int probes = 0;
    uint8_t token[FRAME_CHALLENGE_LEN];
    for (; cand_peer_output(&w->p, &to, token, w->now); probes++) {
        found = found || addr_equal(&to, &good);
    }
    assert_true(found);
    assert_int_equal(probes, CAND_MAX);
}

static void backs_off_and_leaves_stale_ones_almost_alone(void **state)
{
    (void)state;
    struct world *w = world_new();
    take(w, CAND_MAX, 0);
    assert_int_equal(run(w, NS_PER_S - 1), 4 * CAND_MAX); /* 0, 100, 300, 700 ms */
    assert_in_range(run(w, CAND_STALE_NS), 10 * CAND_MAX, 11 * CAND_MAX);
    assert_in_range(run(w, 3600 * NS_PER_S), 59 * CAND_MAX, 61 * CAND_MAX);
    uint64_t probes = w->p.probes;
    cand_peer_restart(&w->p, w->now);
    assert_int_equal(run(w, 0), CAND_MAX);
    assert_int_equal(w->p.probes, probes + CAND_MAX);
}

static void leaves_alone_what_answered(void **state)
{
    (void)state;
    struct world *w = world_new();
    take(w, 2, 0);
    answer(w, "10.0.0.0:1");
    w->now += NS_PER_S;
    answer(w, "10.0.0.1:1");
    assert_int_equal(cand_peer_next_ns(&w->p), TIME_NEVER);
    assert_int_equal(run(w, 3600 * NS_PER_S), 0);
    take(w, 2, 0); /* told again: still a path */
    assert_int_equal(run(w, 0), 0);
    cand_peer_restart(&w->p, w->now);
    assert_int_equal(run(w, 0), 2);
}

/* Round trips are longer than the first intervals: an answer to an earlier probe counts too. */
static void knows_a_candidate_by_the_answer_to_any_late_probe(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint8_t tokens[12][FRAME_CHALLENGE_LEN];
    uint64_t sent_ns[12];
    struct addr to, other;
    uint8_t unused[FRAME_CHALLENGE_LEN];
    take(w, 2, 0);
    for (int i = 0; i < 12; i++) {
        w->now = cand_peer_next_ns(&w->p);
        sent_ns[i] = w->now;
        assert_true(cand_peer_output(&w->p, &to, tokens[i], w->now));
        assert_true(cand_peer_output(&w->p, &other, unused, w->now));
        assert_false(addr_equal(&to, &other));
    }
    assert_null(cand_peer_response(&w->p, tokens[3], w->now)); /* too old */
    tokens[4][0] ^= 1;
    assert_null(cand_peer_response(&w->p, tokens[4], w->now));
    tokens[4][0] ^= 1;
    const struct cand_remote *r = cand_peer_response(&w->p, tokens[4], w->now);
    assert_non_null(r);
    assert_true(addr_equal(&r->addr, &to));
    assert_int_equal(r->rtt_ns, w->now - sent_ns[4]);
    assert_null(cand_peer_response(&w->p, tokens[5], w->now)); /* it rests now */
    assert_non_null(cand_peer_response(&w->p, unused, w->now));
    assert_int_equal(cand_peer_next_ns(&w->p), TIME_NEVER);
    cand_peer_restart(&w->p, w->now); /* tokens of before the start count no more */
    assert_int_equal(run(w, 0), 2);
    assert_null(cand_peer_response(&w->p, tokens[11], w->now));
}

static void a_new_list_replaces_the_old_one(void **state)
{
    (void)state;
    struct world *w = world_new();
    take(w, 10, 0);
    answer(w, "10.0.0.3:1");
    run(w, 3 * NS_PER_S);
    take(w, 10, 1);
    assert_int_equal(w->p.count, 1 + 10);
    assert_int_equal(run(w, 0), 10); /* the starting gun: all but the one that is a path */

    uint8_t first[FRAME_CHALLENGE_LEN]; /* told again, with the first probe still on its way */
    struct addr to;
    w = world_new();
    take(w, 1, 0);
    assert_true(cand_peer_output(&w->p, &to, first, w->now));
    take(w, 1, 0);
    assert_int_equal(run(w, 0), 1);
    assert_non_null(cand_peer_response(&w->p, first, w->now));
}

static void makes_room_for_the_better_and_where_nobody_answers(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct frame_candidate list[CAND_MAX];
    for (size_t i = 0; i < CAND_MAX; i++) {
        list[i] = (struct frame_candidate){.source = CAND_CONFIGURED,
                                           .addr = addr_ipv4(10, 0, 0, (uint8_t)i, 1)};
    }
    cand_peer_take(&w->p, list, CAND_MAX, &w->own, w->now);
    assert_int_equal(w->p.count, CAND_MAX);
    struct addr a = at("198.51.100.1:1"), b = at("198.51.100.2:1");
    hint(w, CAND_PREDICTED, &b);
    assert_false(cand_peer_is_named(&w->p, &b));
    hint(w, CAND_MAPPED, &a);
    assert_true(addr_equal(&w->p.list[0].addr, &a));
    w->now += CAND_STALE_NS;
    hint(w, CAND_PREDICTED, &b);
    assert_true(cand_peer_is_named(&w->p, &b));
    assert_int_equal(w->p.count, CAND_MAX);
    assert_int_equal(w->p.no_room, 3);
    take(w, 3, 1);
    assert_int_equal(w->p.count, 3);
}

/* A peer that names new addresses all the time cannot make us send more than that. */
static void has_a_ceiling_for_its_rate(void **state)
{
    (void)state;
    struct world *w = world_new();
    size_t probes = 0;
    for (int i = 0; i < 1000; i++) {
        take(w, CAND_MAX, (uint8_t)i);
        probes += run(w, 10 * NS_PER_MS);
    }
    assert_true(probes <= 11 * CAND_PROBES_PER_S_MAX);
    assert_true(probes >= 9 * CAND_PROBES_PER_S_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_peer_claims_to_see_has_little_room),
        cmocka_unit_test(lists_the_most_useful_first_and_nothing_twice),
        cmocka_unit_test(replaces_all_of_one_source),
        cmocka_unit_test(forgets_what_is_seen_no_more),
        cmocka_unit_test(tells_no_address_that_nobody_can_use),
        cmocka_unit_test(keeps_its_ceiling_and_the_better_ones),
        cmocka_unit_test(skips_what_is_not_worth_a_probe),
        cmocka_unit_test(probes_all_at_the_same_moment),
        cmocka_unit_test(backs_off_and_leaves_stale_ones_almost_alone),
        cmocka_unit_test(leaves_alone_what_answered),
        cmocka_unit_test(knows_a_candidate_by_the_answer_to_any_late_probe),
        cmocka_unit_test(a_new_list_replaces_the_old_one),
        cmocka_unit_test(makes_room_for_the_better_and_where_nobody_answers),
        cmocka_unit_test(has_a_ceiling_for_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
