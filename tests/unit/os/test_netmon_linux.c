/* What netlink says, said by a test: messages come out of a socket pair instead of the kernel. */
#include "os/netmon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire {
    int kernel, ours;
    uint8_t data[512];
    size_t len;
};

static int set_up(void **state)
{
    static struct wire w;
    int pair[2];
    w = (struct wire){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    w.kernel = pair[0];
    w.ours = pair[1];
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct wire *w = *state;
    (void)close(w->kernel);
    netmon_close(w->ours);
    return 0;
}

static void add(struct wire *w, uint16_t type, const void *body, size_t len)
{
    struct nlmsghdr head = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len), .nlmsg_type = type};
    memcpy(w->data + w->len, &head, sizeof(head));
    memcpy(w->data + w->len + NLMSG_HDRLEN, body, len);
    w->len += NLMSG_ALIGN(NLMSG_HDRLEN + len);
}

static void add_route(struct wire *w, uint16_t type, uint8_t bits, uint8_t kind, uint32_t flags)
{
    struct rtmsg route = {
        .rtm_family = AF_INET, .rtm_dst_len = bits, .rtm_type = kind, .rtm_flags = flags};
    add(w, type, &route, sizeof(route));
}

static int say(struct wire *w)
{
    assert_int_equal(send(w->kernel, w->data, w->len, 0), (ssize_t)w->len);
    w->len = 0;
    return netmon_read(w->ours);
}

static void addresses_and_links_count(void **state)
{
    struct wire *w = *state;
    static const uint16_t types[] = {RTM_NEWADDR, RTM_DELADDR, RTM_DELLINK};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        add(w, types[i], "body", 4);
        assert_int_equal(say(w), NETMON_ADDRESSES);
    }
    assert_int_equal(netmon_read(w->ours), 0);
}

static void of_a_link_only_what_packets_notice_counts(void **state)
{
    struct wire *w = *state;
    static const struct {
        unsigned change;
        int says;
    } cases[] = {
        {IFF_UP, NETMON_ADDRESSES},
        {IFF_UP | IFF_PROMISC, NETMON_ADDRESSES},
        {0, NETMON_ADDRESSES},   /* the carrier's coming and going is told so */
        {~0U, NETMON_ADDRESSES}, /* a new one */
        {IFF_PROMISC, 0},
        {IFF_ALLMULTI, 0},
        {IFF_PROMISC | IFF_ALLMULTI, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ifinfomsg link = {.ifi_flags = IFF_UP, .ifi_change = cases[i].change};
        add(w, RTM_NEWLINK, &link, sizeof(link));
        assert_int_equal(say(w), cases[i].says);
    }
    add(w, RTM_NEWLINK, "body", 4); /* too short for a link */
    assert_int_equal(say(w), 0);
}

static void only_routes_to_the_world_count(void **state)
{
    struct wire *w = *state;
    add_route(w, RTM_NEWROUTE, 0, RTN_UNICAST, 0);
    assert_int_equal(say(w), NETMON_ROUTES);
    add_route(w, RTM_DELROUTE, 1, RTN_UNICAST, 0);
    assert_int_equal(say(w), NETMON_ROUTES);
    add_route(w, RTM_NEWROUTE, 24, RTN_UNICAST, 0);
    assert_int_equal(say(w), 0);
    add_route(w, RTM_NEWROUTE, 0, RTN_UNREACHABLE, 0);
    assert_int_equal(say(w), 0);
    add_route(w, RTM_NEWROUTE, 0, RTN_UNICAST, RTM_F_CLONED);
    assert_int_equal(say(w), 0);
    add(w, RTM_NEWNEIGH, "body", 4);
    assert_int_equal(say(w), 0);
}

static void one_read_holds_many_messages(void **state)
{
    struct wire *w = *state;
    add(w, RTM_NEWNEIGH, "odd", 3);
    add_route(w, RTM_NEWROUTE, 0, RTN_UNICAST, 0);
    add(w, RTM_NEWADDR, "", 0);
    assert_int_equal(say(w), NETMON_ADDRESSES | NETMON_ROUTES);
}

static void what_is_cut_short_says_nothing(void **state)
{
    struct wire *w = *state;
    add_route(w, RTM_NEWROUTE, 0, RTN_UNICAST, 0);
    const size_t whole = w->len;
    for (size_t len = 1; len < whole; len++) {
        w->len = len;
        assert_int_equal(say(w), 0);
    }
    add(w, RTM_NEWROUTE, "abc", 3); /* too short for a route */
    assert_int_equal(say(w), 0);
    struct nlmsghdr tiny = {.nlmsg_len = 3, .nlmsg_type = RTM_NEWADDR};
    memcpy(w->data, &tiny, sizeof(tiny));
    w->len = sizeof(tiny);
    assert_int_equal(say(w), 0);
}

static void a_dead_descriptor_is_an_error(void **state)
{
    struct wire *w = *state;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(netmon_read(fd), -ENOTSOCK);
    assert_int_equal(dup2(fd, w->ours), w->ours);
    assert_int_equal(netmon_read(w->ours), -ENOTSOCK);
    (void)close(fd);
}

static void the_kernel_lets_anybody_listen(void **state)
{
    (void)state;
    int fd = netmon_open();
    assert_true(fd >= 0);
    assert_true(netmon_read(fd) >= 0);
    netmon_close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(addresses_and_links_count),      CASE(of_a_link_only_what_packets_notice_counts),
        CASE(only_routes_to_the_world_count), CASE(one_read_holds_many_messages),
        CASE(what_is_cut_short_says_nothing), CASE(a_dead_descriptor_is_an_error),
        CASE(the_kernel_lets_anybody_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return netmon_open() < 0 ? 0 : 1;
}

#endif
