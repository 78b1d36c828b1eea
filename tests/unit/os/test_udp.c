/* The contract of os/udp.h with real sockets on loopback, for the system's best implementation and
 * for the plain one, which is compiled in here when the library has the other. */
#include "os/udp.h"
#include "os/udp_ops.h"
#ifdef __linux__
#include "os/udp_posix.c"
#endif

#include "os/sockaddr.h"
#include "os/sysclock.h"

#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE (10 * NS_PER_S)

/* Two sockets, a batch, and bytes to send that no two places have alike. */
struct pair {
    struct udp_socket a;
    struct udp_socket b;
    struct addr to_b;
    struct udp_batch batch;
    uint8_t data[UDP_PAYLOAD_MAX + 1];
};

static const struct addr loopback4 = {.family = ADDR_IPV4, .ip = {127, 0, 0, 1}};
static const struct addr loopback6 = {.family = ADDR_IPV6, .ip = {[15] = 1}};

static struct udp_options options_of(void **state, const struct addr *bind_to)
{
    return (struct udp_options){.bind = bind_to, .offload = true, .ops = *state};
}

static int pair_open(struct pair *p, void **state, const struct addr *bind_to)
{
    struct pcg pcg;
    struct udp_options options = options_of(state, bind_to);
    memset(p, 0, sizeof(*p));
    rng_fill(pcg_rng(&pcg, 1), p->data, sizeof(p->data));
    int rc = udp_open(&p->a, &options);
    if (rc < 0) {
        return rc;
    }
    assert_int_equal(udp_open(&p->b, &options), 0);
    assert_int_equal(udp_local(&p->b, &p->to_b), 0);
    assert_int_not_equal(p->to_b.port, 0);
    assert_int_equal(udp_batch_init(&p->batch), 0);
    return 0;
}

static void pair_close(struct pair *p)
{
    udp_close(&p->a);
    udp_close(&p->b);
    udp_batch_deinit(&p->batch);
}

static void wait_for(const struct udp_socket *s, short events)
{
    struct pollfd pfd = {.fd = s->fd, .events = events};
    assert_int_equal(poll(&pfd, 1, (int)(DEADLINE / NS_PER_MS)), 1);
}

static bool ipv6_missing(int rc)
{
    return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL;
}

/* Reads until `len` bytes have come, which must be `data` in datagrams of `segment`. */
static void assert_arrives(struct udp_socket *s, struct udp_batch *b, const uint8_t *data,
                           size_t len, size_t segment)
{
    struct udp_datagram d;
    size_t at = 0;
    uint64_t start = sys_now_ns();
    while (at < len) {
        assert_true(time_since(start, sys_now_ns()) < DEADLINE);
        wait_for(s, POLLIN);
        int n = udp_receive(s, b);
        assert_true(n >= 0);
        int count = 0;
        while (udp_batch_next(b, &d)) {
            assert_int_equal(d.len, len - at < segment ? len - at : segment);
            assert_memory_equal(d.data, data + at, d.len);
            at += d.len;
            count++;
        }
        assert_int_equal(count, n);
        assert_false(udp_batch_next(b, &d));
    }
    assert_int_equal(udp_receive(s, b), 0);
}

static void sends_64_segments_as_64_datagrams(void **state)
{
    struct pair p;
    size_t sent = 0;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 64000, 1000, &sent), 0);
    assert_int_equal(sent, 64000);
    assert_arrives(&p.b, &p.batch, p.data, 64000, 1000);
    assert_int_equal(p.a.stats.datagrams_out, 64);
    assert_int_equal(p.a.stats.bytes_out, 64000);
    assert_int_equal(p.b.stats.datagrams_in, 64);
    assert_int_equal(p.b.stats.bytes_in, 64000);
    pair_close(&p);
}

static void sends_a_shorter_tail(void **state)
{
    struct pair p;
    size_t sent = 0;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 5 * 1372 + 1, 1372, &sent), 0);
    assert_int_equal(sent, 5 * 1372 + 1);
    assert_arrives(&p.b, &p.batch, p.data, 5 * 1372 + 1, 1372);
    assert_int_equal(p.a.stats.datagrams_out, 6);
    pair_close(&p);
}

/* More segments than one system call takes are several calls. */
static void sends_any_number_of_segments(void **state)
{
    struct pair p;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 200 * 300 - 7, 300, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, 200 * 300 - 7, 300);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, UDP_PAYLOAD_MAX, 1300, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, UDP_PAYLOAD_MAX, 1300);
    assert_int_equal(p.b.stats.datagrams_in, 200 + 51);
    pair_close(&p);
}

static void sends_the_same_bytes_without_offload(void **state)
{
    struct pair p;
    struct udp_options options = options_of(state, &loopback4);
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    udp_close(&p.a);
    options.offload = false;
    assert_int_equal(udp_open(&p.a, &options), 0);
    assert_false(p.a.offload);
    assert_false(p.a.coalesce);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 63 * 1000 + 1, 1000, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, 63 * 1000 + 1, 1000);
    pair_close(&p);
}

static void sends_one_datagram_whatever_the_segment(void **state)
{
    struct pair p;
    const size_t segments[] = {0, 100, 101, 70000};
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 100, segments[i], NULL), 0);
        assert_arrives(&p.b, &p.batch, p.data, 100, 100);
    }
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, UDP_PAYLOAD_MAX, 0, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, UDP_PAYLOAD_MAX, UDP_PAYLOAD_MAX);
    assert_int_equal(p.a.stats.datagrams_out, 5);
    pair_close(&p);
}

static void carries_empty_datagrams(void **state)
{
    struct pair p;
    struct udp_datagram d;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 0, 0, NULL), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 3, 0, NULL), 0);
    wait_for(&p.b, POLLIN);
    assert_int_equal(udp_receive(&p.b, &p.batch), 2);
    assert_true(udp_batch_next(&p.batch, &d));
    assert_int_equal(d.len, 0);
    assert_true(udp_batch_next(&p.batch, &d));
    assert_int_equal(d.len, 3);
    assert_false(udp_batch_next(&p.batch, &d));
    assert_int_equal(p.a.stats.datagrams_out, 2);
    pair_close(&p);
}

/* Fills a batch to the brim and says so; the rest comes with the next. */
static void tells_that_more_may_wait(void **state)
{
    struct pair p;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    for (size_t i = 0; i < UDP_BATCH_MESSAGES + 1; i++) {
        /* Of growing size, so that nothing on the way could join them. */
        assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 100 + i, 0, NULL), 0);
    }
    wait_for(&p.b, POLLIN);
    assert_int_equal(udp_receive(&p.b, &p.batch), UDP_BATCH_MESSAGES);
    assert_true(p.batch.more);
    assert_int_equal(udp_receive(&p.b, &p.batch), 1);
    assert_false(p.batch.more);
    assert_int_equal(udp_receive(&p.b, &p.batch), 0);
    assert_int_equal(p.b.stats.reads, UDP_BATCH_MESSAGES + 1);
    pair_close(&p);
}

/* A limit counts in messages of the size that came last, and never stops all reading. */
static void stops_at_a_limit(void **state)
{
    struct pair p;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    udp_batch_limit(&p.batch, 400);
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 90 + i, 0, NULL), 0);
    }
    wait_for(&p.b, POLLIN);
    size_t first = (size_t)udp_receive(&p.b, &p.batch); /* nothing is known of their size */
    assert_int_equal(first, 11);
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 90 + i, 0, NULL), 0);
    }
    wait_for(&p.b, POLLIN);
    assert_int_equal(udp_receive(&p.b, &p.batch), 4);
    assert_true(p.batch.more);
    udp_batch_limit(&p.batch, 10);
    assert_int_equal(udp_receive(&p.b, &p.batch), UDP_BATCH_LEAST);
    udp_batch_limit(&p.batch, 0);
    assert_int_equal(udp_receive(&p.b, &p.batch), 11 - 4 - UDP_BATCH_LEAST);
    pair_close(&p);
}

static void shows_ipv4_as_ipv4_on_a_dual_stack_socket(void **state)
{
    struct pair p;
    struct udp_datagram d;
    struct addr from;
    assert_int_equal(pair_open(&p, state, NULL), 0);
    assert_true(addr_is_unspecified(&p.to_b));
    udp_close(&p.a);
    struct udp_options options = options_of(state, &loopback4);
    assert_int_equal(udp_open(&p.a, &options), 0);
    assert_int_equal(udp_local(&p.a, &from), 0);
    struct addr to = loopback4;
    to.port = p.to_b.port;
    assert_int_equal(udp_send(&p.a, &to, p.data, 10, 0, NULL), 0);
    wait_for(&p.b, POLLIN);
    assert_int_equal(udp_receive(&p.b, &p.batch), 1);
    assert_true(udp_batch_next(&p.batch, &d));
    assert_true(addr_equal(&d.from, &from));
    /* And back, from the dual-stack socket to IPv4, in segments. */
    assert_int_equal(udp_send(&p.b, &d.from, p.data, 2500, 1200, NULL), 0);
    assert_arrives(&p.a, &p.batch, p.data, 2500, 1200);
    pair_close(&p);
}

static void carries_ipv6(void **state)
{
    struct pair p;
    int rc = pair_open(&p, state, &loopback6);
    if (ipv6_missing(rc)) {
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 20 * 1452 + 5, 1452, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, 20 * 1452 + 5, 1452);
    pair_close(&p);
}

static void refuses_the_other_family(void **state)
{
    struct pair p;
    struct addr v6 = loopback6;
    size_t sent = 99;
    v6.port = 9;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_send(&p.a, &v6, p.data, 10, 0, &sent), -EAFNOSUPPORT);
    assert_int_equal(sent, 0);
    assert_int_equal(p.a.stats.send_unreachable, 1);
    struct addr to = p.to_b;
    pair_close(&p);
    if (!ipv6_missing(pair_open(&p, state, &loopback6))) {
        assert_int_equal(udp_send(&p.a, &to, p.data, 10, 0, NULL), -EAFNOSUPPORT);
        pair_close(&p);
    }
}

static void reports_a_datagram_too_large(void **state)
{
    struct pair p;
    size_t sent = 99;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, UDP_PAYLOAD_MAX + 1, 0, &sent), -EMSGSIZE);
    assert_int_equal(sent, 0);
    assert_int_equal(p.a.stats.send_too_large, 1);
    assert_int_equal(p.a.stats.bytes_out, 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 10, 0, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, 10, 10);
    pair_close(&p);
}

/* Loopback's MTU is 65536: an IPv6 datagram can be larger, and must not be fragmented. */
static void does_not_fragment(void **state)
{
    struct pair p;
    int rc = pair_open(&p, state, &loopback6);
    if (ipv6_missing(rc)) {
        skip();
    }
    assert_int_equal(rc, 0);
    assert_true(p.a.dont_fragment);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, UDP_PAYLOAD_MAX, 0, NULL), -EMSGSIZE);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 65536 - 48, 0, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, 65536 - 48, 65536 - 48);
    pair_close(&p);
}

/* Our sockets are never connected; this is how a system that reports ICMP to unconnected ones
 * would look. */
static void connect_to(const struct udp_socket *s, const struct addr *to)
{
    struct sockaddr_storage ss;
    socklen_t len = sockaddr_encode(&ss, to, s->family);
    assert_int_equal(connect(s->fd, (const struct sockaddr *)&ss, len), 0);
}

static void lives_on_after_a_closed_port(void **state)
{
    struct pair p;
    struct pair gone;
    struct addr to_a;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(pair_open(&gone, state, &loopback4), 0);
    pair_close(&gone);
    connect_to(&p.a, &gone.to_b);
    assert_int_equal(udp_send(&p.a, &gone.to_b, p.data, 10, 0, NULL), 0);
    wait_for(&p.a, POLLIN);
    assert_int_equal(udp_receive(&p.a, &p.batch), 0);
    assert_int_equal(p.a.stats.receive_errors, 1);
    /* The same, told by the next send. */
    assert_int_equal(udp_send(&p.a, &gone.to_b, p.data, 10, 0, NULL), 0);
    wait_for(&p.a, POLLIN);
    assert_int_equal(udp_send(&p.a, &gone.to_b, p.data, 10, 0, NULL), -ECONNREFUSED);
    assert_int_equal(p.a.stats.send_unreachable, 1);
    connect_to(&p.a, &p.to_b);
    assert_int_equal(udp_local(&p.a, &to_a), 0);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 20, 0, NULL), 0);
    assert_arrives(&p.b, &p.batch, p.data, 20, 20);
    assert_int_equal(udp_send(&p.b, &to_a, p.data, 30, 0, NULL), 0);
    assert_arrives(&p.a, &p.batch, p.data, 30, 30);
    pair_close(&p);
}

static void reads_ecn(void **state)
{
    const struct addr *hosts[] = {&loopback4, &loopback6, NULL};
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        struct udp_datagram d;
        int marks = 3;
        int rc = pair_open(&p, state, hosts[i]);
        if (ipv6_missing(rc)) {
            continue;
        }
        assert_int_equal(rc, 0);
        struct addr to = hosts[i] ? p.to_b : loopback4; /* IPv4 on a dual-stack socket */
        to.port = p.to_b.port;
        int level = to.family == ADDR_IPV6 ? IPPROTO_IPV6 : IPPROTO_IP;
        int option = to.family == ADDR_IPV6 ? IPV6_TCLASS : IP_TOS;
        assert_int_equal(setsockopt(p.a.fd, level, option, &marks, sizeof(marks)), 0);
        assert_int_equal(udp_send(&p.a, &to, p.data, 10, 0, NULL), 0);
        wait_for(&p.b, POLLIN);
        assert_int_equal(udp_receive(&p.b, &p.batch), 1);
        assert_true(udp_batch_next(&p.batch, &d));
        assert_int_equal(d.ecn, 3);
        pair_close(&p);
    }
}

static void never_blocks_and_closes_on_exec(void **state)
{
    struct pair p;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    assert_int_equal(udp_receive(&p.a, &p.batch), 0);
    assert_true(fcntl(p.a.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(p.a.fd, F_GETFD) & FD_CLOEXEC);
    pair_close(&p);
}

static void reports_the_buffers_granted(void **state)
{
    struct udp_socket s;
    struct udp_options options = options_of(state, &loopback4);
    assert_int_equal(udp_open(&s, &options), 0);
    assert_in_range(s.rcvbuf, 64 * 1024, UDP_BUFFER_BYTES);
    assert_in_range(s.sndbuf, 64 * 1024, UDP_BUFFER_BYTES);
    udp_close(&s);
    options.rcvbuf = 65536; /* asked for little, given little */
    options.sndbuf = 32768;
    assert_int_equal(udp_open(&s, &options), 0);
    assert_int_equal(s.rcvbuf, 65536);
    assert_int_equal(s.sndbuf, 32768);
    udp_grow(&s); /* as much as one that asked for nothing */
    assert_in_range(s.rcvbuf, 65536 + 1, UDP_BUFFER_BYTES);
    assert_in_range(s.sndbuf, 32768 + 1, UDP_BUFFER_BYTES);
    udp_close(&s);
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static void limits_hops_and_takes_that_back(void **state)
{
    struct addr any6 = {.family = ADDR_IPV6};
    const struct addr *binds[] = {&loopback4, &loopback6, &any6};
    for (size_t i = 0; i < 3; i++) {
        struct udp_socket s;
        struct udp_options options = options_of(state, binds[i]);
        assert_int_equal(udp_open(&s, &options), 0);
        bool v6 = binds[i]->family == ADDR_IPV6;
        int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
        int option = v6 ? IPV6_UNICAST_HOPS : IP_TTL;
        int usual = option_of(s.fd, level, option);
        assert_int_equal(udp_set_hops(&s, 5), 0);
        assert_int_equal(option_of(s.fd, level, option), 5);
        if (s.dual) {
            assert_int_equal(option_of(s.fd, IPPROTO_IP, IP_TTL), 5);
        }
        assert_int_equal(udp_set_hops(&s, 0), 0);
        assert_int_equal(option_of(s.fd, level, option), usual);
        udp_close(&s);
    }
}

static void refuses_a_port_in_use_and_a_foreign_address(void **state)
{
    struct pair p;
    struct udp_socket s;
    struct addr foreign = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}};
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    struct udp_options options = options_of(state, &p.to_b);
    assert_int_equal(udp_open(&s, &options), -EADDRINUSE);
    assert_int_equal(s.fd, -1);
    options.bind = &foreign;
    assert_int_equal(udp_open(&s, &options), -EADDRNOTAVAIL);
    assert_int_equal(s.fd, -1);
    udp_close(&s); /* harmless */
    pair_close(&p);
}

/* A v4-mapped address is IPv4, also to bind to. */
static void binds_a_mapped_address_as_ipv4(void **state)
{
    struct udp_socket s;
    struct addr mapped = {.family = ADDR_IPV6, .ip = {[10] = 0xff, 0xff, 127, 0, 0, 1}};
    struct udp_options options = options_of(state, &mapped);
    assert_int_equal(udp_open(&s, &options), 0);
    assert_int_equal(s.family, AF_INET);
    udp_close(&s);
}

/* "Any address, this port" takes its port from the options and does not fall back to IPv4 alone. */
static void binds_the_port_of_any_address(void **state)
{
    struct pair p;
    struct udp_socket s;
    assert_int_equal(pair_open(&p, state, NULL), 0);
    struct addr any = {.port = p.to_b.port};
    struct udp_options options = options_of(state, &any);
    assert_int_equal(udp_open(&s, &options), -EADDRINUSE);
    udp_close(&p.b);
    assert_int_equal(udp_open(&s, &options), 0);
    struct addr local;
    assert_int_equal(udp_local(&s, &local), 0);
    assert_int_equal(local.port, any.port);
    udp_close(&s);
    pair_close(&p);
}

static void tells_that_a_socket_is_gone(void **state)
{
    struct pair p;
    assert_int_equal(pair_open(&p, state, &loopback4), 0);
    udp_close(&p.a);
    assert_int_equal(udp_receive(&p.a, &p.batch), -EBADF);
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 10, 0, NULL), -EBADF);
    assert_int_equal(p.a.stats.send_other, 1);
    pair_close(&p);
}

static void batch_survives_want_of_memory(void **state)
{
    (void)state;
    struct udp_batch b;
    mem_fail_after(1);
    int rc = udp_batch_init(&b);
    mem_fail_after(0);
    assert_int_equal(rc, ERR_NO_MEMORY);
    udp_batch_deinit(&b);
}

#define UDP_TESTS(ops)                                                                             \
    cmocka_unit_test_prestate(sends_64_segments_as_64_datagrams, ops),                             \
        cmocka_unit_test_prestate(sends_a_shorter_tail, ops),                                      \
        cmocka_unit_test_prestate(sends_any_number_of_segments, ops),                              \
        cmocka_unit_test_prestate(sends_the_same_bytes_without_offload, ops),                      \
        cmocka_unit_test_prestate(sends_one_datagram_whatever_the_segment, ops),                   \
        cmocka_unit_test_prestate(carries_empty_datagrams, ops),                                   \
        cmocka_unit_test_prestate(tells_that_more_may_wait, ops),                                  \
        cmocka_unit_test_prestate(stops_at_a_limit, ops),                                          \
        cmocka_unit_test_prestate(shows_ipv4_as_ipv4_on_a_dual_stack_socket, ops),                 \
        cmocka_unit_test_prestate(carries_ipv6, ops),                                              \
        cmocka_unit_test_prestate(refuses_the_other_family, ops),                                  \
        cmocka_unit_test_prestate(reports_a_datagram_too_large, ops),                              \
        cmocka_unit_test_prestate(does_not_fragment, ops),                                         \
        cmocka_unit_test_prestate(lives_on_after_a_closed_port, ops),                              \
        cmocka_unit_test_prestate(reads_ecn, ops),                                                 \
        cmocka_unit_test_prestate(never_blocks_and_closes_on_exec, ops),                           \
        cmocka_unit_test_prestate(limits_hops_and_takes_that_back, ops),                           \
        cmocka_unit_test_prestate(reports_the_buffers_granted, ops),                               \
        cmocka_unit_test_prestate(refuses_a_port_in_use_and_a_foreign_address, ops),               \
        cmocka_unit_test_prestate(binds_a_mapped_address_as_ipv4, ops),                            \
        cmocka_unit_test_prestate(binds_the_port_of_any_address, ops),                             \
        cmocka_unit_test_prestate(tells_that_a_socket_is_gone, ops)

int main(void)
{
    static struct udp_ops plain;
    plain = udp_ops_posix; /* a copy, since the tests' state is not const */
    const struct CMUnitTest best_tests[] = {
        UDP_TESTS(NULL),
        cmocka_unit_test(batch_survives_want_of_memory),
    };
    const struct CMUnitTest plain_tests[] = {UDP_TESTS(&plain)};
    return cmocka_run_group_tests_name("best", best_tests, NULL, NULL) +
           cmocka_run_group_tests_name("plain", plain_tests, NULL, NULL);
}
