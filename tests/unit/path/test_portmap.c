/* The port mapping machine against a gateway of a few lines: one that speaks PCP, NAT-PMP, both or
 * nothing, that refuses, restarts, grants short lifetimes, or lies. */
#include "path/portmap.h"

#include <base/bytes.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct gateway {
    bool pcp, natpmp; /* what it speaks; neither = silent */
    bool dead;
    uint8_t result;      /* what it says to mappings */
    uint32_t error_s;    /* lifetime of that error */
    uint32_t lifetime_s; /* the most it grants */
    uint64_t boot_ns;
    struct addr outside; /* port: the next one to grant */
    bool has;            /* a mapping */
    uint8_t nonce[PCP_NONCE_LEN];
};

struct world {
    struct portmap m;
    struct pcg pcg;
    uint64_t now;
    struct addr gateway, client;
    struct gateway g;
    int pcp_asked, natpmp_asked, removed, checked;
    int mapped_events, lost_events;
    struct portmap_event last;
};

static struct world *world_new(bool pcp, bool natpmp)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.now = 1000 * NS_PER_S;
    w.gateway = addr_ipv4(192, 168, 1, 1, PCP_PORT);
    w.client = addr_ipv4(192, 168, 1, 2, 4242);
    w.g = (struct gateway){.pcp = pcp,
                           .natpmp = natpmp,
                           .lifetime_s = PORTMAP_LIFETIME_S,
                           .boot_ns = NS_PER_S,
                           .outside = addr_ipv4(203, 0, 113, 7, 4242)};
    portmap_init(&w.m, pcg_rng(&w.pcg, 11), NULL);
    return &w;
}

static uint32_t epoch(const struct world *w)
{
    return (uint32_t)((w->now - w->g.boot_ns) / NS_PER_S);
}

static void give(struct world *w, struct writer *answer)
{
    assert_false(answer->failed);
    assert_true(portmap_input(&w->m, &w->gateway, answer->start, writer_len(answer), w->now));
}

static void answer_pcp(struct world *w, const uint8_t *q, size_t len)
{
    uint8_t buf[64];
    struct writer a = writer_of(buf, sizeof(buf));
    uint32_t asked_s = (uint32_t)q[4] << 24 | (uint32_t)q[5] << 16 | (uint32_t)q[6] << 8 | q[7];
    uint32_t lifetime_s = asked_s < w->g.lifetime_s ? asked_s : w->g.lifetime_s;
    assert_memory_equal(q + 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\xa8\x01\x02", 16);
    write_u8(&a, 2);
    write_u8(&a, q[1] | 0x80);
    write_u8(&a, 0);
    write_u8(&a, q[1] == PCP_MAP ? w->g.result : 0);
    write_u32(&a, w->g.result ? w->g.error_s : lifetime_s);
    write_u32(&a, epoch(w));
    write_be(&a, 0, 8);
    write_be(&a, 0, 4);
    if (q[1] == PCP_MAP) {
        assert_int_equal(len, 60);
        if (asked_s == 0) {
            w->removed++;
            w->g.has = false;
        } else if (w->g.has) { /* strict: who made it may renew it */
            assert_memory_equal(w->g.nonce, q + 24, PCP_NONCE_LEN);
        }
        w->g.has = asked_s != 0 && w->g.result == 0;
        memcpy(w->g.nonce, q + 24, PCP_NONCE_LEN);
        write_bytes(&a, q + 24, 18); /* nonce, protocol, internal port */
        write_u16(&a, w->g.outside.port);
        write_bytes(&a, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        write_bytes(&a, w->g.outside.ip, 4);
    } else {
        assert_int_equal(len, 24);
        w->checked++;
    }
    give(w, &a);
}

static void answer_natpmp(struct world *w, const uint8_t *q, size_t len)
{
    uint8_t buf[64];
    struct writer a = writer_of(buf, sizeof(buf));
    struct reader r = reader_of(q, len);
    (void)read_u32(&r);
    uint16_t internal = read_u16(&r);
    (void)read_u16(&r);
    uint32_t asked_s = read_u32(&r);
    write_u8(&a, 0);
    write_u8(&a, q[1] | 0x80);
    write_u16(&a, w->g.result);
    write_u32(&a, epoch(w));
    if (q[1] == NATPMP_ADDRESS) {
        write_bytes(&a, w->g.outside.ip, 4);
        w->checked++;
    } else {
        assert_false(r.failed);
        write_u16(&a, internal);
        write_u16(&a, w->g.outside.port);
        write_u32(&a, asked_s < w->g.lifetime_s ? asked_s : w->g.lifetime_s);
        w->removed += asked_s == 0;
        w->g.has = asked_s != 0;
    }
    give(w, &a);
}

static void on_request(struct world *w, const uint8_t *q, size_t len)
{
    w->pcp_asked += q[0] == 2 && q[1] == PCP_MAP;
    w->natpmp_asked += q[0] == 0 && q[1] == NATPMP_MAP_UDP;
    if (w->g.dead) {
        return;
    }
    if (q[0] == 2 && w->g.pcp) {
        answer_pcp(w, q, len);
    } else if (q[0] == 2 && w->g.natpmp) {
        uint8_t buf[8];
        struct writer a = writer_of(buf, sizeof(buf));
        write_u32(&a, 0x00810001);
        write_u32(&a, epoch(w));
        give(w, &a);
    } else if (q[0] == 0 && w->g.natpmp) {
        answer_natpmp(w, q, len);
    }
}

static void settle(struct world *w)
{
    uint8_t buf[PCP_REQUEST_MAX];
    struct addr to;
    size_t len;
    portmap_tick(&w->m, w->now);
    while ((len = portmap_output(&w->m, &to, buf, sizeof(buf), w->now)) > 0) {
        assert_true(addr_equal(&to, &w->gateway));
        on_request(w, buf, len);
    }
    struct portmap_event ev;
    while (portmap_event(&w->m, &ev)) {
        w->mapped_events += ev.type == PORTMAP_EV_MAPPED;
        w->lost_events += ev.type == PORTMAP_EV_LOST;
        w->last = ev;
    }
}

static void run(struct world *w, uint64_t ns)
{
    uint64_t until = w->now + ns;
    for (int rounds = 0;; rounds++) {
        assert_true(rounds < 10000);
        settle(w);
        uint64_t next = portmap_next_ns(&w->m);
        assert_true(next > w->now);
        if (next > until) {
            break;
        }
        w->now = next;
    }
    w->now = until;
}

static void start(struct world *w)
{
    portmap_start(&w->m, &w->gateway, &w->client, w->now);
}

static void restart_gateway(struct world *w)
{
    w->g.boot_ns = w->now;
    w->g.has = false;
}

static void maps_with_pcp_and_keeps_one_nonce(void **state)
{
    (void)state;
    struct world *w = world_new(true, true);
    start(w);
    run(w, 0);
    assert_int_equal(w->last.type, PORTMAP_EV_MAPPED);
    assert_true(addr_equal(&w->last.external, &w->g.outside));
    assert_false(w->last.behind_another_nat);
    assert_int_equal(w->pcp_asked, 1);
    run(w, 86400 * NS_PER_S); /* the gateway asserts the nonce */
    assert_in_range(w->pcp_asked, 1 + 86400 / 4500, 1 + 86400 / 3600);
    assert_int_equal(w->natpmp_asked, 0);
    assert_int_equal(w->mapped_events, 1);
    assert_int_equal(w->m.stats.restarts, 0);
}

static void falls_back_to_natpmp_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(false, true);
    start(w);
    run(w, 0);
    assert_int_equal(w->last.type, PORTMAP_EV_MAPPED);
    assert_true(addr_equal(&w->last.external, &w->g.outside));
    assert_int_equal(w->pcp_asked, 1);
    assert_int_equal(w->natpmp_asked, 1);
    run(w, 86400 * NS_PER_S);
    assert_int_equal(w->pcp_asked, 1);
    assert_in_range(w->natpmp_asked, 1 + 86400 / 4500, 1 + 86400 / 3600);
    assert_int_equal(w->mapped_events, 1);
    assert_int_equal(w->m.stats.restarts, 0);
}

static void tries_both_and_rests_where_nobody_answers(void **state)
{
    (void)state;
    struct world *w = world_new(false, false);
    start(w);
    run(w, 11 * NS_PER_S);
    assert_int_equal(w->pcp_asked, 2);
    assert_int_equal(w->natpmp_asked, 5);
    assert_int_equal(w->m.state, PORTMAP_RESTING);
    run(w, 3600 * NS_PER_S);
    assert_in_range(w->m.stats.sent, 12 * 6, 12 * 7);
    assert_int_equal(w->mapped_events, 0);
    w->g.pcp = true; /* another look, asked for, does not wait */
    portmap_check(&w->m, w->now);
    run(w, 0);
    assert_int_equal(w->mapped_events, 1);
}

static void renews_at_half_time_and_then_ever_closer(void **state)
{
    (void)state;
    struct world *w = world_new(true, false);
    start(w);
    run(w, 0);
    w->g.dead = true;
    run(w, 3599 * NS_PER_S);
    assert_int_equal(w->pcp_asked, 1);
    run(w, 902 * NS_PER_S); /* 5/8 */
    assert_int_equal(w->pcp_asked, 2);
    run(w, (7199 - 4501) * NS_PER_S);
    assert_in_range(w->pcp_asked, 8, 13);
    assert_int_equal(w->lost_events, 0);
    run(w, 2 * NS_PER_S);
    assert_int_equal(w->lost_events, 1);
    w->g.dead = false;
    run(w, PORTMAP_REST_NS + 20 * NS_PER_S);
    assert_int_equal(w->mapped_events, 2);
}

static void notices_a_restart(void **state)
{
    (void)state;
    for (int natpmp = 0; natpmp < 2; natpmp++) {
        struct world *w = world_new(!natpmp, natpmp);
        start(w);
        run(w, 300 * NS_PER_S);
        restart_gateway(w);
        run(w, 310 * NS_PER_S); /* the look every 10 min, and up to 5 s */
        assert_true(w->g.has);
        assert_int_equal(w->m.stats.restarts, 1);
        assert_int_equal(w->lost_events, 0);
        run(w, 100 * NS_PER_S);
        restart_gateway(w);
        w->g.outside.port = 5555; /* and it gives another port this time */
        portmap_check(&w->m, w->now);
        run(w, 6 * NS_PER_S);
        assert_true(w->g.has);
        assert_int_equal(w->mapped_events, 2);
        assert_int_equal(w->last.external.port, 5555);
        run(w, 7200 * NS_PER_S);
        assert_int_equal(w->m.stats.restarts, 2);
    }
    struct world *w = world_new(true, false); /* right after it last spoke */
    start(w);
    run(w, 0);
    restart_gateway(w);
    portmap_check(&w->m, w->now);
    settle(w);
    assert_int_equal(w->m.stats.restarts, 1);
}

/* Its epoch would not tell: it had only just started before. */
static void a_renewal_brings_back_what_was_forgotten(void **state)
{
    (void)state;
    for (int natpmp = 0; natpmp < 2; natpmp++) {
        struct world *w = world_new(!natpmp, natpmp);
        w->g.boot_ns = w->now;
        start(w);
        run(w, 0);
        restart_gateway(w);
        portmap_renew(&w->m, w->now);
        run(w, 0);
        assert_true(w->g.has);
        assert_int_equal(w->mapped_events, 1);
        assert_int_equal(w->lost_events, 0);
        run(w, 7200 * NS_PER_S); /* and it is renewed in its time as before */
        assert_in_range(w->pcp_asked + w->natpmp_asked, 3, 6);
    }
}

static void who_is_silent_leaves_room_for_others(void **state)
{
    (void)state;
    struct world *w = world_new(false, false);
    start(w);
    run(w, 3 * NS_PER_S);
    assert_false(portmap_is_silent(&w->m));
    run(w, 2 * NS_PER_S);
    assert_true(portmap_is_silent(&w->m));
    run(w, 700 * NS_PER_S); /* asked again meanwhile */
    assert_true(portmap_is_silent(&w->m));
    w->g.natpmp = true;
    portmap_renew(&w->m, w->now);
    run(w, 5 * NS_PER_S);
    assert_int_equal(w->mapped_events, 1);
    assert_false(portmap_is_silent(&w->m));
    w = world_new(true, false);
    w->g.result = PCP_NOT_AUTHORIZED;
    start(w);
    run(w, 0);
    assert_true(portmap_is_silent(&w->m));
}

/* A gateway that restarted and now keeps silent has lost us; one announcement, which anybody on
 * the link can forge, has not. */
static void gives_up_a_repair_only_after_several_tries(void **state)
{
    (void)state;
    struct world *w = world_new(true, false);
    start(w);
    run(w, 300 * NS_PER_S);
    uint8_t forged[24] = {2, 0x80};
    for (int i = 0; i < 100; i++) {
        assert_true(portmap_input(&w->m, &w->gateway, forged, sizeof(forged), w->now));
    }
    run(w, 10 * NS_PER_S);
    assert_int_equal(w->pcp_asked, 2);
    assert_int_equal(w->lost_events, 0);
    restart_gateway(w);
    portmap_check(&w->m, w->now);
    settle(w);
    w->g.dead = true;
    run(w, 60 * NS_PER_S);
    assert_int_equal(w->lost_events, 1);
}

static void releases_at_the_end(void **state)
{
    (void)state;
    for (int natpmp = 0; natpmp < 2; natpmp++) {
        struct world *w = world_new(!natpmp, natpmp);
        start(w);
        run(w, 0);
        assert_true(w->g.has);
        portmap_stop(&w->m, w->now);
        assert_false(portmap_is_off(&w->m));
        run(w, 0);
        assert_int_equal(w->removed, 1);
        assert_false(w->g.has);
        assert_true(portmap_is_off(&w->m));
        assert_int_equal(w->last.type, PORTMAP_EV_LOST);
        assert_int_equal(portmap_next_ns(&w->m), TIME_NEVER);
    }
    struct world *w = world_new(true, false);
    start(w);
    run(w, 0);
    w->g.dead = true;
    uint64_t sent = w->m.stats.sent;
    portmap_stop(&w->m, w->now);
    run(w, 2 * NS_PER_S);
    assert_true(portmap_is_off(&w->m));
    assert_int_equal(w->m.stats.sent - sent, 3);
    portmap_stop(&w->m, w->now);
    assert_true(portmap_is_off(&w->m));
}

static void rests_as_long_as_a_refusal_says(void **state)
{
    (void)state;
    struct world *w = world_new(true, true);
    w->g.result = PCP_NOT_AUTHORIZED;
    w->g.error_s = 1000;
    start(w);
    run(w, 999 * NS_PER_S);
    assert_int_equal(w->pcp_asked, 1);
    assert_int_equal(w->natpmp_asked, 0);
    w->g.result = 0;
    run(w, 2 * NS_PER_S);
    assert_int_equal(w->mapped_events, 1);
    /* A refusal to renew ends the mapping; and no refusal keeps us quiet for ever, nor none. */
    w->g.result = PCP_NO_RESOURCES;
    w->g.error_s = 0;
    run(w, 4600 * NS_PER_S);
    assert_int_equal(w->lost_events, 1);
    assert_in_range(w->pcp_asked, 5, 5 + 4600 / 30);
    w->g.error_s = UINT32_MAX;
    run(w, 31 * NS_PER_S);
    w->g.result = 0;
    run(w, 1800 * NS_PER_S);
    assert_int_equal(w->mapped_events, 2);
}

static void takes_no_useless_address(void **state)
{
    (void)state;
    for (int natpmp = 0; natpmp < 2; natpmp++) {
        struct world *w = world_new(!natpmp, natpmp);
        w->g.outside = addr_ipv4(0, 0, 0, 0, 4242);
        start(w);
        run(w, 60 * NS_PER_S);
        assert_int_equal(w->mapped_events, 0);
        w = world_new(!natpmp, natpmp);
        w->g.outside.port = 0;
        start(w);
        run(w, 60 * NS_PER_S);
        assert_int_equal(w->mapped_events, 0);
        w = world_new(!natpmp, natpmp);
        w->g.outside = addr_ipv4(100, 64, 3, 4, 4242);
        start(w);
        run(w, 60 * NS_PER_S);
        assert_int_equal(w->mapped_events, 1);
        assert_true(w->last.behind_another_nat);
    }
}

static void believes_only_the_gateway_about_its_own_mapping(void **state)
{
    (void)state;
    struct world *w = world_new(true, false);
    w->g.dead = true;
    start(w);
    settle(w);
    uint8_t good[60] = {2, 0x81, 0, 0, 0, 0, 0x1c, 0x20};
    memcpy(good + 24, w->m.nonce, PCP_NONCE_LEN);
    good[36] = 17;
    good[40] = 4242 >> 8;
    good[41] = 4242 & 0xff;
    good[42] = 9;
    memset(good + 54, 0xff, 2);
    memset(good + 56, 9, 4);
    struct addr other = w->gateway;
    other.port++;
    assert_false(portmap_input(&w->m, &other, good, sizeof(good), w->now));
    other = addr_ipv4(192, 168, 1, 3, PCP_PORT);
    assert_false(portmap_input(&w->m, &other, good, sizeof(good), w->now));
    static const int touched[] = {24, 35, 41};
    for (int i = 0; i < 3; i++) {
        good[touched[i]] ^= 1;
        assert_true(portmap_input(&w->m, &w->gateway, good, sizeof(good), w->now));
        assert_int_equal(w->m.state, PORTMAP_PCP);
        good[touched[i]] ^= 1;
    }
    assert_true(portmap_input(&w->m, &w->gateway, good, 59, w->now));
    assert_int_equal(w->m.stats.malformed, 1);
    assert_true(portmap_input(&w->m, &w->gateway, good, sizeof(good), w->now));
    assert_int_equal(w->m.state, PORTMAP_MAPPED);
}

static void believes_natpmp_only_about_its_own_mapping(void **state)
{
    (void)state;
    struct world *w = world_new(false, true);
    static const uint8_t version[] = {0, 0x81, 0, 1, 0, 0, 0, 9};
    uint8_t map[] = {0, 0x81, 0, 0, 0, 0, 0, 9, 4243 >> 8, 4243 & 0xff, 1, 1, 0, 0, 0x1c, 0x20};
    w->g.dead = true;
    start(w);
    settle(w);
    assert_true(portmap_input(&w->m, &w->gateway, version, sizeof(version), w->now));
    assert_int_equal(w->m.state, PORTMAP_NATPMP);
    assert_true(portmap_input(&w->m, &w->gateway, map, sizeof(map), w->now));
    assert_false(w->m.has_port); /* another client's port */
    map[9] = 4242 & 0xff;
    assert_true(portmap_input(&w->m, &w->gateway, map, sizeof(map), w->now));
    assert_true(w->m.has_port);
    map[14] = 0;
    map[15] = 0;
    assert_true(portmap_input(&w->m, &w->gateway, map, sizeof(map), w->now));
    assert_int_equal(w->m.state, PORTMAP_RESTING); /* taken down again */
}

static void asks_ipv6_gateways_with_pcp_only(void **state)
{
    (void)state;
    struct world *w = world_new(false, false);
    assert_int_equal(addr_parse_ip(&w->gateway, "fe80::1"), 0);
    assert_int_equal(addr_parse(&w->client, "[2001:db8::2]:4242"), 0);
    w->gateway.port = PCP_PORT;
    start(w);
    run(w, 60 * NS_PER_S);
    assert_int_equal(w->pcp_asked, 2);
    assert_int_equal(w->m.stats.sent, 2);
    assert_int_equal(w->m.state, PORTMAP_RESTING);
}

static void starts_anew_on_another_network(void **state)
{
    (void)state;
    struct world *w = world_new(true, false);
    start(w);
    run(w, 10 * NS_PER_S);
    uint8_t nonce[PCP_NONCE_LEN];
    memcpy(nonce, w->m.nonce, sizeof(nonce));
    w->g.has = false;
    w->g.dead = true;
    start(w);
    run(w, NS_PER_S / 2);
    assert_int_equal(w->lost_events, 1);
    assert_memory_not_equal(nonce, w->m.nonce, sizeof(nonce));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_with_pcp_and_keeps_one_nonce),
        cmocka_unit_test(falls_back_to_natpmp_at_once),
        cmocka_unit_test(tries_both_and_rests_where_nobody_answers),
        cmocka_unit_test(renews_at_half_time_and_then_ever_closer),
        cmocka_unit_test(notices_a_restart),
        cmocka_unit_test(a_renewal_brings_back_what_was_forgotten),
        cmocka_unit_test(who_is_silent_leaves_room_for_others),
        cmocka_unit_test(gives_up_a_repair_only_after_several_tries),
        cmocka_unit_test(releases_at_the_end),
        cmocka_unit_test(rests_as_long_as_a_refusal_says),
        cmocka_unit_test(takes_no_useless_address),
        cmocka_unit_test(believes_only_the_gateway_about_its_own_mapping),
        cmocka_unit_test(believes_natpmp_only_about_its_own_mapping),
        cmocka_unit_test(asks_ipv6_gateways_with_pcp_only),
        cmocka_unit_test(starts_anew_on_another_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
