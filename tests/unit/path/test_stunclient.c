/* The STUN client against servers and a NAT made of a few lines: which answers count, when it
 * sends and when it is silent. */
#include "path/stunclient.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SERVERS = 4 };

struct world {
    struct stunclient c;
    struct pcg pcg;
    uint64_t now;
    struct addr server[SERVERS];
    uint64_t delay_ns[SERVERS]; /* round trip; TIME_NEVER = dead */
    struct addr mapped[SERVERS];
    uint16_t error[SERVERS];
    int sent[SERVERS];
    struct {
        uint64_t at;
        int server;
        uint8_t data[64];
        size_t len;
    } air[64]; /* answers on their way */
    size_t air_count;
    int mapped_events, changed_events, timeout_events;
    struct stunclient_event last; /* but CHANGED */
    enum addr_family changed;
};

static struct world *world_new(void)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.now = 5 * NS_PER_S;
    stunclient_init(&w.c, NULL, pcg_rng(&w.pcg, 7));
    for (int i = 0; i < SERVERS; i++) {
        w.server[i] = addr_ipv4(192, 0, 2, (uint8_t)(1 + i), 3478);
        w.delay_ns[i] = (uint64_t)(10 + 10 * i) * NS_PER_MS;
        w.mapped[i] = addr_ipv4(203, 0, 113, 7, 40000);
    }
    return &w;
}

static int server_of(const struct world *w, const struct addr *a)
{
    for (int i = 0; i < SERVERS; i++) {
        if (addr_equal(a, &w->server[i])) {
            return i;
        }
    }
    fail_msg("sent to an address that is no server's");
    return -1;
}

static void on_request(struct world *w, int server, const uint8_t *data, size_t len)
{
    struct stun_message m;
    assert_int_equal(stun_read(&m, data, len), 0);
    assert_int_equal(m.type, STUN_REQUEST);
    w->sent[server]++;
    if (w->delay_ns[server] == TIME_NEVER) {
        return;
    }
    struct stun_message answer = {.type = STUN_SUCCESS, .xor_mapped = w->mapped[server]};
    if (w->error[server] != 0) {
        answer = (struct stun_message){.type = STUN_ERROR, .error = w->error[server]};
    }
    memcpy(answer.txid, m.txid, sizeof(m.txid));
    assert_true(w->air_count < 64);
    w->air[w->air_count].at = w->now + w->delay_ns[server];
    w->air[w->air_count].server = server;
    w->air[w->air_count].len = stun_write(w->air[w->air_count].data, 64, &answer);
    w->air_count++;
}

static void deliver(struct world *w)
{
    for (size_t i = 0; i < w->air_count;) {
        if (w->air[i].at > w->now) {
            i++;
            continue;
        }
        assert_true(stunclient_input(&w->c, &w->server[w->air[i].server], w->air[i].data,
                                     w->air[i].len, w->now));
        w->air[i] = w->air[--w->air_count];
    }
}

static void settle(struct world *w)
{
    uint8_t buf[64];
    struct addr to;
    size_t len;
    stunclient_tick(&w->c, w->now);
    while ((len = stunclient_output(&w->c, &to, buf, sizeof(buf), w->now)) > 0) {
        on_request(w, server_of(w, &to), buf, len);
    }
    struct stunclient_event ev;
    while (stunclient_event(&w->c, &ev)) {
        w->mapped_events += ev.type == STUNCLIENT_MAPPED;
        w->changed_events += ev.type == STUNCLIENT_CHANGED;
        w->timeout_events += ev.type == STUNCLIENT_TIMEOUT;
        if (ev.type == STUNCLIENT_CHANGED) {
            w->changed = ev.family;
        } else {
            w->last = ev;
        }
    }
}

/* Runs for `ns`; the client must never ask to be woken without having anything to do. */
static void run(struct world *w, uint64_t ns)
{
    uint64_t until = w->now + ns;
    for (int rounds = 0;; rounds++) {
        assert_true(rounds < 10000);
        deliver(w);
        settle(w);
        uint64_t next = stunclient_next_ns(&w->c);
        assert_true(next > w->now);
        for (size_t i = 0; i < w->air_count; i++) {
            next = time_min(next, w->air[i].at);
        }
        if (next > until) {
            break;
        }
        w->now = next;
    }
    w->now = until;
}

static void add(struct world *w, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(stunclient_add(&w->c, &w->server[i], STUN_FORM_PLAIN, w->now), i);
    }
}

static int sent_in_all(const struct world *w)
{
    return w->sent[0] + w->sent[1] + w->sent[2] + w->sent[3];
}

static void is_silent_until_it_is_needed(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 3);
    run(w, 3600 * NS_PER_S);
    assert_int_equal(sent_in_all(w), 0);
    assert_int_equal(stunclient_next_ns(&w->c), TIME_NEVER);
    stunclient_need(&w->c, true, w->now);
    run(w, NS_PER_S);
    assert_int_equal(sent_in_all(w), 3);
    assert_int_equal(w->mapped_events, 3);
    stunclient_need(&w->c, false, w->now);
    run(w, 3600 * NS_PER_S);
    assert_int_equal(sent_in_all(w), 3);
    assert_int_equal(w->c.stats.timeouts, 0);
}

static void tells_address_round_trip_and_since(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 1);
    uint64_t start = w->now;
    stunclient_need(&w->c, true, w->now);
    run(w, NS_PER_S);
    assert_int_equal(w->last.type, STUNCLIENT_MAPPED);
    assert_int_equal(w->last.server, 0);
    assert_int_equal(w->last.family, ADDR_IPV4);
    assert_true(addr_equal(&w->last.addr, &w->mapped[0]));
    assert_int_equal(w->last.rtt_ns, 10 * NS_PER_MS);
    assert_int_equal(w->last.since_ns, start);
    run(w, 60 * NS_PER_S); /* refreshed: the mapping is still the one of the start */
    assert_true(w->mapped_events >= 3);
    assert_int_equal(w->last.since_ns, start);
}

/* With a delay beyond the first repetitions, the round trip is that of the sending answered. */
static void measures_right_although_it_repeats(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 1);
    w->delay_ns[0] = 250 * NS_PER_MS;
    stunclient_need(&w->c, true, w->now);
    run(w, 2 * NS_PER_S);
    assert_int_equal(w->sent[0], 2);
    assert_int_equal(w->last.rtt_ns, 250 * NS_PER_MS);
    assert_int_equal(w->mapped_events, 1); /* the second answer says nothing new */

    w = world_new();
    add(w, 1);
    w->delay_ns[0] = TIME_NEVER;
    stunclient_need(&w->c, true, w->now);
    run(w, 50 * NS_PER_MS); /* the first request is lost */
    w->delay_ns[0] = 10 * NS_PER_MS;
    run(w, NS_PER_S);
    assert_int_equal(w->sent[0], 2);
    assert_int_equal(w->last.rtt_ns, 10 * NS_PER_MS);
}

/* The same bytes again give no round trip: nobody knows which of them was answered. */
static void measures_nothing_where_it_cannot(void **state)
{
    (void)state;
    struct world *w = world_new();
    stunclient_init(&w->c, &stuntx_plan_rfc8489, pcg_rng(&w->pcg, 7));
    add(w, 1);
    w->delay_ns[0] = 600 * NS_PER_MS;
    stunclient_need(&w->c, true, w->now);
    run(w, 2 * NS_PER_S);
    assert_int_equal(w->mapped_events, 1);
    assert_int_equal(w->last.rtt_ns, 0);
}

static void keeps_to_the_standards_times_where_asked_to(void **state)
{
    (void)state;
    struct world *w = world_new();
    stunclient_init(&w->c, &stuntx_plan_rfc8489, pcg_rng(&w->pcg, 7));
    static const unsigned at_ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
    add(w, 1);
    w->delay_ns[0] = TIME_NEVER;
    stunclient_need(&w->c, true, w->now);
    uint64_t start = w->now;
    uint8_t first[64], again[64];
    struct addr to;
    for (int i = 0; i < 7; i++) {
        w->now = start + at_ms[i] * NS_PER_MS;
        assert_true(i == 0 || stunclient_next_ns(&w->c) == w->now);
        assert_int_equal(stunclient_output(&w->c, &to, i == 0 ? first : again, 64, w->now), 20);
        assert_true(i == 0 || memcmp(first, again, 20) == 0); /* byte for byte */
        assert_int_equal(stunclient_output(&w->c, &to, again, 64, w->now), 0);
    }
    assert_int_equal(stunclient_next_ns(&w->c), start + 39500 * NS_PER_MS);
    w->now = start + 39500 * NS_PER_MS;
    settle(w);
    assert_int_equal(w->timeout_events, 1);
    assert_int_equal(w->last.error, 0);
}

static void refreshes_with_the_fastest_only(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->delay_ns[2] = 5 * NS_PER_MS;
    add(w, 4);
    stunclient_need(&w->c, true, w->now);
    run(w, 3600 * NS_PER_S);
    assert_in_range(w->sent[2], 3600 / 26, 3600 / 20 + 1);
    assert_in_range(w->sent[0], 10, 14);
    assert_in_range(w->sent[3], 10, 14);
    assert_int_equal(w->c.stats.timeouts, 0);
    assert_ptr_equal(stunclient_best(&w->c, ADDR_IPV4), stunclient_get(&w->c, 2));
    assert_null(stunclient_best(&w->c, ADDR_IPV6));
}

/* The mapping must be refreshed however the round trips change and whoever dies. */
static void never_leaves_a_mapping_alone_for_long(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct rng rng = pcg_rng(&(struct pcg){0}, 3);
    add(w, 4);
    stunclient_need(&w->c, true, w->now);
    run(w, NS_PER_S);
    for (int i = 0; i < 200; i++) {
        int before = w->mapped_events;
        w->delay_ns[0] = rng_below(rng, 3) == 0 ? TIME_NEVER : (1 + rng_below(rng, 99)) * NS_PER_MS;
        w->delay_ns[1] = rng_below(rng, 3) == 0 ? TIME_NEVER : (1 + rng_below(rng, 99)) * NS_PER_MS;
        w->delay_ns[2] = (1 + rng_below(rng, 99)) * NS_PER_MS;
        run(w, 26 * NS_PER_S + 3300 * NS_PER_MS); /* the keeper's silence costs 3 s */
        assert_true(w->mapped_events > before);
    }
}

static void notices_a_change_and_asks_the_others(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 3);
    stunclient_need(&w->c, true, w->now);
    run(w, 10 * NS_PER_S);
    assert_int_equal(w->changed_events, 0);
    for (int i = 0; i < SERVERS; i++) {
        w->mapped[i].port = 50000;
    }
    run(w, 18 * NS_PER_S);
    assert_int_equal(w->changed_events, 1); /* whichever server told it first */
    assert_int_equal(w->c.stats.changes, 3);
    assert_int_equal(w->changed, ADDR_IPV4);
    assert_int_equal(w->sent[2], 2);
    assert_int_equal(stunclient_get(&w->c, 2)->mapped.port, 50000);
}

static void asks_a_dead_server_ever_more_rarely(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 1);
    w->delay_ns[0] = TIME_NEVER;
    stunclient_need(&w->c, true, w->now);
    run(w, 3600 * NS_PER_S);
    assert_in_range(w->timeout_events, 18, 24);
    assert_int_equal(w->sent[0], 5 * w->timeout_events);
    w->delay_ns[0] = 10 * NS_PER_MS;
    run(w, 190 * NS_PER_S);
    assert_true(w->mapped_events >= 1);
}

static void takes_an_error_for_an_answer_but_no_address(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 1);
    w->error[0] = 420;
    stunclient_need(&w->c, true, w->now);
    run(w, 3 * NS_PER_S);
    assert_int_equal(w->sent[0], 1);
    assert_int_equal(w->last.type, STUNCLIENT_TIMEOUT);
    assert_int_equal(w->last.error, 420);
    assert_null(stunclient_best(&w->c, ADDR_IPV4));
}

static size_t forge(uint8_t *out, const struct world *w, const uint8_t *txid,
                    const struct addr *mapped)
{
    (void)w;
    struct stun_message m = {.type = STUN_SUCCESS, .xor_mapped = *mapped};
    memcpy(m.txid, txid, sizeof(m.txid));
    return stun_write(out, 64, &m);
}

static void believes_only_the_right_id_from_the_right_address(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint8_t request[64], forged[64];
    struct addr to, evil = addr_ipv4(6, 6, 6, 6, 666), from = w->server[0];
    add(w, 2);
    stunclient_need(&w->c, true, w->now);
    assert_int_equal(stunclient_output(&w->c, &to, request, 64, w->now), 20);
    uint8_t *txid = request + 8;
    size_t len = forge(forged, w, txid, &evil);
    assert_false(stunclient_input(&w->c, &w->server[1], forged, len, w->now));
    from.port++;
    assert_false(stunclient_input(&w->c, &from, forged, len, w->now));
    for (size_t i = 0; i < STUN_TXID_LEN; i++) {
        txid[i] ^= 1;
        len = forge(forged, w, txid, &evil);
        assert_false(stunclient_input(&w->c, &w->server[0], forged, len, w->now));
        txid[i] ^= 1;
    }
    assert_false(stunclient_input(&w->c, &w->server[0], request, 20, w->now)); /* our own, back */
    assert_int_equal(w->c.stats.strangers, 15);
    assert_null(stunclient_best(&w->c, ADDR_IPV4));
    /* A dual-stack socket writes the same address in another way. */
    assert_int_equal(addr_parse(&from, "[::ffff:192.0.2.1]:3478"), 0);
    len = forge(forged, w, txid, &w->mapped[0]);
    assert_true(stunclient_input(&w->c, &from, forged, len, w->now));
    assert_int_equal(stunclient_get(&w->c, 0)->mapped.port, 40000);
}

static void forgets_on_another_network(void **state)
{
    (void)state;
    struct world *w = world_new();
    add(w, 2);
    stunclient_need(&w->c, true, w->now);
    run(w, 5 * NS_PER_S);
    assert_int_equal(sent_in_all(w), 2);
    stunclient_forget(&w->c, w->now);
    assert_null(stunclient_best(&w->c, ADDR_IPV4));
    w->mapped[0].port = 1;
    w->mapped[1].port = 1;
    run(w, NS_PER_S);
    assert_int_equal(sent_in_all(w), 4);
    assert_int_equal(w->changed_events, 0); /* new, not changed */
    stunclient_ask_all(&w->c, w->now);
    run(w, NS_PER_S);
    assert_int_equal(sent_in_all(w), 6);
    stunclient_ask_keeper(&w->c, ADDR_IPV6, w->now);
    stunclient_ask_keeper(&w->c, ADDR_IPV4, w->now);
    run(w, NS_PER_S);
    assert_int_equal(sent_in_all(w), 7); /* the one that answered fastest */
}

static void has_a_ceiling_and_takes_no_server_twice(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (int i = 0; i < STUNCLIENT_SERVERS_MAX; i++) {
        struct addr a = addr_ipv4(10, 0, 0, (uint8_t)i, 3478);
        assert_int_equal(stunclient_add(&w->c, &a, STUN_FORM_PLAIN, w->now), i);
        assert_int_equal(stunclient_add(&w->c, &a, STUN_FORM_TAILNODE, w->now), i);
    }
    assert_int_equal(stunclient_add(&w->c, &w->server[0], STUN_FORM_PLAIN, w->now), ERR_NO_ROOM);
    assert_int_equal(w->c.stats.no_room, 1);
    stunclient_need(&w->c, true, w->now);
    uint8_t buf[64];
    struct addr to;
    assert_int_equal(stunclient_output(&w->c, &to, buf, 39, w->now), 0); /* no room: no harm */
    assert_int_equal(stunclient_output(&w->c, &to, buf, 64, w->now), 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_silent_until_it_is_needed),
        cmocka_unit_test(tells_address_round_trip_and_since),
        cmocka_unit_test(measures_right_although_it_repeats),
        cmocka_unit_test(measures_nothing_where_it_cannot),
        cmocka_unit_test(keeps_to_the_standards_times_where_asked_to),
        cmocka_unit_test(refreshes_with_the_fastest_only),
        cmocka_unit_test(never_leaves_a_mapping_alone_for_long),
        cmocka_unit_test(notices_a_change_and_asks_the_others),
        cmocka_unit_test(asks_a_dead_server_ever_more_rarely),
        cmocka_unit_test(takes_an_error_for_an_answer_but_no_address),
        cmocka_unit_test(believes_only_the_right_id_from_the_right_address),
        cmocka_unit_test(forgets_on_another_network),
        cmocka_unit_test(has_a_ceiling_and_takes_no_server_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
