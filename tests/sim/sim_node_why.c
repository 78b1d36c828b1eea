/* What a node says about why a peer is reached the way it is: the reason that the world has. */
#include "node/node_internal.h"
#include "sim/fleet.h"

#include <adit/why.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)

static const struct natbox_config edm_random = {
    .mapping = NATBOX_APDM, .filtering = NATBOX_APDF, .ports = NATBOX_RANDOM};
static const struct natbox_config eim_apdf = {
    .mapping = NATBOX_EIM, .filtering = NATBOX_APDF, .ports = NATBOX_RANDOM};

static struct fleet_config nats(const struct natbox_config *a, const struct natbox_config *b,
                                uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_why", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = *a;
    config.nat[1] = *b;
    config.stun_servers = 2;
    return config;
}

/* Nodes that have talked for so long. */
static struct fleet *talking(const struct fleet_config *config, uint64_t ns)
{
    struct fleet *f = fleet_new(config);
    fleet_start_all(f);
    uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .endless = true});
    for (uint64_t until = f->world.now + ns; f->world.now < until;) {
        fleet_run(f, MS(500));
        fleet_app_more(&f->nodes[0].app, id, 100);
    }
    return f;
}

static struct adit_why why(const struct fleet *f, size_t node)
{
    struct adit_why w;
    node_why(f->nodes[node].node, fleet_peer(node, 1 - node), &w, f->world.now);
    return w;
}

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", text, part);
    }
}

static const struct adit_why_path *path_of(const struct adit_why *w, enum adit_path_kind kind)
{
    for (size_t i = 0; i < w->path_count; i++) {
        if (w->paths[i].kind == kind) {
            return &w->paths[i];
        }
    }
    fail_msg("no path of that kind");
    return &w->paths[0];
}

static const struct adit_why_candidate *candidate_of(const struct adit_why *w, const char *kind)
{
    for (size_t i = 0; i < w->candidate_count; i++) {
        if (strcmp(w->candidates[i].kind, kind) == 0) {
            return &w->candidates[i];
        }
    }
    fail_msg("no candidate of kind %s", kind);
    return &w->candidates[0];
}

static const struct adit_why_candidate *candidate_at(const struct adit_why *w,
                                                     const struct addr *at)
{
    for (size_t i = 0; i < w->candidate_count; i++) {
        if (addr_equal(&w->candidates[i].address, at)) {
            return &w->candidates[i];
        }
    }
    fail_msg("no candidate with that address");
    return &w->candidates[0];
}

static void easy_nats_are_direct(void **state)
{
    (void)state;
    struct fleet_config config = nats(&eim_apdf, &eim_apdf, 1);
    struct fleet *f = talking(&config, S(3));
    struct adit_why w = why(f, 0);
    assert_says(w.text, "direct: ");
    assert_false(w.searching);
    assert_string_equal(w.our_mapping, "endpoint-independent");
    const struct adit_why_path *direct = path_of(&w, ADIT_PATH_DIRECT);
    assert_true(direct->used && direct->trusted && direct->answered && !direct->extra_socket);
    assert_true(direct->bytes_sent > 100 && direct->proof_ns < S(4));
    assert_in_range(direct->rtt_ns, MS(40), MS(70)); /* with the delay of acknowledgements */
    assert_says(direct->reason, "in use");
    assert_says(path_of(&w, ADIT_PATH_RELAY)->reason, "a direct path comes before");
    const struct adit_why_candidate *c = candidate_at(&w, &direct->address);
    assert_true(c->answered);
    assert_string_equal(c->reason, "in use");
    assert_true(w.own_count > 0);
    fleet_free(f);
}

static void two_hard_nats_stay_on_the_relay(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &edm_random, 2);
    struct fleet *f = talking(&config, S(20));
    struct adit_why w = why(f, 0);
    assert_says(w.text, "both NATs");
    assert_true(w.searching && w.search_ns >= S(9));
    assert_string_equal(w.their_nat, "hard");
    assert_says(path_of(&w, ADIT_PATH_RELAY)->reason, "no direct path is trusted");
    const struct adit_why_candidate *c = candidate_of(&w, "server-reflexive");
    assert_true(!c->answered && c->probes > 3 && c->age_ns < S(6));
    assert_says(c->reason, "maps each destination");
    fleet_free(f);
}

/* Each side blames the NAT that it is. */
static void one_hard_nat_without_guessing(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &eim_apdf, 3);
    struct fleet *f = talking(&config, S(20));
    struct adit_why hard = why(f, 0), easy = why(f, 1);
    assert_says(hard.text, "guessing ports is switched off");
    assert_says(easy.text, "guessing ports is switched off");
    assert_string_equal(easy.birthday, "off");
    assert_says(candidate_of(&hard, "server-reflexive")->reason, "our NAT sends from another port");
    assert_says(candidate_of(&easy, "server-reflexive")->reason, "the peer's NAT maps");
    fleet_free(f);
}

static void one_hard_nat_with_guessing_uses_a_socket_of_its_own(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &eim_apdf, 4);
    config.birthday_sockets = 256;
    struct fleet *f = talking(&config, S(20));
    struct adit_why w = why(f, 0);
    assert_says(w.text, "direct: ");
    assert_true(path_of(&w, ADIT_PATH_DIRECT)->extra_socket);
    w = why(f, 1);
    assert_false(path_of(&w, ADIT_PATH_DIRECT)->extra_socket);
    fleet_free(f);
}

static void without_search_it_says_so(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_why", 5);
    config.blind = true;
    config.no_udp = true;
    struct fleet *f = talking(&config, S(3));
    struct adit_why w = why(f, 0); /* without NATs nodes of this fleet do not punch */
    assert_says(w.text, "switched off here");
    assert_int_equal(w.candidate_count, 0);
    fleet_free(f);
}

static void a_path_that_was_cut_is_remembered(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_why", 6);
    struct fleet *f = talking(&config, S(3));
    struct adit_why w = why(f, 0);
    assert_true(path_of(&w, ADIT_PATH_DIRECT)->used);
    fleet_udp(f, false);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 2000000, .down = 1});
    fleet_run(f, S(6)); /* in doubt first, then given up */
    w = why(f, 0);
    const struct adit_why_path *direct = path_of(&w, ADIT_PATH_DIRECT);
    assert_false(direct->used);
    assert_true(direct->answered && !direct->trusted);
    assert_says(direct->reason, "left: ");
    assert_says(w.text, "relay: ");
    fleet_free(f);
}

/* Between the first silence and the end of a path, or its next answer. */
static void doubt_is_named(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_why", 8);
    struct fleet *f = talking(&config, S(3));
    fleet_udp(f, false);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 2000000, .down = 1});
    fleet_run(f, S(1));
    struct adit_why w = why(f, 0);
    assert_says(w.text, "direct, but in doubt");
    assert_says(path_of(&w, ADIT_PATH_DIRECT)->reason, "in doubt: ");
    assert_says(path_of(&w, ADIT_PATH_RELAY)->reason, "while the direct path is in doubt");
    fleet_run(f, S(5));
    w = why(f, 0);
    assert_says(w.text, "relay: ");
    fleet_free(f);
}

static void without_a_session_it_says_so(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_why", 7);
    struct fleet *f = fleet_new(&config);
    fleet_start(f, 0);
    fleet_run(f, S(1));
    struct adit_why w = why(f, 0);
    assert_says(w.text, "has not answered a handshake yet");
    fleet_run(f, S(120));
    w = why(f, 0);
    assert_says(w.text, "none was wanted");
    assert_int_equal(w.state, ADIT_PEER_IDLE);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(easy_nats_are_direct),
        cmocka_unit_test(two_hard_nats_stay_on_the_relay),
        cmocka_unit_test(one_hard_nat_without_guessing),
        cmocka_unit_test(one_hard_nat_with_guessing_uses_a_socket_of_its_own),
        cmocka_unit_test(without_search_it_says_so),
        cmocka_unit_test(a_path_that_was_cut_is_remembered),
        cmocka_unit_test(doubt_is_named),
        cmocka_unit_test(without_a_session_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
