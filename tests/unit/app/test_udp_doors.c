/* Where datagrams do not get in, and how many flows a peer may have. */
#include "unit/app/udp_world.h"

#include "app/association.h"

/* What comes in at a port of ours is taken for this machine's application: not for a peer. */
static void nobody_gets_in_by_our_own_ports(void **state)
{
    (void)state;
    struct addr local_at, bound;
    struct two *t = with_peer("allow = any\n");
    struct listener *forward = NULL;
    assert_null(app_forward(t->home.app, "udp 127.0.0.1:0", "laptop:9", &forward));
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

static void a_unix_socket_takes_no_datagrams(void **state)
{
    (void)state;
    struct listener *l = NULL;
    struct two *t = with_peer("");
    assert_non_null(app_forward(t->laptop.app, "udp 127.0.0.1:0", "home:/run/x.sock", &l));
    assert_non_null(app_forward(t->laptop.app, "udp /run/x.sock", "home:53", &l));
    assert_null(l);
    teardown(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_gets_in_by_our_own_ports),
        cmocka_unit_test(flows_count_as_connections_of_their_peer),
        cmocka_unit_test(a_peer_has_its_share_of_flows),
        cmocka_unit_test(a_unix_socket_takes_no_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
