/* A network that spoils packets, and strangers that send their own. */
#include "crypto/handshake.h"
#include "sim/fleet.h"
#include "wire/params.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define KB UINT64_C(1000)

/* What passes the filter: drops chosen packets, remembers others. */
enum { TAPE_MAX = 400 };
struct tape {
    size_t count;      /* of datagrams that left so far */
    size_t drop_at;    /* this one is lost; SIZE_MAX = none */
    size_t drop_count; /* and so many more */
    size_t kept;
    struct {
        size_t from, len;
        uint8_t data[1500];
    } packets[TAPE_MAX];
};

static bool pass(struct fleet *f, size_t from, size_t to, const uint8_t *data, size_t len)
{
    struct tape *t = f->user;
    (void)to;
    if (t->kept < TAPE_MAX && len <= sizeof(t->packets[0].data)) {
        t->packets[t->kept].from = from;
        t->packets[t->kept].len = len;
        memcpy(t->packets[t->kept++].data, data, len);
    }
    size_t n = t->count++;
    return n < t->drop_at || n - t->drop_at >= t->drop_count;
}

static struct fleet *fleet_with_tape(uint64_t seed, const struct link_config *udp)
{
    struct fleet_config config = fleet_config_default("sim_node_strange", seed);
    config.relays = 0;
    if (udp) {
        config.udp = *udp;
    }
    struct fleet *f = fleet_new(&config);
    struct tape *t = mem_new(1, sizeof(*t));
    assert_non_null(t);
    t->drop_at = SIZE_MAX;
    f->filter = pass;
    f->user = t;
    return f;
}

static void end(struct fleet *f)
{
    mem_free(f->user);
    fleet_free(f);
}

static void assert_done(const struct fleet *f, uint64_t streams)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, streams);
        assert_int_equal(f->nodes[i].app.resets, 0);
    }
}

/* --- lost and spoiled --- */

static void any_of_the_first_packets_is_lost(void **state)
{
    (void)state;
    for (size_t k = 0; k < 12; k++) {
        for (size_t count = 1; count <= 3; count++) {
            struct fleet *f = fleet_with_tape(100 * count + k, NULL);
            struct tape *t = f->user;
            t->drop_at = k;
            t->drop_count = count;
            fleet_start_all(f);
            fleet_open(f, k % 2, 1 - k % 2, (struct fleet_plan){.up = 20 * KB, .down = 20 * KB});
            uint64_t took = fleet_finish(f, S(5));
            assert_true(took < MS(500) + S(1) * count);
            assert_done(f, 1);
            end(f);
        }
    }
}

static void a_network_that_does_everything_wrong(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 6; i++) {
        struct link_config udp = {.rate_bps = 50000000,
                                  .delay_ns = MS(20),
                                  .jitter_ns = i % 2 ? MS(30) : 0,
                                  .queue_bytes = 500000,
                                  .mtu = 1500,
                                  .loss_ppm = i < 3 ? 30000 : 0,
                                  .duplicate_ppm = i == 2 || i == 5 ? 1000000 : 100000,
                                  .corrupt_ppm = 20000};
        struct fleet *f = fleet_with_tape(10 + i, &udp);
        fleet_start_all(f);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000 * KB, .down = 1000 * KB});
        fleet_open(f, 1, 0, (struct fleet_plan){.up = 1000 * KB, .down = 1000 * KB});
        fleet_finish(f, S(60));
        assert_done(f, 2);
        fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
        assert_true(fleet_counters(f, 0).packets_unauthentic > 0);
        assert_int_equal(fleet_counters(f, 0).packets_protocol, 0);
        assert_int_equal(fleet_stats(f, 0, 1).restarts_seen, 0);
        end(f);
    }
}

static void both_ask_at_once_while_packets_get_lost(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 30; i++) {
        struct link_config udp = {.rate_bps = 50000000,
                                  .delay_ns = MS(20),
                                  .jitter_ns = MS(3) * i,
                                  .queue_bytes = 500000,
                                  .mtu = 1500,
                                  .loss_ppm = 300000};
        struct fleet *f = fleet_with_tape(30 + i, &udp);
        fleet_start_all(f);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 10 * KB, .down = 10 * KB});
        fleet_open(f, 1, 0, (struct fleet_plan){.up = 10 * KB, .down = 10 * KB});
        fleet_finish(f, S(40));
        assert_done(f, 2);
        end(f);
    }
}

/* --- replays --- */

static uint64_t refused(const struct adit_counters *c)
{
    return c->packets_unknown + c->packets_no_session + c->packets_unauthentic +
           c->packets_replayed + c->handshakes_bad_mac + c->handshakes_unknown +
           c->handshakes_invalid + c->handshakes_replayed + c->handshakes_limited;
}

/* Everything that was ever sent comes again, from where it came and from elsewhere. */
static void replays_change_nothing(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        struct fleet *f = fleet_with_tape(70 + i, NULL);
        struct tape *t = f->user;
        fleet_start_all(f);
        uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 100 * KB, .endless = true});
        fleet_run(f, i == 0 ? S(5) : S(400)); /* with the keys of then, or later ones */
        struct adit_peer_stats before[2] = {fleet_stats(f, 0, 1), fleet_stats(f, 1, 0)};
        uint64_t sent = f->nodes[0].datagrams_out + f->nodes[1].datagrams_out;
        uint64_t count = refused(&(struct adit_counters){0});
        size_t kept = t->kept;
        assert_true(kept > 30);
        for (size_t k = 0; k < 3 * kept; k++) {
            size_t n = k % kept;
            size_t to = 1 - t->packets[n].from;
            struct addr from = f->nodes[t->packets[n].from].addr;
            from.port = (uint16_t)(from.port + k / kept);
            struct adit_counters c = fleet_counters(f, to);
            count = refused(&c);
            fleet_inject(f, to, &from, t->packets[n].data, t->packets[n].len);
            c = fleet_counters(f, to);
            assert_int_equal(refused(&c), count + 1);
        }
        assert_int_equal(f->nodes[0].datagrams_out + f->nodes[1].datagrams_out, sent);
        for (size_t k = 0; k < 2; k++) {
            struct adit_peer_stats after = fleet_stats(f, k, 1 - k);
            assert_int_equal(after.path_changes, before[k].path_changes);
            assert_int_equal(after.restarts_seen, 0);
            assert_int_equal(after.heard_age_ns, before[k].heard_age_ns);
            assert_int_equal(after.handshake_age_ns, before[k].handshake_age_ns);
            assert_true(addr_equal(&after.path.address, &before[k].path.address));
        }
        fleet_app_finish(&f->nodes[0].app, id);
        fleet_finish(f, S(1));
        assert_done(f, 1);
        end(f);
    }
}

/* --- strangers --- */

static const struct addr *stranger(uint64_t n)
{
    static struct addr addr;
    addr = addr_ipv4(203, 0, (uint8_t)(n >> 8), (uint8_t)n, 5000);
    return &addr;
}

/* A node with one idle peer, to be sent things; silent from now on. */
static struct fleet *silent_node(uint64_t seed)
{
    struct fleet *f = fleet_with_tape(seed, NULL);
    fleet_start_all(f);
    fleet_run(f, S(300));
    f->nodes[0].datagrams_out = 0;
    return f;
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

static void random_bytes_are_met_with_silence(void **state)
{
    (void)state;
    struct fleet *f = silent_node(200);
    struct adit_counters c = fleet_counters(f, 0);
    uint64_t count = refused(&c);
    size_t bytes = allocated();
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t data[300];
        size_t len = rng_below(f->world.rng, sizeof(data) + 1);
        rng_fill(f->world.rng, data, len);
        if (len > 0 && i % 4 != 0) {
            data[0] = (uint8_t)(0x81 + i % 4);
        }
        fleet_inject(f, 0, stranger(i), data, len);
    }
    assert_int_equal(allocated(), bytes);
    c = fleet_counters(f, 0);
    assert_int_equal(refused(&c), count + 20000);
    assert_int_equal(f->nodes[0].datagrams_out, 0);
    end(f);
}

/* A stranger with a key of its own that knows ours. */
struct caller {
    struct key_pair keys;
    struct cookie_jar jar;
    struct handshake hs;
};

static void caller_init(struct caller *c, struct fleet *f)
{
    assert_int_equal(key_pair_generate(&c->keys, f->world.rng), 0);
    cookie_jar_init(&c->jar, &f->nodes[0].keys.public);
}

static size_t call(struct caller *c, struct fleet *f, uint8_t out[HANDSHAKE_MAX])
{
    static const uint8_t psk[32];
    struct params params = {.timestamp_ns = UINT64_MAX,
                            .epoch = 1,
                            .version = PARAMS_VERSION,
                            .aead = PARAMS_AEAD_CHACHA20POLY1305};
    uint8_t payload[PARAMS_LEN_MAX];
    struct handshake_draft draft = {.index = 5,
                                    .payload = payload,
                                    .payload_len = params_encode(payload, &params),
                                    .jar = &c->jar,
                                    .rng = f->world.rng,
                                    .now = f->world.now};
    handshake_start(&c->hs, &c->keys, &f->nodes[0].keys.public, psk);
    int len = handshake_write_initiation(&c->hs, &draft, out, HANDSHAKE_MAX);
    assert_true(len > 0);
    return (size_t)len;
}

static void a_key_that_is_no_peers_is_met_with_silence(void **state)
{
    (void)state;
    struct fleet *f = silent_node(201);
    struct caller c;
    uint8_t packet[HANDSHAKE_MAX];
    caller_init(&c, f);
    for (uint64_t i = 1; i <= 20; i++) {
        size_t len = call(&c, f, packet);
        fleet_inject(f, 0, stranger(0), packet, len);
        assert_int_equal(fleet_counters(f, 0).handshakes_unknown, i);
    }
    assert_int_equal(f->nodes[0].datagrams_out, 0);
    end(f);
}

/* Each byte of each message of a true handshake, bent; each length cut off. The true message still
 * does its work afterwards. */
static void bent_and_cut_handshakes_are_met_with_silence(void **state)
{
    (void)state;
    for (size_t message = 0; message < 2; message++) {
        struct fleet *f = fleet_with_tape(202 + message, NULL);
        struct tape *t = f->user;
        fleet_start(f, 1);
        fleet_run(f, S(60));
        t->kept = 0;
        t->drop_at = t->count + message; /* the initiation, or the response */
        t->drop_count = 1;
        fleet_start(f, 0);
        fleet_run(f, MS(30));
        assert_int_equal(t->kept, message + 1);
        uint8_t packet[1500];
        size_t len = t->packets[message].len;
        size_t to = 1 - message;
        memcpy(packet, t->packets[message].data, len);
        uint64_t sent = f->nodes[to].datagrams_out;
        for (size_t i = 0; i < len; i++) {
            packet[i] ^= (uint8_t)(1 << i % 8);
            fleet_inject(f, to, &f->nodes[1 - to].addr, packet, len);
            fleet_inject(f, to, &f->nodes[1 - to].addr, t->packets[message].data, i);
            packet[i] ^= (uint8_t)(1 << i % 8);
        }
        /* The second MAC counts only under load, and nobody looks at those of a response. */
        assert_true(f->nodes[to].datagrams_out - sent <= (message == 0 ? 1 : 4));
        assert_int_equal(fleet_counters(f, to).handshakes_done, message);
        end(f);
    }
}

static void a_flood_of_strangers_does_not_shut_out_a_peer(void **state)
{
    (void)state;
    for (size_t relays = 0; relays < 2; relays++) {
        struct fleet_config config = fleet_config_default("sim_node_strange", 210 + relays);
        config.relays = relays;
        struct fleet *f = fleet_new(&config);
        struct caller c;
        caller_init(&c, f);
        fleet_start(f, 0);
        fleet_run(f, S(60));
        fleet_udp(f, relays == 0);
        f->nodes[0].datagrams_out = 0;
        uint8_t packet[HANDSHAKE_MAX];
        size_t len = call(&c, f, packet);
        for (uint64_t i = 0; i < 3000; i++) {
            fleet_inject(f, 0, stranger(i), packet, len);
            if (i == 1000) {
                fleet_start(f, 1);
                fleet_open(f, 1, 0, (struct fleet_plan){.up = 10 * KB, .down = 10 * KB});
            }
            fleet_run(f, MS(1));
        }
        assert_true(fleet_counters(f, 0).handshakes_unknown <= 4 * 64 + 1);
        assert_true(fleet_counters(f, 0).handshakes_limited > 2700);
        fleet_finish(f, S(1));
        assert_int_equal(f->nodes[0].app.completed, 1);
        fleet_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_of_the_first_packets_is_lost),
        cmocka_unit_test(a_network_that_does_everything_wrong),
        cmocka_unit_test(both_ask_at_once_while_packets_get_lost),
        cmocka_unit_test(replays_change_nothing),
        cmocka_unit_test(random_bytes_are_met_with_silence),
        cmocka_unit_test(a_key_that_is_no_peers_is_met_with_silence),
        cmocka_unit_test(bent_and_cut_handshakes_are_met_with_silence),
        cmocka_unit_test(a_flood_of_strangers_does_not_shut_out_a_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
