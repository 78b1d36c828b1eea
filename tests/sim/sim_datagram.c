/* Datagrams beside streams: how many arrive, how late, and who waits for whom. */
#include "sim/pair.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { LEN_MAX = FRAME_DATAGRAM_MAX, SENT_MAX = 20000 };

/* What side 1 got. The first 8 bytes of a datagram are its number, the next 8 when it was sent. */
struct meter {
    struct pair *p;
    struct world_event timer;
    uint64_t flow, period_ns, until_ns;
    size_t len;
    uint64_t sent, refused, got, doubled, reordered, last, late_ns, total_ns, got_ns;
    bool seen[SENT_MAX];
};

static uint8_t buf[LEN_MAX];

static void fill(uint64_t number, uint64_t now, size_t len)
{
    memset(buf, (int)(number % 251), len);
    memcpy(buf, &number, sizeof(number));
    memcpy(buf + 8, &now, sizeof(now));
}

static void on_datagram(void *user, const struct conn_event *ev)
{
    struct meter *m = user;
    uint64_t number, at;
    assert_true(ev->u.datagram.len >= 16);
    memcpy(&number, ev->u.datagram.data, sizeof(number));
    memcpy(&at, ev->u.datagram.data + 8, sizeof(at));
    fill(number, at, ev->u.datagram.len);
    assert_memory_equal(ev->u.datagram.data, buf, ev->u.datagram.len);
    assert_true(number < SENT_MAX);
    m->doubled += m->seen[number];
    m->seen[number] = true;
    m->reordered += number < m->last;
    m->last = number;
    m->got++;
    m->got_ns = m->p->world.now;
    uint64_t took = m->p->world.now - at;
    m->late_ns = took > m->late_ns ? took : m->late_ns;
    m->total_ns += took;
}

static void send_one(struct meter *m, size_t len)
{
    fill(m->sent, m->p->world.now, len);
    int err = conn_datagram_send(m->p->side[0].conn, m->flow, buf, len, m->p->world.now);
    assert_true(err == 0 || err == ERR_NO_ROOM);
    m->refused += err != 0;
    m->sent++;
}

static void on_timer(struct world_event *event)
{
    struct meter *m = container_of(event, struct meter, timer);
    send_one(m, m->len);
    pair_drive(m->p, 0);
    if (m->p->world.now < m->until_ns) {
        world_at(&m->p->world, &m->timer, m->p->world.now + m->period_ns);
    }
}

static struct meter *start(const struct pair_config *config)
{
    struct meter *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->p = pair_new(config);
    m->timer.fire = on_timer;
    for (size_t i = 0; i < 2; i++) {
        m->p->side[i].app.on_datagram = on_datagram;
        m->p->side[i].app.user = m;
    }
    assert_int_equal(conn_stream_open(m->p->side[0].conn, "udp", 3, &m->flow), 0);
    pair_drive(m->p, 0);
    return m;
}

static struct conn_stats stats_of(struct meter *m, size_t side)
{
    struct conn_stats s;
    conn_stats(m->p->side[side].conn, &s);
    return s;
}

static void run(struct meter *m, size_t len, uint64_t period_ns, uint64_t for_ns)
{
    m->len = len;
    m->period_ns = period_ns;
    m->until_ns = m->p->world.now + for_ns;
    world_at(&m->p->world, &m->timer, m->p->world.now);
    pair_rest(m->p, for_ns + NS_PER_S);
    print_message("             %llu of %llu, mean %.1f ms, worst %.1f ms\n",
                  (unsigned long long)m->got, (unsigned long long)m->sent,
                  (double)m->total_ns / (double)(m->got + !m->got) / 1e6, (double)m->late_ns / 1e6);
    assert_int_equal(m->doubled, 0);
}

static void finish(struct meter *m)
{
    assert_int_equal(conn_stream_abort(m->p->side[0].conn, m->flow, 0), 0);
    pair_drive(m->p, 0);
    pair_settle(m->p);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stats_of(m, i).datagrams_refused, i == 0 ? m->refused : 0);
    }
    pair_free(m->p);
    free(m);
}

/* Of every size up to the largest, nothing lost, in one trip each. */
static void every_size_passes(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_datagram", 1);
    struct meter *m = start(&config);
    pair_rest(m->p, MS(100));
    for (size_t len = 16; len <= LEN_MAX; len += len < 2000 ? 1 : 977) {
        send_one(m, len);
        pair_drive(m->p, 0);
        pair_rest(m->p, MS(60));
    }
    send_one(m, LEN_MAX);
    pair_drive(m->p, 0);
    pair_rest(m->p, NS_PER_S);
    assert_int_equal(m->got, m->sent);
    assert_true(m->late_ns < MS(150)); /* 66 KB in a window that is still small */
    assert_int_equal(stats_of(m, 1).datagrams_lost, 0);
    finish(m);
}

/* What is lost is lost: nothing waits for it, and nothing is sent again. */
static void a_lost_one_delays_no_other(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct pair_config config = pair_config_default("sim_datagram", seed);
        config.link[0][0].loss_ppm = config.link[0][1].loss_ppm = 50000;
        struct meter *m = start(&config);
        run(m, 160, MS(20), 20 * NS_PER_S);
        assert_in_range(m->got, m->sent * 92 / 100, m->sent * 98 / 100);
        /* One way takes 20; a few wait when acknowledgements are lost, too, and the window is at
         * its least. */
        assert_true(m->total_ns / m->got < MS(21));
        assert_true(m->late_ns < MS(90));
        assert_true(m->p->side[0].packets_out < m->sent * 11 / 10 + 50);
        finish(m);
    }
}

/* Streams that lose packets and fill the queue's window: datagrams pass them by. */
static void streams_hold_up_no_datagram(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_datagram", 4);
    config.link[0][0].loss_ppm = 10000;
    struct meter *m = start(&config);
    struct app_plan plan = app_transfer(40000000, 0);
    for (int i = 0; i < 4; i++) {
        pair_open(m->p, 0, &plan);
    }
    run(m, 160, MS(20), 10 * NS_PER_S);
    assert_true(m->got >= m->sent * 97 / 100);
    /* One way, what is in the bottleneck's queue, and the pace of one that has backed off. */
    assert_true(m->total_ns / m->got < MS(35));
    assert_true(m->late_ns < MS(260));
    assert_true(pair_run(m->p, 400 * NS_PER_S));
    finish(m);
}

/* Twice as much as the line carries: the rest is dropped here, and what arrives is not old. */
static void too_many_are_dropped_and_never_late(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_datagram", 5);
    const struct link_config link = {
        .rate_bps = 2000000, .delay_ns = MS(20), .queue_bytes = 20000, .mtu = 1472};
    pair_config_path(&config, 0, &link);
    struct meter *m = start(&config);
    run(m, 1000, MS(2), 10 * NS_PER_S); /* 4 Mbit/s */
    struct conn_stats s = stats_of(m, 0);
    uint64_t possible = 2000000 / 8 * 10 / 1050 /* and what was queued */ + 100;
    assert_in_range(m->got, possible * 6 / 10, possible * 105 / 100);
    assert_true(m->refused + s.datagrams_expired > m->sent / 4);
    /* The age at which they are dropped, the way, and the bottleneck's queue. */
    assert_true(m->late_ns < MS(250 + 20 + 80 + 30));
    finish(m);
}

/* Nor do they starve the streams: a quarter is theirs. */
static void a_flood_leaves_streams_their_part(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_datagram", 6);
    const struct link_config link = {
        .rate_bps = 8000000, .delay_ns = MS(10), .queue_bytes = 50000, .mtu = 1472};
    pair_config_path(&config, 0, &link);
    struct meter *m = start(&config);
    struct app_plan plan = app_transfer(1000000, 0);
    pair_open(m->p, 0, &plan);
    m->len = 20000; /* in parts, which leave no room in their packets */
    m->period_ns = MS(10);
    m->until_ns = m->p->world.now + 8 * NS_PER_S;
    world_at(&m->p->world, &m->timer, m->p->world.now);
    assert_true(pair_run(m->p, 7 * NS_PER_S)); /* alone it takes 1.1 s */
    assert_true(m->got > 50);
    pair_rest(m->p, 8 * NS_PER_S);
    finish(m);
}

/* The link turns packets round; parts of one datagram come in any order. */
static void parts_survive_reordering(void **state)
{
    (void)state;
    for (uint64_t seed = 7; seed <= 9; seed++) {
        struct pair_config config = pair_config_default("sim_datagram", seed);
        config.link[0][0].jitter_ns = MS(5);
        struct meter *m = start(&config);
        run(m, 5000, MS(20), 5 * NS_PER_S);
        assert_true(m->got >= m->sent * 99 / 100);
        finish(m);
    }
}

/* Without a path they wait a little, and not for ever. */
static void a_short_silence_is_outlived_a_long_one_not(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_datagram", 10);
    config.paths = 2;
    struct meter *m = start(&config);
    pair_rest(m->p, MS(100));
    struct conn *c = m->p->side[0].conn;
    conn_path_use(c, 0, false, m->p->world.now);
    send_one(m, 100);
    pair_rest(m->p, 2 * NS_PER_S);
    pair_use(m->p, 0, 0, false);
    pair_rest(m->p, MS(100));
    assert_int_equal(m->got, 1);
    conn_path_use(c, 0, false, m->p->world.now);
    send_one(m, 100);
    pair_rest(m->p, 11 * NS_PER_S);
    pair_use(m->p, 0, 0, false);
    pair_rest(m->p, MS(100));
    assert_int_equal(m->got, 1);
    assert_int_equal(stats_of(m, 0).datagrams_expired, 1);
    finish(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_passes),
        cmocka_unit_test(a_lost_one_delays_no_other),
        cmocka_unit_test(streams_hold_up_no_datagram),
        cmocka_unit_test(too_many_are_dropped_and_never_late),
        cmocka_unit_test(a_flood_leaves_streams_their_part),
        cmocka_unit_test(parts_survive_reordering),
        cmocka_unit_test(a_short_silence_is_outlived_a_long_one_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
