#include "support/pathset_bench.h"

/* --- trust --- */

static void a_direct_path_is_chosen_once_it_has_answered(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    assert_int_equal(choose(&b), 0);
    struct path *p = add_direct(&b, 1);
    assert_int_equal(choose(&b), 0);
    assert_int_equal(challenges(&b, p), 1);
    assert_int_equal(choose(&b), 0);
    b.now += 30 * MS;
    answer(&b, p);
    assert_int_equal(choose(&b), p->id);
    assert_int_equal(p->rtt_ns, 30 * MS);
    assert_true(pathset_is_trusted(p, b.now));
}

static void a_wrong_or_late_token_proves_nothing(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    uint8_t token[FRAME_CHALLENGE_LEN] = {0};
    assert_null(pathset_response(&b.set, token, b.now)); /* nothing is outstanding */
    assert_int_equal(challenges(&b, p), 1);
    memcpy(token, p->token, sizeof(token));
    token[0] ^= 1;
    assert_null(pathset_response(&b.set, token, b.now));
    token[0] ^= 1;
    assert_ptr_equal(pathset_response(&b.set, token, b.now), p);
    assert_null(pathset_response(&b.set, token, b.now)); /* once only */
}

static void trust_ends_and_the_relay_is_used_too_and_then_alone(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    assert_ways(&b, r, NULL, false);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
    b.now += PATHSET_TRUST_NS - 1;
    assert_ways(&b, p, r, false);
    assert_true(pathset_next_ns(&b.set, b.now) <= b.now + 1);
    b.now++;
    assert_ways(&b, r, p, true);
    b.now += PATHSET_DOUBT_NS - 1;
    assert_ways(&b, r, p, true);
    assert_int_equal(b.set.best, p->id);
    assert_true(pathset_next_ns(&b.set, b.now) <= b.now + 1);
    b.now++;
    assert_ways(&b, r, NULL, false);
    assert_int_equal(b.set.best, r->id);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
}

static void a_proof_ends_the_doubt_and_the_choice_never_changed(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
    for (int i = 0; i < 5; i++) {
        b.now += PATHSET_TRUST_NS;
        assert_ways(&b, r, p, true);
        assert_int_equal(b.set.best, p->id);
        (void)challenges(&b, p);
        b.now += 10 * MS;
        answer(&b, p);
        assert_ways(&b, p, r, false);
        assert_int_equal(b.set.best, p->id);
    }
}

static void another_direct_path_that_is_trusted_comes_before_one_in_doubt(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *q = add_direct(&b, 2);
    struct path *r = add_relay(&b, 0);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
    prove(&b, q, 500 * MS);
    pathset_suspect(&b.set, p, b.now);
    assert_ways(&b, q, r, false);
}

static void without_a_relay_a_path_that_lost_its_trust_is_kept(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *other = add_direct(&b, 2);
    prove(&b, p, 10 * MS);
    assert_int_equal(choose(&b), p->id);
    b.now += 10 * PATHSET_TRUST_NS;
    assert_int_equal(choose(&b), p->id);
    prove(&b, other, 500 * MS); /* slower, but alive */
    assert_int_equal(choose(&b), other->id);
}

static void an_acknowledgement_is_a_proof(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    b.now += PATHSET_TRUST_NS - 1;
    pathset_acked(&b.set, p, b.now, b.now);
    b.now += PATHSET_TRUST_NS - 1;
    assert_true(pathset_is_trusted(p, b.now));
    b.now++;
    assert_false(pathset_is_trusted(p, b.now));
}

static void a_suspected_path_is_in_doubt_at_once_and_for_a_while(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    prove(&b, p, 10 * MS);
    assert_int_equal(choose(&b), p->id);
    pathset_suspect(&b.set, p, b.now);
    uint64_t doubted = b.now;
    assert_ways(&b, r, p, true);
    assert_int_equal(challenges(&b, p), 1);
    b.now += 10 * MS;
    pathset_acked(&b.set, p, doubted, b.now); /* of a packet from before */
    assert_ways(&b, r, p, true);
    answer(&b, p);
    assert_ways(&b, r, p, true);
    assert_true(pathset_next_ns(&b.set, b.now) <= doubted + PATHSET_HOLD_NS);
    b.now = doubted + PATHSET_HOLD_NS;
    assert_ways(&b, p, r, false);
}

/* 1: from the same socket, 3: to the same address from another one; 2 has been heard of since. */
static void others_by_the_same_mapping_are_doubted_with_it(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *same = add_direct(&b, 1);
    struct path *newer = add_direct(&b, 2);
    struct addr to = addr_ipv4(192, 0, 2, 4, 1000);
    struct addr lan = addr_ipv4(10, 0, 0, 1, 1000);
    struct path *aside = add(&b, where_direct_by(7, &to), true);
    struct path *home = add(&b, where_direct(&lan), true);
    struct path *p = add_direct(&b, 4);
    struct path *r = add_relay(&b, 0);
    prove(&b, same, 10 * MS);
    prove(&b, aside, 10 * MS);
    prove(&b, home, 10 * MS);
    prove(&b, p, 10 * MS);
    prove(&b, newer, 10 * MS);
    pathset_suspect(&b.set, p, b.now);
    assert_false(pathset_is_trusted(same, b.now));
    assert_false(pathset_is_trusted(aside, b.now));
    assert_true(pathset_is_trusted(home, b.now)); /* by no NAT at all */
    assert_true(pathset_is_trusted(newer, b.now));
    assert_true(pathset_is_trusted(r, b.now));
    assert_int_equal(challenges(&b, same), 1); /* all of them at once */
    b.now += 10 * MS;
    answer(&b, same);
    assert_true(pathset_is_trusted(same, b.now)); /* and no holding off */
    assert_false(pathset_is_trusted(aside, b.now));
}

static void who_is_asked_while_data_moves_asks_back(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    for (unsigned i = 0; i < 2; i++) {
        b.now += PATHSET_HEARTBEAT_NS - 20 * MS;
        pathset_acked(&b.set, p, b.now, b.now); /* so no challenge is due */
        pathset_answered(&b.set, p, b.now);
        assert_int_equal(challenges(&b, p), 0); /* not long ago */
        b.now += 20 * MS;
        pathset_answered(&b.set, p, b.now);
        assert_int_equal(challenges(&b, p), 1);
        pathset_answered(&b.set, p, b.now);
        assert_int_equal(challenges(&b, p), 0);
        answer(&b, p);
    }
}

static void a_held_path_is_not_challenged_for_every_packet_from_there(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    pathset_suspect(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 1);
    b.now += MS;
    answer(&b, p);
    for (int i = 0; i < 100; i++) {
        b.now += MS;
        pathset_heard(&b.set, p, b.now);
        assert_int_equal(challenges(&b, p), 0);
    }
}

/* --- choice --- */

static void a_faster_path_needs_a_clear_margin(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *q = add_direct(&b, 2);
    (void)challenges(&b, NULL);
    b.now += 40 * MS;
    answer(&b, p);
    assert_int_equal(choose(&b), p->id);
    prove(&b, q, 35 * MS);
    assert_int_equal(choose(&b), p->id);
    q->rtt_ns = 30 * MS;
    assert_int_equal(choose(&b), q->id);
    p->rtt_ns = 29 * MS;
    assert_int_equal(choose(&b), q->id);
}

static void a_path_not_measured_yet_is_not_the_fastest(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    assert_int_equal(choose(&b), p->id);
    struct path *q = add_direct(&b, 2);
    pathset_acked(&b.set, q, b.now, b.now);
    assert_true(pathset_is_trusted(q, b.now));
    assert_int_equal(choose(&b), p->id);
}

static void the_best_of_a_kind_is_known_beside_the_best_of_all(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    assert_int_equal(choose(&b), r->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), 0); /* it never answered */
    assert_int_equal(pathset_choose_of(&b.set, WHERE_RELAY, b.now), r->id);
    prove(&b, p, 20 * MS);
    assert_int_equal(choose(&b), p->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), p->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_RELAY, b.now), r->id);
    pathset_suspect(&b.set, p, b.now);
    assert_int_equal(choose(&b), p->id);
    b.now += PATHSET_DOUBT_NS;
    assert_int_equal(choose(&b), r->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), p->id);
    pathset_remove(&b.set, p->id);
    struct path *late = add_relay(&b, 1); /* in its place */
    assert_int_equal(late->id, 1);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), 0);
    pathset_set_usable(&b.set, r, false, b.now);
    assert_int_equal(choose(&b), late->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_RELAY, b.now), late->id);
}

static void a_relay_is_used_only_while_it_is_usable(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *one = add_relay(&b, 0);
    struct path *two = add_relay(&b, 1);
    assert_int_equal(choose(&b), one->id);
    pathset_set_usable(&b.set, one, false, b.now);
    assert_int_equal(choose(&b), two->id);
    pathset_set_usable(&b.set, two, false, b.now);
    assert_int_equal(choose(&b), 0);
    (void)challenges(&b, NULL);
    pathset_heard(&b.set, one, b.now);
    assert_int_equal(choose(&b), one->id);
}

static void of_two_relays_the_one_where_the_peer_answers(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *one = add_relay(&b, 0);
    struct path *two = add_relay(&b, 1);
    assert_int_equal(choose(&b), one->id);
    (void)challenges(&b, NULL);
    b.now += 50 * MS;
    answer(&b, two);
    assert_int_equal(choose(&b), two->id);
    b.now += 3600 * NS_PER_S;
    assert_int_equal(choose(&b), two->id);
    pathset_suspect(&b.set, two, b.now);
    assert_int_equal(choose(&b), one->id);
    pathset_suspect(&b.set, one, b.now);
    assert_int_not_equal(choose(&b), 0); /* better than nothing */
    (void)challenges(&b, NULL);
    b.now += 50 * MS;
    answer(&b, two);
    assert_int_equal(choose(&b), two->id);
}

static void a_relay_that_ends_gives_way_to_where_the_peer_has_answered(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *one = add_relay(&b, 0);
    struct path *two = add_relay(&b, 1);
    prove(&b, one, 10 * MS);
    assert_int_equal(choose(&b), one->id);
    pathset_set_leaving(&b.set, one, true);
    assert_int_equal(choose(&b), one->id); /* the peer may not be at the other one */
    prove(&b, two, 90 * MS);
    assert_int_equal(choose(&b), two->id);
    assert_true(pathset_is_trusted(one, b.now));
    pathset_suspect(&b.set, two, b.now);
    assert_int_equal(choose(&b), one->id);
    prove(&b, two, 90 * MS);
    pathset_set_leaving(&b.set, one, false);
    assert_int_equal(choose(&b), one->id);
    /* Still good enough to stand by. */
    pathset_set_leaving(&b.set, one, true);
    pathset_set_usable(&b.set, two, false, b.now);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, one, false);
}

static void of_relays_without_an_answer_the_preferred_one(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *one = add_relay(&b, 0);
    struct path *two = add_relay(&b, 1);
    assert_int_equal(choose(&b), one->id);
    two->preferred = true;
    assert_int_equal(choose(&b), two->id);
    prove(&b, one, 90 * MS);
    assert_int_equal(choose(&b), one->id);
}

/* --- learned addresses --- */

static void a_learned_path_is_forgotten_and_remembered_when_heard_of(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *known = add_direct(&b, 1);
    struct path *p = add(&b, direct(2), false);
    assert_int_equal(challenges(&b, p), 1);
    b.now += PATHSET_FORGET_NS + 1;
    prove(&b, known, 10 * MS);
    assert_int_equal(challenges(&b, p), 0);
    b.now += 3600 * NS_PER_S;
    assert_int_equal(challenges(&b, p), 0);
    pathset_heard(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 1);
    pathset_heard(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 0); /* one is on its way */
}

static void a_packet_from_a_path_on_long_intervals_brings_the_next_probe_forward(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(challenges(&b, p), 1);
        b.now = pathset_next_ns(&b.set, b.now);
    }
    assert_int_equal(challenges(&b, p), 1);
    b.now += PATHSET_PROBE_FIRST_NS;
    pathset_heard(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 1);
}

static void the_least_useful_learned_path_makes_room(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    uint8_t dropped;
    struct path *configured = add_direct(&b, 1);
    struct path *trusted = add(&b, direct(2), false);
    prove(&b, trusted, 10 * MS);
    for (uint8_t i = 3; i < PACKET_PATHS_MAX; i++) {
        b.now += MS;
        (void)add(&b, direct(i), false);
    }
    struct where fresh = direct(100);
    struct path *p = pathset_add(&b.set, &fresh, false, b.now, &dropped);
    assert_non_null(p);
    assert_int_equal(dropped, 3);
    assert_int_equal(p->id, 3);
    struct where old = direct(3);
    assert_null(pathset_find(&b.set, &old));
    assert_true(configured->id != 0 && trusted->id != 0);
    assert_ptr_equal(pathset_add(&b.set, &fresh, false, b.now, &dropped), p);
    assert_int_equal(dropped, 0);
}

static void configured_paths_are_never_dropped(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    uint8_t dropped;
    for (uint8_t i = 1; i < PACKET_PATHS_MAX; i++) {
        (void)add_direct(&b, i);
    }
    struct where fresh = direct(100);
    assert_null(pathset_add(&b.set, &fresh, true, b.now, &dropped));
    assert_int_equal(dropped, 0);
    struct path *p = pathset_get(&b.set, 4);
    assert_non_null(p);
    p->configured = false; /* its name has another address now */
    assert_ptr_equal(pathset_add(&b.set, &fresh, true, b.now, &dropped), p);
    assert_int_equal(dropped, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_direct_path_is_chosen_once_it_has_answered),
        cmocka_unit_test(a_wrong_or_late_token_proves_nothing),
        cmocka_unit_test(trust_ends_and_the_relay_is_used_too_and_then_alone),
        cmocka_unit_test(a_proof_ends_the_doubt_and_the_choice_never_changed),
        cmocka_unit_test(another_direct_path_that_is_trusted_comes_before_one_in_doubt),
        cmocka_unit_test(without_a_relay_a_path_that_lost_its_trust_is_kept),
        cmocka_unit_test(an_acknowledgement_is_a_proof),
        cmocka_unit_test(a_suspected_path_is_in_doubt_at_once_and_for_a_while),
        cmocka_unit_test(others_by_the_same_mapping_are_doubted_with_it),
        cmocka_unit_test(who_is_asked_while_data_moves_asks_back),
        cmocka_unit_test(a_held_path_is_not_challenged_for_every_packet_from_there),
        cmocka_unit_test(a_faster_path_needs_a_clear_margin),
        cmocka_unit_test(a_path_not_measured_yet_is_not_the_fastest),
        cmocka_unit_test(the_best_of_a_kind_is_known_beside_the_best_of_all),
        cmocka_unit_test(a_relay_is_used_only_while_it_is_usable),
        cmocka_unit_test(of_two_relays_the_one_where_the_peer_answers),
        cmocka_unit_test(a_relay_that_ends_gives_way_to_where_the_peer_has_answered),
        cmocka_unit_test(of_relays_without_an_answer_the_preferred_one),
        cmocka_unit_test(a_learned_path_is_forgotten_and_remembered_when_heard_of),
        cmocka_unit_test(a_packet_from_a_path_on_long_intervals_brings_the_next_probe_forward),
        cmocka_unit_test(the_least_useful_learned_path_makes_room),
        cmocka_unit_test(configured_paths_are_never_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
