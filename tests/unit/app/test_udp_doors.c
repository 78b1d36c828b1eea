/* Where datagrams do not get in, and how many flows a peer may have. */
#include "unit/app/udp_world.h"

#include "app/association.h"

#include <base/err.h>

/* What comes in at a port of ours is taken for this machine's application: not for a peer. */
static void nobody_gets_in_by_our_own_ports(void **state)
{
    (void)state;
    struct addr local_at, bound;
    struct two *t = with_peer("allow = any\n");
    struct listener *forward = NULL;
    struct app_fault fault;
    assert_int_equal(app_forward(t->home.app, "udp 127.0.0.1:0", "laptop:9", &forward, &fault), 0);
    struct addr at = listener_address(forward);
    struct user u = associate(t);
    struct target to = target_of("127.0.0.1", at.port);
    struct context *home = &t->home.app->ctx;
    user_send(&u, &to, "x", 1);
    WORLD_UNTIL(&t->w, home->counters.udp.not_allowed == 1 || home->counters.udp.from_clients > 0);
    assert_int_equal(home->counters.udp.from_clients, 0);

    /* An association of another application here, which has sent nothing yet. */
    const struct target said = no_target();
    const struct association_options options = {
        .at = addr_ipv4(127, 0, 0, 1, 0), .client = addr_ipv4(127, 0, 0, 1, 9), .said = &said};
    struct association *a = NULL;
    assert_int_equal(association_start(home, &options, &a), CAUSE_NONE);
    bound = association_address(a);
    to = target_of("127.0.0.1", bound.port);
    user_send(&u, &to, "x", 1);
    WORLD_UNTIL(&t->w, home->counters.udp.not_allowed == 2 || home->counters.udp.sent > 0);
    assert_int_equal(home->counters.udp.sent, 0);
    association_stop(a);

    /* The port is free again, for anybody. */
    listener_stop(forward);
    int other = udp_socket(1, &local_at);
    to = target_of("127.0.0.1", local_at.port);
    user_send(&u, &to, "good", 4);
    answer(t, other, "good", 4, "yes", 3);
    end_user(&u);
    (void)close(other);
    teardown(t);
}

/* What a peer may have here at once, it may not have once more in flows. */
static void flows_count_as_connections_of_their_peer(void **state)
{
    (void)state;
    struct addr at;
    int server = udp_socket(1, &at);
    struct two *t = with_peer("allow = any\nstreams_max = 1\n");
    const struct app *home = t->home.app;
    struct target to = target_of("127.0.0.1", at.port);
    struct user first = associate(t), second = associate(t);
    user_send(&first, &to, "one", 3);
    answer(t, server, "one", 3, "yes", 3);
    user_get(&first, &at, "yes", 3);
    user_send(&second, &to, "two", 3);
    WORLD_UNTIL(&t->w, home->ctx.counters.exit.over_peer_limit == 1 || home->exits.flows.count > 1);
    assert_int_equal(home->exits.flows.count, 1);
    end_user(&first);
    end_user(&second);
    WORLD_UNTIL(&t->w, home->exits.flows.count == 0);
    struct user third = associate(t);
    user_send(&third, &to, "one", 3);
    answer(t, server, "one", 3, "yes", 3);
    user_get(&third, &at, "yes", 3);
    end_user(&third);
    (void)close(server);
    teardown(t);
}

/* Nobody gets all of them: not by default, and not beyond what the ini says. */
static void a_peer_has_its_share_of_flows(void **state)
{
    (void)state;
    static const struct {
        const char *ini;
        size_t share;
    } cases[] = {{"allow = any\nflows_max = 1\n", 1}, {"allow = any\n", 128}};
    struct addr at;
    int server = udp_socket(1, &at);
    for (size_t i = 0; i < 2; i++) {
        struct two *t = with_peer(cases[i].ini);
        struct exits *exits = &t->home.app->exits;
        struct target to = target_of("127.0.0.1", at.port);
        struct quota *flows = &exits->shares[0].flows;
        struct user first = associate(t), second = associate(t);
        assert_int_equal(flows->max, cases[i].share);
        flows->max = 1;
        user_send(&first, &to, "one", 3);
        answer(t, server, "one", 3, "yes", 3);
        user_get(&first, &at, "yes", 3);
        user_send(&second, &to, "two", 3);
        WORLD_UNTIL(&t->w, exits->ctx->counters.exit.over_peer_limit == 1 || has_udp(server));
        assert_int_equal(exits->flows.count, 1);
        assert_int_equal(exits->shares[0].streams.count, 1);
        end_user(&first);
        end_user(&second);
        WORLD_UNTIL(&t->w, exits->flows.count == 0 && flows->count == 0);
        teardown(t);
    }
    (void)close(server);
}

/* --- a proxy behind the exit ----------------------------------------------------------------- */

static struct two *with_upstream(const char *scheme, const struct addr *proxy)
{
    char home[200];
    (void)snprintf(home, sizeof(home),
                   "bind = yes\nallow = far.example:53 198.51.100.0/24 127.0.0.1\n"
                   "[exit]\nupstream = %s127.0.0.1:%u\n",
                   scheme, (unsigned)proxy->port);
    return setup(home, "commands = connect bind udp\n" PEER_ROUTE);
}

static void hears(struct two *t, int fd, const char *data, size_t len)
{
    char in[64];
    assert_int_equal(world_get(&t->w, fd, in, len), len);
    assert_memory_equal(in, data, len);
}

#define HEARS(t, fd, text) hears(t, fd, text, sizeof(text) - 1)

/* The proxy grants an association, at this socket. */
static int grant(struct two *t, int listener, const struct addr *relay)
{
    uint8_t reply[10] = {5, 0, 0, 1, 0, 0, 0, 0, (uint8_t)(relay->port >> 8), (uint8_t)relay->port};
    int proxy = world_accept(&t->w, listener);
    HEARS(t, proxy, "\x05\x01\x00");
    world_put(&t->w, proxy, "\x05\x00", 2);
    HEARS(t, proxy, "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00");
    world_put(&t->w, proxy, reply, sizeof(reply)); /* 0.0.0.0: its own address */
    return proxy;
}

static void datagrams_go_through_the_upstream(void **state)
{
    (void)state;
    static const char far[] = "\x00\x00\x00\x03\x0b"
                              "far.example\x00\x35"
                              "ask";
    static const char from_far[] = "\x00\x00\x00\x01\xc6\x33\x64\x09\x00\x35"
                                   "yes";
    static const char piece[] = "\x00\x00\x01\x01\xc6\x33\x64\x09\x00\x35"
                                "no";
    struct addr at, relay_at, web_at, from;
    char in[64];
    const struct addr source = addr_ipv4(198, 51, 100, 9, 53);
    int listener = world_listen(&at), relay = udp_socket(1, &relay_at),
        web = udp_socket(1, &web_at);
    struct two *t = with_upstream("socks5://", &at);
    const struct context *home = &t->home.app->ctx;
    struct target to = target_of("far.example", 53), near = target_of("127.0.0.1", web_at.port);
    struct user u = associate(t);
    user_send(&u, &to, "ask", 3); /* waits for the proxy */
    int proxy = grant(t, listener, &relay_at);
    assert_int_equal(get_udp(t, relay, in, sizeof(in), &from), sizeof(far) - 1);
    assert_memory_equal(in, far, sizeof(far) - 1);
    send_udp(web, &from, from_far, sizeof(from_far) - 1); /* by nobody's leave */
    send_udp(relay, &from, piece, sizeof(piece) - 1);
    send_udp(relay, &from, from_far, sizeof(from_far) - 1);
    user_get(&u, &source, "yes", 3);
    assert_int_equal(home->counters.udp.unasked, 1);
    assert_int_equal(home->counters.udp.fragments, 1);
    /* What is on this machine is none of the proxy's business; what is not allowed is nobody's. */
    user_send(&u, &near, "near", 4);
    answer(t, web, "near", 4, "here", 4);
    user_get(&u, &web_at, "here", 4);
    static const char *const never[] = {"near.example", "192.0.2.1"};
    for (uint64_t i = 0; i < 2; i++) {
        to = target_of(never[i], 53);
        user_send(&u, &to, "x", 1);
        WORLD_UNTIL(&t->w, home->counters.udp.not_allowed == i + 1);
    }
    assert_false(has_udp(relay));
    /* Without the proxy nothing goes out; it is asked again. */
    (void)close(proxy);
    to = target_of("198.51.100.1", 7);
    WORLD_UNTIL(&t->w, (user_send(&u, &to, "y", 1), home->counters.udp.unsent > 0));
    proxy = -1;
    WORLD_UNTIL(&t->w,
                (proxy = accept(listener, NULL, NULL)) >= 0 || (user_send(&u, &to, "y", 1), false));
    (void)close(proxy);
    assert_false(has_udp(relay));
    (void)close(relay);
    (void)close(web);
    (void)close(listener);
    end_user(&u);
    WORLD_UNTIL(&t->w, t->home.app->exits.flows.count == 0);
    teardown(t);
}

/* Nothing goes round it, whatever it cannot do. */
static void what_the_upstream_cannot_carry_is_refused(void **state)
{
    (void)state;
    struct addr at, bound;
    int listener = world_listen(&at);
    struct two *t = with_upstream("http://", &at);
    const struct context *home = &t->home.app->ctx;
    struct target to = target_of("198.51.100.1", 53), here = target_of("127.0.0.1", 21);
    struct user u = associate(t);
    user_send(&u, &to, "x", 1);
    WORLD_UNTIL(&t->w, home->counters.udp.unsent == 1);
    assert_int_equal(home->counters.udp.sent, 0);
    int client = world_connect(&t->socks);
    assert_int_equal(ask_socks(t, client, 2, &to, &bound), SOCKS5_REP_NOT_ALLOWED);
    (void)close(client);
    client = world_connect(&t->socks);
    assert_int_equal(ask_socks(t, client, 2, &here, &bound), 0);
    (void)close(client);
    assert_true(accept(listener, NULL, NULL) < 0);
    (void)close(listener);
    end_user(&u);
    teardown(t);
}

static void a_unix_socket_takes_no_datagrams(void **state)
{
    (void)state;
    struct listener *l = NULL;
    struct app_fault fault;
    struct two *t = with_peer("");
    assert_int_equal(app_forward(t->laptop.app, "udp 127.0.0.1:0", "home:/run/x.sock", &l, &fault),
                     ERR_MALFORMED);
    assert_string_equal(fault.about, "home:/run/x.sock");
    assert_int_equal(app_forward(t->laptop.app, "udp /run/x.sock", "home:53", &l, &fault),
                     ERR_MALFORMED);
    assert_string_equal(fault.about, "udp /run/x.sock");
    assert_null(l);
    teardown(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_gets_in_by_our_own_ports),
        cmocka_unit_test(flows_count_as_connections_of_their_peer),
        cmocka_unit_test(a_peer_has_its_share_of_flows),
        cmocka_unit_test(datagrams_go_through_the_upstream),
        cmocka_unit_test(what_the_upstream_cannot_carry_is_refused),
        cmocka_unit_test(a_unix_socket_takes_no_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
