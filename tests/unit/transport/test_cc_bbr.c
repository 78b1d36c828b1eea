/* BBR over a model of a path: a wire of some rate, a queue before it, a round trip, loss by rule.
 */
#include "transport/cc.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { MTU = 1250, RATE = 1250000, FLIGHT_MAX = 4096 }; /* 10 Mbit/s: a packet each ms */
#define RTT_NS MS(40)                                   /* 40 packets fit */

struct flying {
    uint64_t number, sent_ns, back_ns; /* back_ns 0: lost */
    struct rate_stamp stamp;
};

struct model {
    struct cc cc;
    struct rate rate;
    struct rtt rtt;
    uint64_t now, free_ns, queue_ns, credit;
    uint64_t number, in_flight, delivered, dropped;
    unsigned lose_every;   /* 0 = none */
    uint64_t others_share; /* of 100: what others take of the wire */
    struct flying list[FLIGHT_MAX];
    size_t count;
};

static struct model *model(uint64_t queue_ns)
{
    struct model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->now = NS_PER_S;
    m->queue_ns = queue_ns;
    cc_init(&m->cc, &cc_bbr, MTU);
    rate_init(&m->rate);
    rtt_init(&m->rtt);
    return m;
}

static void send_one(struct model *m)
{
    struct flying *f = &m->list[m->count++];
    *f = (struct flying){.number = m->number++, .sent_ns = m->now};
    rate_on_sent(&m->rate, &f->stamp, m->in_flight, MTU, m->now);
    m->in_flight += MTU;
    const struct cc_sent sent = {.number = f->number,
                                 .bytes = MTU,
                                 .in_flight = m->in_flight,
                                 .delivered = m->rate.delivered};
    m->cc.ops->on_sent(&m->cc, &sent, m->now);
    uint64_t start = m->free_ns > m->now ? m->free_ns : m->now;
    if (start - m->now > m->queue_ns) {
        m->dropped++;
        return;
    }
    m->free_ns = start + MTU * NS_PER_S / RATE * 100 / (100 - m->others_share);
    bool lost = m->lose_every > 0 && f->number % m->lose_every == m->lose_every - 1;
    f->back_ns = lost ? 0 : m->free_ns + RTT_NS;
}

static void lose(struct model *m, const struct flying *f)
{
    m->in_flight -= MTU;
    rate_on_lost(&m->rate, MTU);
    const struct cc_loss loss = {.number = f->number,
                                 .sent_ns = f->sent_ns,
                                 .bytes = MTU,
                                 .tx_in_flight = f->stamp.in_flight,
                                 .lost = m->rate.lost - f->stamp.lost,
                                 .delivered = m->rate.delivered};
    m->cc.ops->on_loss(&m->cc, &loss, m->now);
}

/* What came back by now is acknowledged; what left before that and did not is lost. */
static void receive(struct model *m)
{
    size_t newest = 0;
    for (size_t i = 0; i < m->count; i++) {
        newest = m->list[i].back_ns != 0 && m->list[i].back_ns <= m->now ? i + 1 : newest;
    }
    for (size_t i = 0; i < newest; i++) {
        struct flying *f = &m->list[i];
        if (f->back_ns == 0) {
            continue;
        }
        m->in_flight -= MTU;
        m->delivered += MTU;
        rate_on_acked(&m->rate, &f->stamp, f->sent_ns, MTU, m->now);
        rtt_sample(&m->rtt, m->now - f->sent_ns, 0, 0);
    }
    for (size_t i = 0; i < newest; i++) {
        if (m->list[i].back_ns == 0) {
            lose(m, &m->list[i]);
        }
    }
    memmove(m->list, m->list + newest, (m->count - newest) * sizeof(m->list[0]));
    m->count -= newest;
    struct rate_sample s;
    if (rate_take(&m->rate, &s, m->in_flight, m->rtt.min, m->now)) {
        m->cc.ops->on_acks(&m->cc, &s, &m->rtt, m->now);
    }
}

static void step(struct model *m)
{
    m->now += MS(1);
    receive(m);
    m->credit += m->cc.pacing_rate > 0 ? m->cc.pacing_rate / 1000 : 10 * MTU;
    while (m->in_flight + MTU <= m->cc.cwnd && m->credit >= MTU && m->count < FLIGHT_MAX) {
        m->credit -= MTU;
        send_one(m);
    }
    m->credit = m->credit < 10 * MTU ? m->credit : 10 * MTU;
}

static void run(struct model *m, uint64_t ns)
{
    for (uint64_t until = m->now + ns; m->now < until;) {
        step(m);
    }
}

/* Runs until the state comes; fails after so long. */
static void await(struct model *m, enum bbr_state state, uint64_t ns)
{
    for (uint64_t until = m->now + ns; m->cc.bbr.state != state;) {
        if (m->now >= until) {
            fail_msg("state %d, not %d", m->cc.bbr.state, state);
        }
        step(m);
    }
}

/* Bytes per second over a time. */
static uint64_t measure(struct model *m, uint64_t ns)
{
    uint64_t before = m->delivered;
    run(m, ns);
    return (m->delivered - before) * NS_PER_S / ns;
}

static void finds_the_rate_and_drains_what_it_filled(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    assert_int_equal(m->cc.cwnd, cc_initial_window(MTU));
    await(m, BBR_DRAIN, MS(700)); /* 10 packets to 40: two doublings, and three rounds to be sure */
    assert_in_range(bbr_max_bw(&m->cc.bbr), RATE * 95 / 100, RATE * 106 / 100);
    await(m, BBR_CRUISE, MS(500));
    assert_in_range(m->cc.bbr.min_rtt, RTT_NS, RTT_NS + MS(3));
    assert_in_range(m->in_flight, 30 * MTU, 48 * MTU);
    assert_in_range(measure(m, NS_PER_S), RATE * 97 / 100, RATE);
    assert_int_equal(m->dropped, 0);
    free(m);
}

static void goes_round_its_cycle(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    await(m, BBR_CRUISE, 2 * NS_PER_S);
    for (int i = 0; i < 3; i++) {
        uint64_t from = m->now;
        await(m, BBR_REFILL, 4 * NS_PER_S);
        assert_in_range(m->now - from, MS(1000), MS(3100));
        await(m, BBR_UP, MS(100));
        await(m, BBR_DOWN, MS(500));
        await(m, BBR_CRUISE, MS(600));
    }
    free(m);
}

/* A path that becomes faster is found out by probing, round by round a quarter more. */
static void takes_up_what_becomes_free(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    m->others_share = 70;
    run(m, 4 * NS_PER_S);
    assert_in_range(bbr_max_bw(&m->cc.bbr), RATE * 28 / 100, RATE * 33 / 100);
    m->others_share = 0;
    run(m, 12 * NS_PER_S);
    assert_in_range(measure(m, NS_PER_S), RATE * 90 / 100, RATE);
    free(m);
}

static void gives_way_when_the_path_becomes_slower(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    run(m, 3 * NS_PER_S);
    m->others_share = 50;
    run(m, 8 * NS_PER_S);
    assert_in_range(bbr_max_bw(&m->cc.bbr), RATE * 45 / 100, RATE * 56 / 100);
    assert_in_range(m->in_flight, 10 * MTU, 45 * MTU); /* 20 packets fit */
    free(m);
}

/* One packet in fifty goes lost whatever is sent: no reason to slow down. */
static void bears_loss_without_a_queue(void **state)
{
    (void)state;
    static const unsigned every[] = {1000, 100, 50, 20};
    for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
        struct model *m = model(MS(40));
        m->lose_every = every[i];
        run(m, 2 * NS_PER_S);
        uint64_t arrives = RATE / every[i] * (every[i] - 1);
        assert_in_range(measure(m, 10 * NS_PER_S), arrives * 93 / 100, arrives);
        assert_in_range(m->cc.bbr.baseline >> 10, 900 / every[i], 1400 / every[i] + 1);
        free(m);
    }
}

/* A queue of 5 ms overflows when probed: what was in flight then becomes the ceiling. */
static void loss_with_a_queue_sets_a_ceiling(void **state)
{
    (void)state;
    struct model *m = model(MS(8));
    run(m, 5 * NS_PER_S);
    assert_true(m->cc.bbr.inflight_hi != BBR_UNLIMITED);
    assert_in_range(m->cc.bbr.inflight_hi, 28 * MTU, 70 * MTU);
    uint64_t dropped = m->dropped, sent = m->number;
    assert_in_range(measure(m, 10 * NS_PER_S), RATE * 88 / 100, RATE);
    assert_true((m->dropped - dropped) * 100 <= (m->number - sent) * 2);
    free(m);
}

/* Who asks for something small meanwhile waits behind it. */
static void the_queue_of_a_probe_is_emptied_soon(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    await(m, BBR_CRUISE, 2 * NS_PER_S);
    m->cc.bbr.inflight_hi = 50 * MTU; /* 40 fit: a queue of 10 ms */
    await(m, BBR_UP, 4 * NS_PER_S);
    await(m, BBR_DOWN, MS(220));
    assert_true(m->cc.bbr.inflight_hi < 90 * MTU);
    await(m, BBR_CRUISE, MS(160));
    free(m);
}

/* What a probe overflowed is lost while its queue drains at less than the path's rate: that rate
 * is not what the cruise is held to. */
static void what_a_probe_lost_does_not_slow_the_cruise(void **state)
{
    (void)state;
    struct model *m = model(MS(10));
    m->lose_every = 100;
    await(m, BBR_CRUISE, 2 * NS_PER_S);
    uint64_t dropped = m->dropped;
    for (int i = 0; i < 5; i++) {
        await(m, BBR_DOWN, 4 * NS_PER_S);
        await(m, BBR_CRUISE, MS(600));
        run(m, MS(80));
        assert_int_equal(m->cc.bbr.bw_lo, BBR_UNLIMITED);
    }
    assert_true(m->dropped > dropped);
    free(m);
}

/* Loss by chance, more than was learnt yet, just when the first queue begins: what looks like a
 * full path is asked again after a few rounds. */
static void an_end_of_startup_without_a_whole_round_of_queue_is_doubted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct model *m = model(MS(200));
        run(m, MS(100));
        struct bbr *b = &m->cc.bbr;
        assert_int_equal(b->state, BBR_STARTUP);
        b->full_bw_reached = true;
        b->min_rtt = RTT_NS;
        b->last_round_rtt = i == 0 ? RTT_NS : RTT_NS + MS(10);
        b->round_rtt = RTT_NS + MS(10);
        const struct rate_sample rs = {.rtt_ns = RTT_NS + MS(10), .in_flight = 400 * MTU};
        bbr_state_update(b, &rs, &m->cc.cwnd, m->now);
        assert_int_equal(b->in_doubt, i == 0);
        free(m);
    }
}

/* No sample as good as the least one for 5 s: the window goes down for 200 ms to see it again. */
static void looks_for_the_least_round_trip(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    await(m, BBR_CRUISE, 2 * NS_PER_S);
    m->cc.bbr.probe_rtt_min = m->cc.bbr.min_rtt = MS(30); /* it was shorter once */
    await(m, BBR_PROBE_RTT, MS(6000));
    uint64_t cwnd = m->cc.bbr.prior_cwnd;
    run(m, MS(100));
    assert_true(m->in_flight <= m->cc.bbr.max_bw[1] * 30 / 1000 + 4 * MTU);
    uint64_t from = m->now;
    await(m, BBR_CRUISE, MS(400));
    assert_in_range(m->now - from, MS(100), MS(300));
    assert_true(m->cc.cwnd >= cwnd * 9 / 10);
    run(m, MS(6000));
    assert_in_range(m->cc.bbr.min_rtt, RTT_NS, RTT_NS + MS(3)); /* 10 s later it is believed */
    free(m);
}

static void a_path_seen_empty_needs_no_probe_of_its_round_trip(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    await(m, BBR_CRUISE, 2 * NS_PER_S);
    for (uint64_t until = m->now + 20 * NS_PER_S; m->now < until;) {
        step(m);
        assert_true(m->cc.bbr.state != BBR_PROBE_RTT);
    }
    free(m);
}

/* Everything that was called lost in a probe came after all: the probe goes on. */
static void takes_back_what_late_packets_did(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    await(m, BBR_CRUISE, 2 * NS_PER_S);
    await(m, BBR_UP, 4 * NS_PER_S);
    run(m, MS(60));
    uint64_t hi = m->cc.bbr.inflight_hi;
    uint64_t sent_ns = m->list[0].sent_ns;
    for (uint64_t i = 1; i <= 20; i++) {
        const struct cc_loss loss = {.number = m->list[i].number,
                                     .sent_ns = m->list[i].sent_ns,
                                     .bytes = MTU,
                                     .tx_in_flight = m->list[i].stamp.in_flight,
                                     .lost = i * MTU,
                                     .delivered = m->rate.delivered};
        m->cc.ops->on_loss(&m->cc, &loss, m->now);
    }
    assert_int_equal(m->cc.bbr.state, BBR_DOWN);
    assert_true(m->cc.bbr.inflight_hi < hi);
    for (uint64_t i = 1; i <= 20; i++) {
        const struct cc_loss late = {
            .sent_ns = sent_ns + i * MS(1), .bytes = MTU, .delivered = m->rate.delivered};
        assert_int_equal(m->cc.bbr.state, BBR_DOWN);
        m->cc.ops->on_spurious(&m->cc, &late, m->now);
    }
    assert_int_equal(m->cc.bbr.state, BBR_REFILL);
    assert_int_equal(m->cc.bbr.inflight_hi, hi);
    free(m);
}

static void begins_small_after_persistent_congestion_and_comes_back(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    run(m, 3 * NS_PER_S);
    m->cc.ops->on_persistent(&m->cc, m->now);
    assert_int_equal(m->cc.cwnd, 4 * MTU);
    m->in_flight = 0;
    m->count = 0;
    run(m, MS(400));
    assert_in_range(measure(m, NS_PER_S), RATE * 90 / 100, RATE);
    free(m);
}

static void however_bad_the_path_something_leaves(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    m->lose_every = 2;
    run(m, 20 * NS_PER_S);
    assert_true(m->cc.pacing_rate >= 4 * MTU * NS_PER_S / m->rtt.smoothed);
    assert_true(measure(m, 10 * NS_PER_S) > RATE / 100);
    assert_true(m->cc.bbr.baseline >> 10 <= BBR_BASELINE_MAX_PERMILLE);
    free(m);
}

static void follows_the_mtu(void **state)
{
    (void)state;
    struct model *m = model(MS(200));
    m->cc.ops->on_mtu(&m->cc, 9000);
    assert_int_equal(m->cc.cwnd, cc_initial_window(9000));
    run(m, NS_PER_S);
    m->cc.ops->on_persistent(&m->cc, m->now);
    m->cc.ops->on_mtu(&m->cc, 16384);
    assert_int_equal(m->cc.cwnd, 4 * 16384);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_rate_and_drains_what_it_filled),
        cmocka_unit_test(goes_round_its_cycle),
        cmocka_unit_test(takes_up_what_becomes_free),
        cmocka_unit_test(gives_way_when_the_path_becomes_slower),
        cmocka_unit_test(bears_loss_without_a_queue),
        cmocka_unit_test(loss_with_a_queue_sets_a_ceiling),
        cmocka_unit_test(the_queue_of_a_probe_is_emptied_soon),
        cmocka_unit_test(what_a_probe_lost_does_not_slow_the_cruise),
        cmocka_unit_test(an_end_of_startup_without_a_whole_round_of_queue_is_doubted),
        cmocka_unit_test(looks_for_the_least_round_trip),
        cmocka_unit_test(a_path_seen_empty_needs_no_probe_of_its_round_trip),
        cmocka_unit_test(takes_back_what_late_packets_did),
        cmocka_unit_test(begins_small_after_persistent_congestion_and_comes_back),
        cmocka_unit_test(however_bad_the_path_something_leaves),
        cmocka_unit_test(follows_the_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
