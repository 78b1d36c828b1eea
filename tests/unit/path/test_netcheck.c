/* Verdicts about a NAT of a few lines that maps and filters in each of RFC 4787's ways, with a
 * server of RFC 5780 behind it. */
#include "path/netcheck.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum behaviour { INDEPENDENT, ADDRESS, ADDRESS_AND_PORT };

enum { MAPPINGS_MAX = 64, SHARED_PORT = 40000, FRESH_PORT = 40001 };

struct mapping {
    uint16_t inside, outside;
    struct addr to[8]; /* everybody this mapping has sent to */
    size_t to_count;
};

struct world {
    struct netcheck n;
    struct pcg pcg;
    uint64_t now;
    enum behaviour maps, filters;
    bool none; /* no NAT, only the filter */
    uint16_t next_port;
    int step; /* 0 = a new mapping keeps the port */
    struct mapping mappings[MAPPINGS_MAX];
    size_t count;
    bool deaf, ignores_change, refuses_change;
    int sent[2], done;
    uint64_t order;
};

static struct addr outside_ip(const struct world *w)
{
    return w->none ? addr_ipv4(192, 168, 1, 2, 0) : addr_ipv4(203, 0, 113, 7, 0);
}

static struct addr server_at(int ip, int port)
{
    return addr_ipv4(198, 51, 100, (uint8_t)(1 + ip), (uint16_t)(3478 + port));
}

static struct world *world_new(enum behaviour maps, enum behaviour filters)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.now = 100 * NS_PER_S;
    w.maps = maps;
    w.filters = filters;
    w.next_port = 50000;
    netcheck_init(&w.n, pcg_rng(&w.pcg, 5));
    struct addr host = addr_ipv4(192, 168, 1, 2, SHARED_PORT);
    netcheck_add_host(&w.n, &host);
    return &w;
}

static bool covers(enum behaviour b, const struct addr *known, const struct addr *a)
{
    return b == INDEPENDENT || (b == ADDRESS ? addr_equal_ip(known, a) : addr_equal(known, a));
}

static struct mapping *map(struct world *w, uint16_t inside, const struct addr *to)
{
    struct mapping *m = NULL;
    for (size_t i = 0; i < w->count && !m; i++) {
        if (w->mappings[i].inside == inside && covers(w->maps, &w->mappings[i].to[0], to)) {
            m = &w->mappings[i];
        }
    }
    if (!m) {
        assert_true(w->count < MAPPINGS_MAX);
        m = &w->mappings[w->count++];
        m->inside = inside;
        m->outside = w->step == 0 && w->maps == INDEPENDENT ? inside : w->next_port;
        w->next_port = (uint16_t)(w->next_port + (w->step != 0 ? w->step : 7919));
    }
    assert_true(m->to_count < 8);
    m->to[m->to_count++] = *to;
    return m;
}

static bool lets_in(const struct world *w, const struct mapping *m, const struct addr *from)
{
    for (size_t i = 0; i < m->to_count; i++) {
        if (covers(w->filters, &m->to[i], from)) {
            return true;
        }
    }
    return false;
}

static void answer(struct world *w, enum netcheck_socket s, const struct addr *to,
                   const struct stun_message *q)
{
    struct mapping *m = map(w, s == NETCHECK_SHARED ? SHARED_PORT : FRESH_PORT, to);
    struct addr from = *to;
    struct addr seen = outside_ip(w);
    uint8_t buf[128];
    seen.port = m->outside;
    struct stun_message a = {.type = STUN_SUCCESS, .xor_mapped = seen};
    memcpy(a.txid, q->txid, sizeof(a.txid));
    if (q->change != 0 && w->refuses_change) {
        a = (struct stun_message){.type = STUN_ERROR, .error = STUN_UNKNOWN_ATTRIBUTE};
        memcpy(a.txid, q->txid, sizeof(a.txid));
    } else if (!w->ignores_change) {
        bool second_ip = from.ip[3] == 2;
        bool second_port = from.port == 3479;
        from = server_at(second_ip != ((q->change & STUN_CHANGE_IP) != 0),
                         second_port != ((q->change & STUN_CHANGE_PORT) != 0));
    }
    size_t len = stun_write(buf, sizeof(buf), &a);
    if (!w->deaf && lets_in(w, m, &from)) {
        assert_true(netcheck_input(&w->n, s, &from, buf, len, w->now));
    }
}

static void settle(struct world *w)
{
    uint8_t buf[64];
    struct addr to;
    enum netcheck_socket s;
    struct netcheck_event ev;
    struct stun_message q;
    size_t len;
    netcheck_tick(&w->n, w->now);
    while ((len = netcheck_output(&w->n, &s, &to, buf, sizeof(buf), w->now)) > 0) {
        w->sent[s]++;
        assert_int_equal(stun_read(&q, buf, len), 0);
        answer(w, s, &to, &q);
    }
    while (netcheck_event(&w->n, &ev)) {
        assert_int_equal(ev.family, ADDR_IPV4);
        w->done++;
    }
}

static struct netcheck_verdict probe(struct world *w)
{
    struct addr server = server_at(0, 0), other = server_at(1, 1);
    uint64_t start = w->now;
    assert_int_equal(netcheck_test(&w->n, &server, &other, STUN_FORM_PLAIN, w->now), 0);
    assert_int_equal(netcheck_test(&w->n, &server, &other, STUN_FORM_PLAIN, w->now), ERR_STATE);
    while (w->done == 0) {
        settle(w);
        uint64_t next = netcheck_next_ns(&w->n);
        assert_true(w->done > 0 || (next > w->now && next != TIME_NEVER));
        w->now = w->done > 0 ? w->now : next;
    }
    assert_true(w->now - start <= 15 * NS_PER_S);
    assert_true(w->sent[0] + w->sent[1] <= 15);
    assert_int_equal(netcheck_next_ns(&w->n), TIME_NEVER);
    struct netcheck_report report;
    netcheck_report(&w->n, &report);
    return report.ipv4;
}

/* As stunclient tells it: a server saw the shared socket. */
static void observe(struct world *w, const struct addr *server)
{
    struct netcheck_sample s = {.server = *server,
                                .mapped = outside_ip(w),
                                .since_ns = w->now,
                                .order = w->order++,
                                .heard_ns = w->now + 20 * NS_PER_MS};
    s.mapped.port = map(w, SHARED_PORT, server)->outside;
    netcheck_observe(&w->n, &s);
}

static void observe_stranger(struct world *w, uint8_t i)
{
    struct addr server = addr_ipv4(192, 0, 2, i, 19302);
    observe(w, &server);
}

static struct netcheck_report report_of(const struct world *w)
{
    struct netcheck_report r;
    netcheck_report(&w->n, &r);
    return r;
}

static void tells_all_nine_behaviours_apart(void **state)
{
    (void)state;
    static const enum netcheck_mapping mappings[] = {NETCHECK_MAPPING_EIM, NETCHECK_MAPPING_ADM,
                                                     NETCHECK_MAPPING_APDM};
    static const enum netcheck_filtering filterings[] = {
        NETCHECK_FILTERING_EIF, NETCHECK_FILTERING_ADF, NETCHECK_FILTERING_APDF};
    for (int m = 0; m < 3; m++) {
        for (int f = 0; f < 3; f++) {
            struct world *w = world_new((enum behaviour)m, (enum behaviour)f);
            struct addr server = server_at(0, 0);
            observe(w, &server);
            struct netcheck_verdict v = probe(w);
            assert_int_equal(v.mapping, mappings[m]);
            assert_int_equal(v.filtering, filterings[f]);
            assert_int_equal(w->done, 1);
        }
    }
}

/* The trap: the shared socket has talked to both addresses, so there every filter looks open. */
static void is_not_fooled_by_filters_that_the_shared_socket_opened(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, ADDRESS_AND_PORT);
    for (int i = 0; i < 4; i++) {
        struct addr server = server_at(i / 2, i % 2);
        observe(w, &server);
    }
    assert_int_equal(probe(w).filtering, NETCHECK_FILTERING_APDF);
}

static void sees_that_there_is_no_nat(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, ADDRESS_AND_PORT);
    w->none = true;
    observe_stranger(w, 1);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_NONE);
    assert_int_equal(probe(w).filtering, NETCHECK_FILTERING_APDF); /* but a firewall */
    assert_true(report_of(w).ipv4.port_preserved);
}

static void knows_easy_from_hard_by_two_ordinary_servers(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, ADDRESS);
    observe_stranger(w, 1);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_UNKNOWN);
    observe_stranger(w, 1);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_UNKNOWN);
    observe_stranger(w, 2);
    struct netcheck_verdict v = report_of(w).ipv4;
    assert_int_equal(v.mapping, NETCHECK_MAPPING_EIM);
    assert_true(v.udp && v.tried && v.port_preserved);
    assert_false(v.sequential);
    assert_int_equal(v.public_count, 1);
    assert_int_equal(v.publics[0].ip[0], 203);

    w = world_new(ADDRESS_AND_PORT, ADDRESS);
    observe_stranger(w, 1);
    observe_stranger(w, 2);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_EDM);
    assert_false(report_of(w).ipv4.port_preserved);
}

/* One server sees the mapping of before the router's restart, the other the one after it. */
static void does_not_take_a_change_for_a_hard_nat(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, ADDRESS);
    observe_stranger(w, 1);
    observe_stranger(w, 2);
    w->now += 60 * NS_PER_S;
    w->count = 0;
    w->step = 1;
    observe_stranger(w, 1);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_EIM);
    observe_stranger(w, 2);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_EIM);
    w->maps = ADDRESS; /* and now it is another router */
    w->count = 0;
    w->now += 60 * NS_PER_S;
    observe_stranger(w, 1);
    observe_stranger(w, 2);
    assert_int_equal(report_of(w).ipv4.mapping, NETCHECK_MAPPING_EDM);
}

static void predicts_ports_given_out_in_sequence(void **state)
{
    (void)state;
    struct addr next[4];
    for (int step = -2; step <= 2; step += 4) {
        struct world *w = world_new(ADDRESS_AND_PORT, ADDRESS_AND_PORT);
        w->step = step;
        observe_stranger(w, 1);
        observe_stranger(w, 2);
        assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 4), 0); /* two are too few */
        w->next_port = (uint16_t)(w->next_port + 3 * step);               /* others' mappings */
        observe_stranger(w, 3);
        assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 4), 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(next[i].port, w->next_port + i * step);
            assert_int_equal(next[i].ip[0], 203);
        }
        assert_true(report_of(w).ipv4.sequential);
        assert_int_equal(report_of(w).ipv4.step, step);
        assert_int_equal(netcheck_predict(&w->n, ADDR_IPV6, next, 4), 0);
        /* A single new mapping, much later, moves the prediction on. */
        w->now += 300 * NS_PER_S;
        w->next_port = 60000;
        observe_stranger(w, 4);
        assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 1), 1);
        assert_int_equal(next[0].port, 60000 + step);
    }
}

/* Answers overtake each other; the order is that of the requests. */
static void sorts_by_when_the_mappings_were_made(void **state)
{
    (void)state;
    struct world *w = world_new(ADDRESS_AND_PORT, ADDRESS_AND_PORT);
    static const int arrival[] = {2, 0, 3, 1};
    struct addr next;
    for (int i = 0; i < 4; i++) {
        struct netcheck_sample s = {
            .server = addr_ipv4(192, 0, 2, (uint8_t)(10 - arrival[i]), 3478),
            .mapped = addr_ipv4(203, 0, 113, 7, (uint16_t)(50000 + arrival[i])),
            .since_ns = w->now,
            .order = (uint64_t)arrival[i],
            .heard_ns = w->now + (uint64_t)i,
        };
        netcheck_observe(&w->n, &s);
    }
    assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, &next, 1), 1);
    assert_int_equal(next.port, 50004);
}

static void predicts_nothing_where_there_is_no_sequence(void **state)
{
    (void)state;
    struct addr next[4];
    struct world *w = world_new(ADDRESS_AND_PORT, ADDRESS_AND_PORT); /* far apart */
    for (uint8_t i = 1; i < 9; i++) {
        observe_stranger(w, i);
    }
    assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 4), 0);
    w = world_new(INDEPENDENT, ADDRESS); /* all the same */
    for (uint8_t i = 1; i < 9; i++) {
        observe_stranger(w, i);
    }
    assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 4), 0);
    w = world_new(ADDRESS_AND_PORT, ADDRESS_AND_PORT); /* up and down */
    for (uint8_t i = 1; i < 9; i++) {
        w->next_port = (uint16_t)(50000 + (i % 2 ? i : -i));
        observe_stranger(w, i);
    }
    assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 4), 0);
    w = world_new(ADDRESS_AND_PORT, ADDRESS_AND_PORT); /* at the end of all ports */
    w->step = 1;
    w->next_port = 65531;
    for (uint8_t i = 1; i < 4; i++) {
        observe_stranger(w, i);
    }
    assert_int_equal(netcheck_predict(&w->n, ADDR_IPV4, next, 4), 2);
    assert_int_equal(next[1].port, 65535);
}

static void sees_that_udp_is_blocked(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, ADDRESS);
    struct netcheck_report r = report_of(w);
    assert_false(r.ipv4.tried);
    assert_non_null(strstr(r.text, "nothing is known"));
    netcheck_unanswered(&w->n, ADDR_IPV4, w->now);
    r = report_of(w);
    assert_true(r.ipv4.tried);
    assert_false(r.ipv4.udp);
    assert_non_null(strstr(r.text, "relay"));
    /* One silent server among others says nothing; silence of all for a minute does. */
    observe_stranger(w, 1);
    netcheck_unanswered(&w->n, ADDR_IPV4, w->now + NS_PER_S);
    assert_true(report_of(w).ipv4.udp);
    netcheck_unanswered(&w->n, ADDR_IPV4, w->now + 61 * NS_PER_S);
    assert_false(report_of(w).ipv4.udp);
    netcheck_reset(&w->n);
    assert_false(report_of(w).ipv4.tried);
}

static void says_it_in_one_sentence(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, ADDRESS_AND_PORT);
    observe_stranger(w, 1);
    assert_non_null(strstr(report_of(w).text, "too few servers"));
    observe_stranger(w, 2);
    assert_non_null(strstr(report_of(w).text, "a few seconds where the other side is a hard NAT"));
    w = world_new(ADDRESS, ADDRESS_AND_PORT);
    w->step = 1;
    observe_stranger(w, 1);
    observe_stranger(w, 2);
    assert_non_null(strstr(report_of(w).text, "everything but other hard NATs, after"));
    observe_stranger(w, 3);
    assert_non_null(strstr(report_of(w).text, "in sequence"));
    netcheck_set_port_mapped(&w->n, true);
    assert_non_null(strstr(report_of(w).text, "with everything that lets UDP through"));
}

static void stops_where_the_server_cannot_do_it(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world *w = world_new(INDEPENDENT, INDEPENDENT);
        w->ignores_change = i == 0;
        w->refuses_change = i == 1;
        struct addr server = server_at(0, 0);
        observe(w, &server);
        struct netcheck_verdict v = probe(w);
        assert_int_equal(v.mapping, NETCHECK_MAPPING_EIM);
        assert_int_equal(v.filtering, NETCHECK_FILTERING_UNKNOWN);
        assert_int_equal(w->n.stats.unsupported, 1);
    }
    struct world *w = world_new(INDEPENDENT, INDEPENDENT);
    w->deaf = true;
    assert_int_equal(probe(w).filtering, NETCHECK_FILTERING_UNKNOWN);
    assert_int_equal(w->sent[0] + w->sent[1], 3);
}

static void sends_nowhere_that_makes_no_sense(void **state)
{
    (void)state;
    static const char *const bad[] = {"198.51.100.1:3479",  "198.51.100.2:3478", "0.0.0.0:3479",
                                      "127.0.0.1:3479",     "224.0.0.1:3479",    "169.254.1.1:3479",
                                      "[2001:db8::1]:3479", "198.51.100.2:0"};
    struct world *w = world_new(INDEPENDENT, INDEPENDENT);
    struct addr server = server_at(0, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct addr other;
        assert_int_equal(addr_parse(&other, bad[i]), 0);
        assert_int_equal(netcheck_test(&w->n, &server, &other, STUN_FORM_PLAIN, w->now),
                         ERR_MALFORMED);
    }
    assert_int_equal(netcheck_next_ns(&w->n), TIME_NEVER);
}

static void believes_only_the_right_id_from_the_right_place(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, INDEPENDENT);
    struct addr server = server_at(0, 0), other = server_at(1, 1), to, evil = server_at(5, 5);
    uint8_t buf[64], forged[64];
    enum netcheck_socket s;
    struct stun_message q;
    assert_int_equal(netcheck_test(&w->n, &server, &other, STUN_FORM_PLAIN, w->now), 0);
    size_t len = netcheck_output(&w->n, &s, &to, buf, sizeof(buf), w->now);
    assert_int_equal(s, NETCHECK_SHARED);
    assert_int_equal(stun_read(&q, buf, len), 0);
    struct stun_message a = {.type = STUN_SUCCESS, .xor_mapped = evil};
    memcpy(a.txid, q.txid, sizeof(a.txid));
    len = stun_write(forged, sizeof(forged), &a);
    assert_false(netcheck_input(&w->n, s, &evil, forged, len, w->now));
    assert_false(netcheck_input(&w->n, NETCHECK_FRESH, &to, forged, len, w->now));
    forged[19] ^= 1;
    assert_false(netcheck_input(&w->n, s, &to, forged, len, w->now));
    assert_int_equal(w->n.stats.strangers, 3);
    assert_int_equal(w->n.ipv4.count, 0);
    forged[19] ^= 1;
    assert_true(netcheck_input(&w->n, s, &to, forged, len, w->now));
}

static void keeps_its_ceilings(void **state)
{
    (void)state;
    struct world *w = world_new(INDEPENDENT, INDEPENDENT);
    for (int i = 0; i < 200; i++) {
        struct netcheck_sample s = {
            .server = addr_ipv4(10, 0, 0, (uint8_t)i, 1),
            .mapped = addr_ipv4(203, 0, 113, (uint8_t)i, (uint16_t)(1 + i)),
            .since_ns = w->now + (uint64_t)i,
            .heard_ns = w->now + (uint64_t)i,
        };
        netcheck_observe(&w->n, &s);
        netcheck_add_host(&w->n, &s.mapped);
    }
    struct netcheck_verdict v = report_of(w).ipv4;
    assert_int_equal(w->n.ipv4.count, NETCHECK_SAMPLES_MAX);
    assert_int_equal(v.public_count, NETCHECK_PUBLICS_MAX);
    assert_int_equal(v.publics[0].ip[3], 199);
    assert_int_equal(w->n.stats.no_room, 200 + 1 - NETCHECK_HOSTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_all_nine_behaviours_apart),
        cmocka_unit_test(is_not_fooled_by_filters_that_the_shared_socket_opened),
        cmocka_unit_test(sees_that_there_is_no_nat),
        cmocka_unit_test(knows_easy_from_hard_by_two_ordinary_servers),
        cmocka_unit_test(does_not_take_a_change_for_a_hard_nat),
        cmocka_unit_test(predicts_ports_given_out_in_sequence),
        cmocka_unit_test(sorts_by_when_the_mappings_were_made),
        cmocka_unit_test(predicts_nothing_where_there_is_no_sequence),
        cmocka_unit_test(sees_that_udp_is_blocked),
        cmocka_unit_test(says_it_in_one_sentence),
        cmocka_unit_test(stops_where_the_server_cannot_do_it),
        cmocka_unit_test(sends_nowhere_that_makes_no_sense),
        cmocka_unit_test(believes_only_the_right_id_from_the_right_place),
        cmocka_unit_test(keeps_its_ceilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
