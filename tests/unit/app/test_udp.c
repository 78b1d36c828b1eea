/* Datagrams of applications, through two nodes and straight out: UDP ASSOCIATE, forwarded ports,
 * and BIND. */
#include "unit/app/udp_world.h"

#include "app/udp_forward.h"

#include <base/err.h>

#define MAY_BIND "commands = connect bind udp\n"
#define DIRECT_ROUTE "[route]\n127.0.0.0/8 = direct\nlocalhost = direct\n"

/* --- UDP ASSOCIATE --------------------------------------------------------------------------- */

static void datagrams_go_there_and_back(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "home.peer"};
    for (int direct = 0; direct < 2; direct++) {
        struct two *t = direct ? setup("", DIRECT_ROUTE) : with_peer("allow = 127.0.0.1\n");
        struct addr at;
        int server = udp_socket(1, &at);
        struct user u = associate(t);
        for (size_t i = 0; i < 3 - (size_t)direct; i++) {
            struct target to = target_of(hosts[i], at.port);
            user_send(&u, &to, "ask", 3);
            answer(t, server, "ask", 3, "reply", 5);
            user_get(&u, &at, "reply", 5);
        }
        if (!direct) {
            struct adit_peer_stats s;
            assert_true(app_peer_stats(t->laptop.app, 0, &s));
            assert_int_equal(s.path.kind, ADIT_PATH_DIRECT); /* the path, not just the bytes */
            assert_int_equal(s.streams, 1);                  /* one flow, whatever the targets */
            assert_int_equal(t->home.app->exits.flows.count, 1);
        }
        assert_int_equal(t->laptop.app->ctx.counters.udp.from_clients, direct ? 2 : 3);
        assert_int_equal(t->laptop.app->ctx.counters.udp.to_clients, direct ? 2 : 3);
        end_user(&u);
        WORLD_UNTIL(&t->w, t->laptop.app->ctx.associations == 0);
        WORLD_UNTIL(&t->w, t->home.app->exits.flows.count == 0);
        (void)close(server);
        teardown(t);
    }
}

/* The largest that UDP carries with a SOCKS head, on a path whose packets hold 1,200 bytes. */
static void full_size_datagrams_pass(void **state)
{
    (void)state;
    enum { LARGEST = 65507 - 10 };
    static uint8_t big[LARGEST];
    for (size_t i = 0; i < LARGEST; i++) {
        big[i] = (uint8_t)(i * 7 + i / 256);
    }
    struct two *t = with_peer("allow = any\n");
    struct addr at;
    int server = udp_socket(1, &at);
    struct user u = associate(t);
    struct target to = target_of("127.0.0.1", at.port);
    const size_t lens[] = {0, 1, 1200, 1452, 9000, LARGEST};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        user_send(&u, &to, big, lens[i]);
        answer(t, server, big, lens[i], big, lens[i]);
        user_get(&u, &at, big, lens[i]);
    }
    end_user(&u);
    (void)close(server);
    teardown(t);
}

/* Other sockets, other addresses of the machine, fragments and rubbish bring nothing out. */
static void only_the_client_is_heard(void **state)
{
    (void)state;
    struct two *t = setup("", DIRECT_ROUTE);
    struct addr at, other_at, far_at;
    int server = udp_socket(1, &at), other = udp_socket(1, &other_at), far = udp_socket(2, &far_at);
    struct user u = associate(t), stranger = u;
    struct context_counters *n = &t->laptop.app->ctx.counters;
    struct target to = target_of("127.0.0.1", at.port);
    stranger.udp = far;
    user_send(&stranger, &to, "far", 3);
    WORLD_UNTIL(&t->w, n->udp.strangers == 1);
    send_udp(u.udp, &u.relay, "\x00\x00\x01\x01\x7f\x00\x00\x01\x00\x35x", 11);
    WORLD_UNTIL(&t->w, n->udp.fragments == 1);
    send_udp(u.udp, &u.relay, "\x00\x00\x00\x01\x7f", 5);
    WORLD_UNTIL(&t->w, n->udp.malformed == 1);
    user_send(&u, &to, "mine", 4);
    answer(t, server, "mine", 4, "yours", 5);
    user_get(&u, &at, "yours", 5);
    stranger.udp = other; /* the right address, but the port is settled */
    user_send(&stranger, &to, "late", 4);
    WORLD_UNTIL(&t->w, n->udp.strangers == 2);
    assert_false(has_udp(server));
    end_user(&u);
    (void)close(server);
    (void)close(other);
    (void)close(far);
    teardown(t);
}

/* Found by its port, a flow's socket still lets nobody in who was not asked. */
static void only_who_was_asked_may_answer(void **state)
{
    (void)state;
    struct two *t = with_peer("allow = any\n");
    struct addr at, other_at, from;
    int server = udp_socket(1, &at), other = udp_socket(1, &other_at);
    struct user u = associate(t);
    struct target to = target_of("127.0.0.1", at.port);
    char in[8];
    user_send(&u, &to, "ask", 3);
    assert_int_equal(get_udp(t, server, in, sizeof(in), &from), 3);
    send_udp(other, &from, "bad", 3);
    struct context_counters *n = &t->home.app->ctx.counters;
    WORLD_UNTIL(&t->w, n->udp.unasked == 1);
    send_udp(server, &from, "good", 4);
    user_get(&u, &at, "good", 4);
    end_user(&u);
    (void)close(server);
    (void)close(other);
    teardown(t);
}

/* Each datagram's target is looked at by itself, at the exit, after resolving. */
static void policy_looks_at_each_target(void **state)
{
    (void)state;
    struct addr at, closed;
    char allow[64];
    int server = udp_socket(1, &at), forbidden = udp_socket(1, &closed);
    (void)snprintf(allow, sizeof(allow), "allow = 127.0.0.1:%u\n", (unsigned)at.port);
    struct two *t = with_peer(allow);
    struct user u = associate(t);
    const struct target bad[] = {
        target_of("127.0.0.1", closed.port),   target_of("localhost", closed.port),
        target_of("home.peer", closed.port),   target_of("127.0.0.2", at.port),
        target_of("0.0.0.0", closed.port),     target_of("224.0.0.251", at.port),
        target_of("255.255.255.255", at.port), target_of("169.254.169.254", 80),
        target_of("not.allowed.example", 53),
    };
    enum { BAD = sizeof(bad) / sizeof(bad[0]) };
    for (size_t i = 0; i < BAD; i++) {
        user_send(&u, &bad[i], "bad", 3);
    }
    struct target to = target_of("localhost", at.port);
    user_send(&u, &to, "good", 4);
    answer(t, server, "good", 4, "yes", 3);
    user_get(&u, &at, "yes", 3);
    struct context_counters *n = &t->home.app->ctx.counters;
    assert_int_equal(n->udp.not_allowed, BAD);
    assert_int_equal(n->udp.sent, 1);
    assert_false(has_udp(forbidden));
    end_user(&u);
    (void)close(server);
    (void)close(forbidden);
    teardown(t);
}

/* Whatever is allowed: one datagram that reaches many is an amplifier. */
static void nobody_reaches_many_at_once(void **state)
{
    (void)state;
    static const char *const many[] = {"224.0.0.251", "239.1.2.3", "255.255.255.255", "ff02::fb"};
    struct two *t = with_peer("allow = any\n");
    struct user u = associate(t);
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        struct target to = target_of(many[i], 5353);
        user_send(&u, &to, "x", 1);
        WORLD_UNTIL(&t->w, t->home.app->ctx.counters.udp.not_allowed == i + 1);
    }
    end_user(&u);
    teardown(t);
}

/* A peer that may reach nothing gets no flow; routes that refuse drop what goes there. */
static void refused_datagrams_are_counted(void **state)
{
    (void)state;
    struct two *t = setup("", "[route]\n10.0.0.0/8 = peer home\n");
    struct user u = associate(t);
    struct target far = target_of("192.0.2.1", 53), there = target_of("10.0.0.1", 53);
    struct target unknown = target_of("nobody.peer", 53);
    user_send(&u, &far, "x", 1);
    user_send(&u, &unknown, "x", 1);
    WORLD_UNTIL(&t->w, t->laptop.app->ctx.counters.udp.refused_by_route == 2);
    user_send(&u, &there, "x", 1);
    WORLD_UNTIL(&t->w, t->home.app->ctx.counters.exit.failures[CAUSE_NOT_ALLOWED] == 1);
    assert_int_equal(t->home.app->exits.flows.count, 0);
    end_user(&u);
    teardown(t);
}

static void it_ends_with_its_connection_and_has_a_ceiling(void **state)
{
    (void)state;
    struct two *t = setup("", DIRECT_ROUTE);
    struct addr bound;
    struct target none = no_target();
    t->laptop.app->ctx.limits.associations_max = 2;
    struct user a = associate(t), b = associate(t);
    int third = world_connect(&t->socks);
    assert_int_equal(ask_socks(t, third, 3, &none, &bound), SOCKS5_REP_FAILURE);
    assert_int_equal(world_end(&t->w, third), 0);
    (void)close(third);
    assert_int_equal(t->laptop.app->ctx.counters.udp.associations_refused, 1);
    world_put(&t->w, a.tcp, "ignored", 7);
    assert_int_equal(shutdown(a.tcp, SHUT_WR), 0); /* the end, not only of sending */
    assert_int_equal(world_end(&t->w, a.tcp), 0);
    WORLD_UNTIL(&t->w, t->laptop.app->ctx.associations == 1);
    world_reset(b.tcp);
    WORLD_UNTIL(&t->w, t->laptop.app->ctx.associations == 0);
    (void)close(b.udp);
    end_user(&a);
    struct user last = associate(t); /* still there when the node stops */
    teardown(t);
    end_user(&last);
}

/* --- forwarded ports ------------------------------------------------------------------------- */

static void a_forwarded_port_keeps_sources_apart(void **state)
{
    (void)state;
    struct addr at, first_at, second_at, from;
    char target[64], in[16];
    int server = udp_socket(1, &at);
    struct two *t = with_peer("allow = 127.0.0.1\n");
    (void)snprintf(target, sizeof(target), "home:%u", (unsigned)at.port);
    struct listener *l = NULL;
    struct app_fault fault;
    assert_int_equal(app_forward(t->laptop.app, "udp 127.0.0.1:0", target, &l, &fault), 0);
    struct addr door = listener_address(l);
    int first = udp_socket(1, &first_at), second = udp_socket(2, &second_at);
    send_udp(first, &door, "one", 3);
    assert_int_equal(get_udp(t, server, in, sizeof(in), &from), 3);
    struct addr first_seen = from;
    send_udp(second, &door, "two", 3);
    assert_int_equal(get_udp(t, server, in, sizeof(in), &from), 3);
    assert_false(addr_equal(&first_seen, &from));
    send_udp(server, &from, "second", 6);
    send_udp(server, &first_seen, "first", 5);
    assert_int_equal(get_udp(t, first, in, sizeof(in), &from), 5);
    assert_memory_equal(in, "first", 5);
    assert_true(addr_equal(&from, &door));
    assert_int_equal(get_udp(t, second, in, sizeof(in), &from), 6);
    assert_memory_equal(in, "second", 6);
    assert_int_equal(t->home.app->exits.flows.count, 2);
    listener_stop(l);
    WORLD_UNTIL(&t->w, t->home.app->exits.flows.count == 0);
    (void)close(first);
    (void)close(second);
    (void)close(server);
    teardown(t);
}

static void a_forwarded_port_has_a_ceiling(void **state)
{
    (void)state;
    struct two *t = setup("", DIRECT_ROUTE);
    struct addr at, door;
    char target[64];
    int server = udp_socket(1, &at);
    static int sources[UDP_FORWARD_SOURCES_MAX + 1];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%u", (unsigned)at.port);
    struct listener *l = NULL;
    struct app_fault fault;
    assert_int_equal(app_forward(t->laptop.app, "udp 127.0.0.1:0", target, &l, &fault), 0);
    assert_int_equal(app_forward(t->laptop.app, "udp /tmp/x", target, &l, &fault), ERR_MALFORMED);
    door = listener_address(l);
    for (size_t i = 0; i <= UDP_FORWARD_SOURCES_MAX; i++) {
        struct addr own;
        sources[i] = udp_socket(1, &own);
        send_udp(sources[i], &door, "x", 1);
        WORLD_UNTIL(&t->w, t->laptop.app->ctx.counters.udp.from_clients == i + 1);
    }
    assert_int_equal(t->laptop.app->ctx.counters.udp.dropped, 1);
    assert_int_equal(t->laptop.app->ctx.counters.udp.sent, UDP_FORWARD_SOURCES_MAX);
    listener_stop(l);
    for (size_t i = 0; i <= UDP_FORWARD_SOURCES_MAX; i++) {
        (void)close(sources[i]);
    }
    (void)close(server);
    teardown(t);
}

/* --- BIND ------------------------------------------------------------------------------------ */

/* The second reply. */
static unsigned second_reply(struct two *t, int fd, struct addr *from)
{
    uint8_t in[10];
    struct target b;
    assert_int_equal(world_get(&t->w, fd, in, sizeof(in)), sizeof(in));
    struct reader r = reader_of(in + 3, 7);
    assert_int_equal(socksaddr_read(&r, &b), 0);
    *from = b.addr;
    return in[1];
}

static void bind_takes_one_connection(void **state)
{
    (void)state;
    for (int direct = 0; direct < 2; direct++) {
        struct two *t = direct ? setup("", MAY_BIND DIRECT_ROUTE)
                               : setup("allow = 127.0.0.1\nbind = yes\n", MAY_BIND PEER_ROUTE);
        struct addr at, from;
        char in[8];
        int client = world_connect(&t->socks);
        struct target expected = target_of(direct ? "127.0.0.1" : "home.peer", 21);
        assert_int_equal(ask_socks(t, client, 2, &expected, &at), 0);
        assert_true(addr_is_loopback(&at) && at.port != 0);
        world_put(&t->w, client, "early", 5);
        int server = world_connect(&at);
        world_put(&t->w, server, "hello", 5);
        assert_int_equal(second_reply(t, client, &from), 0);
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        assert_int_equal(getsockname(server, (struct sockaddr *)&sa, &len), 0);
        struct addr own = tcp_addr((struct sockaddr *)&sa);
        assert_true(addr_equal(&from, &own));
        assert_int_equal(world_get(&t->w, client, in, 5), 5);
        assert_memory_equal(in, "hello", 5);
        assert_int_equal(world_get(&t->w, server, in, 5), 5);
        assert_memory_equal(in, "early", 5);
        int again = world_connect(&at); /* nobody listens any more */
        assert_int_equal(world_end(&t->w, again), -ECONNREFUSED);
        (void)close(again);
        assert_int_equal(shutdown(server, SHUT_WR), 0);
        assert_int_equal(world_end(&t->w, client), 0);
        (void)close(client);
        (void)close(server);
        WORLD_UNTIL(&t->w, t->home.app->exits.count == 0);
        assert_int_equal(t->home.app->exits.dialling, 0);
        teardown(t);
    }
}

static struct addr socks4_reply_of(struct two *t, int fd, unsigned code)
{
    uint8_t in[8];
    struct addr a = {.family = ADDR_IPV4};
    assert_int_equal(world_get(&t->w, fd, in, sizeof(in)), sizeof(in));
    assert_int_equal(in[0], 0);
    assert_int_equal(in[1], code);
    a.port = (uint16_t)(in[2] << 8 | in[3]);
    memcpy(a.ip, in + 4, 4);
    return a;
}

static void bind_works_over_socks4(void **state)
{
    (void)state;
    static const uint8_t request[] = "\x04\x02\x00\x15\x7f\x00\x00\x01"; /* and an empty user */
    for (int direct = 0; direct < 2; direct++) {
        struct two *t = direct ? setup("", MAY_BIND DIRECT_ROUTE)
                               : setup("allow = 127.0.0.1\nbind = yes\n", MAY_BIND PEER_ROUTE);
        char in[8];
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        int client = world_connect(&t->socks);
        world_put(&t->w, client, request, sizeof(request));
        struct addr at = socks4_reply_of(t, client, 0x5a);
        assert_true(addr_is_loopback(&at) && at.port != 0);
        int server = world_connect(&at);
        world_put(&t->w, server, "hello", 5);
        struct addr from = socks4_reply_of(t, client, 0x5a);
        assert_int_equal(getsockname(server, (struct sockaddr *)&sa, &len), 0);
        struct addr own = tcp_addr((struct sockaddr *)&sa);
        assert_true(addr_equal(&from, &own));
        assert_int_equal(world_get(&t->w, client, in, 5), 5);
        assert_memory_equal(in, "hello", 5);
        (void)close(client);
        (void)close(server);
        teardown(t);
    }
    struct two *t = setup("allow = 127.0.0.1\n", MAY_BIND PEER_ROUTE); /* no `bind = yes` */
    int client = world_connect(&t->socks);
    world_put(&t->w, client, request, sizeof(request));
    (void)socks4_reply_of(t, client, 0x5b);
    assert_int_equal(world_end(&t->w, client), 0);
    (void)close(client);
    teardown(t);
}

/* From elsewhere than expected: closed, and the wait goes on. */
static void bind_takes_nobody_else(void **state)
{
    (void)state;
    struct two *t = setup("allow = 127.0.0.0/8\nbind = yes\n", MAY_BIND PEER_ROUTE);
    struct addr at, from;
    int client = world_connect(&t->socks);
    struct target expected = target_of("127.0.0.2", 21);
    assert_int_equal(ask_socks(t, client, 2, &expected, &at), 0);
    int wrong = world_connect(&at);
    assert_true(world_end(&t->w, wrong) <= 0);
    (void)close(wrong);
    int right = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_storage sa;
    struct addr own = addr_ipv4(127, 0, 0, 2, 0);
    tcp_sockaddr(&own, &sa);
    assert_int_equal(bind(right, (struct sockaddr *)&sa, sizeof(struct sockaddr_in)), 0);
    tcp_sockaddr(&at, &sa);
    assert_int_equal(connect(right, (struct sockaddr *)&sa, sizeof(struct sockaddr_in)), 0);
    assert_int_equal(second_reply(t, client, &from), 0);
    assert_true(addr_equal_ip(&from, &own));
    (void)close(right);
    (void)close(client);
    teardown(t);
}

static void bind_needs_to_be_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *laptop, *host;
        unsigned rep;
    } refused[] = {
        {"allow = any\nbind = yes\n", PEER_ROUTE, "127.0.0.1", SOCKS5_REP_NOT_ALLOWED},
        {"allow = any\n", MAY_BIND PEER_ROUTE, "127.0.0.1", SOCKS5_REP_NOT_ALLOWED},
        {"allow = 10.0.0.1\nbind = yes\n", MAY_BIND PEER_ROUTE, "127.0.0.1",
         SOCKS5_REP_NOT_ALLOWED},
        {"bind = yes\n", MAY_BIND PEER_ROUTE, "some.example", SOCKS5_REP_NOT_ALLOWED},
        {"", DIRECT_ROUTE, "127.0.0.1", SOCKS5_REP_NOT_ALLOWED},
        {"", MAY_BIND DIRECT_ROUTE, "192.0.2.1", SOCKS5_REP_NOT_ALLOWED},
        {"allow = any\nbind = yes\n", MAY_BIND PEER_ROUTE, "0.0.0.0", SOCKS5_REP_NOT_ALLOWED},
        {"allow = any\nbind = yes\n", MAY_BIND PEER_ROUTE, "x.home.peer", SOCKS5_REP_NOT_ALLOWED},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct two *t = setup(refused[i].peer, refused[i].laptop);
        struct addr at;
        int client = world_connect(&t->socks);
        struct target expected = target_of(refused[i].host, 21);
        assert_int_equal(ask_socks(t, client, 2, &expected, &at), refused[i].rep);
        assert_int_equal(world_end(&t->w, client), 0);
        (void)close(client);
        teardown(t);
    }
}

/* Who waits takes none of the room for dialling, and a peer waits at so many ports only. */
static void bind_has_a_ceiling_of_its_own(void **state)
{
    (void)state;
    struct two *t = setup("allow = 127.0.0.1\nbind = yes\n", MAY_BIND PEER_ROUTE);
    struct exits *exits = &t->home.app->exits;
    struct addr at, server_at;
    struct target expected = target_of("127.0.0.1", 21);
    int client[3], listener = world_listen(&server_at);
    exits->shares[0].binds.max = 2;
    t->home.app->ctx.limits.dials_max = 1;
    for (size_t i = 0; i < 3; i++) {
        client[i] = world_connect(&t->socks);
        assert_int_equal(ask_socks(t, client[i], 2, &expected, &at),
                         i < 2 ? 0 : SOCKS5_REP_FAILURE);
    }
    assert_int_equal(t->home.app->ctx.counters.exit.over_peer_limit, 1);
    assert_int_equal(exits->dialling, 0);
    int other = world_ask(&t->w, &t->socks, "127.0.0.1", server_at.port);
    assert_int_equal(world_rep(&t->w, other), 0);
    (void)close(other);
    world_reset(client[0]);
    WORLD_UNTIL(&t->w, exits->shares[0].binds.count == 1);
    client[0] = world_connect(&t->socks);
    assert_int_equal(ask_socks(t, client[0], 2, &expected, &at), 0);
    int server = world_connect(&at); /* no longer waited for */
    struct addr from;
    assert_int_equal(second_reply(t, client[0], &from), 0);
    assert_int_equal(exits->shares[0].binds.count, 1);
    for (size_t i = 0; i < 3; i++) {
        (void)close(client[i]);
    }
    (void)close(server);
    (void)close(listener);
    teardown(t);
}

/* The client goes, or a node stops, while it is waited. */
static void bind_can_be_given_up(void **state)
{
    (void)state;
    for (int direct = 0; direct < 2; direct++) {
        struct two *t = direct ? setup("", MAY_BIND DIRECT_ROUTE)
                               : setup("allow = 127.0.0.1\nbind = yes\n", MAY_BIND PEER_ROUTE);
        struct addr at;
        struct target expected = target_of("127.0.0.1", 21);
        int client = world_connect(&t->socks), other = world_connect(&t->socks);
        assert_int_equal(ask_socks(t, client, 2, &expected, &at), 0);
        world_reset(client);
        WORLD_UNTIL(&t->w, t->laptop.app->clients.count == 1 && t->home.app->exits.count == 0);
        int late = world_connect(&at);
        assert_int_equal(world_end(&t->w, late), -ECONNREFUSED);
        (void)close(late);
        assert_int_equal(ask_socks(t, other, 2, &expected, &at), 0);
        teardown(t);
        (void)close(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_go_there_and_back),
        cmocka_unit_test(full_size_datagrams_pass),
        cmocka_unit_test(only_the_client_is_heard),
        cmocka_unit_test(only_who_was_asked_may_answer),
        cmocka_unit_test(policy_looks_at_each_target),
        cmocka_unit_test(nobody_reaches_many_at_once),
        cmocka_unit_test(refused_datagrams_are_counted),
        cmocka_unit_test(it_ends_with_its_connection_and_has_a_ceiling),
        cmocka_unit_test(a_forwarded_port_keeps_sources_apart),
        cmocka_unit_test(a_forwarded_port_has_a_ceiling),
        cmocka_unit_test(bind_takes_one_connection),
        cmocka_unit_test(bind_works_over_socks4),
        cmocka_unit_test(bind_takes_nobody_else),
        cmocka_unit_test(bind_needs_to_be_allowed),
        cmocka_unit_test(bind_has_a_ceiling_of_its_own),
        cmocka_unit_test(bind_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
