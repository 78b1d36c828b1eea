/* A relay on libuv with peers on plain sockets, stepped by hand; the peers come as `way` says. */
#ifndef TESTS_UNIT_LOOP_RELAY_FIXTURE_H
#define TESTS_UNIT_LOOP_RELAY_FIXTURE_H

#include "loop/relay_uv.h"

#include "support/certs.h"
#include "support/derp_peer.h"
#include "wire/derp.h"

#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PEERS = 3 };

#define DEADLINE_NS (60 * NS_PER_S)

/* How peers come; every test is run with each. */
static struct {
    bool tls, websocket;
} way;

struct fixture {
    struct certs certs;
    struct tls_context *server_tls, *client_tls;
    uv_loop_t loop;
    struct relay_uv *relay;
    struct addr where;
    struct derp_peer *peers;
    size_t count;
    struct pcg pcg;
    bool stopped;
};

static inline void key_of(uint8_t seed, uint8_t out[32])
{
    uint8_t secret[32];
    memset(secret, seed, sizeof(secret));
    crypto_scalarmult_base(out, secret);
}

static inline void open_tls(struct fixture *f)
{
#ifdef ADIT_TLS
    char why[TLS_WHY_MAX];
    uint8_t pin[1][TLS_PIN_LEN];
    struct tls_client_options options = {
        .host = "relay.test", .pins = (const uint8_t(*)[TLS_PIN_LEN])pin, .pin_count = 1};
    certs_open(&f->certs);
    certs_make(&f->certs, "relay", &(struct certs_options){0});
    certs_pin(&f->certs, "relay", pin[0]);
    assert_int_equal(tls_server_new(certs_path(&f->certs, "relay", "crt"),
                                    certs_path(&f->certs, "relay", "key"), &f->server_tls, why),
                     0);
    assert_int_equal(tls_client_new(&options, &f->client_tls, why), 0);
    certs_close(&f->certs);
#else
    (void)f;
#endif
}

static inline void open_fixture(struct fixture *f, struct relay_server_config *server)
{
    struct addr any = addr_ipv4(127, 0, 0, 1, 0);
    memset(f, 0, sizeof(*f));
    if (way.tls) {
        open_tls(f);
    }
    memset(server->secret, 77, sizeof(server->secret));
    server->rng = pcg_rng(&f->pcg, 5);
    struct relay_uv_config config = {.listen = &any,
                                     .listen_count = way.tls ? 0 : 1,
                                     .listen_tls = &any,
                                     .listen_tls_count = way.tls ? 1 : 0,
                                     .tls = f->server_tls,
                                     .server = *server};
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(relay_uv_start(&f->loop, &config, &f->relay), 0);
    assert_int_equal(relay_uv_address(f->relay, 0, &f->where), 0);
    assert_int_equal(relay_uv_address(f->relay, 1, &any), ERR_NOT_FOUND);
    assert_true(f->where.port != 0);
    f->peers = calloc(PEERS, sizeof(*f->peers));
    assert_non_null(f->peers);
}

static inline void on_stopped(void *user)
{
    *(bool *)user = true;
}

static inline void close_peers(struct fixture *f)
{
    for (size_t i = 0; i < f->count; i++) {
        derp_peer_close(&f->peers[i]);
    }
    free(f->peers);
    tls_context_free(f->client_tls);
    tls_context_free(f->server_tls);
}

static inline void close_fixture(struct fixture *f)
{
    relay_uv_stop(f->relay, on_stopped, &f->stopped);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->stopped);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    close_peers(f);
}

static inline struct derp_peer *add_peer(struct fixture *f, uint8_t seed)
{
    assert_true(f->count < PEERS);
    struct derp_peer *p = &f->peers[f->count++];
    assert_true(derp_peer_open_as(p, &f->where, seed, f->client_tls, way.websocket));
    return p;
}

static inline void step(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < f->count; i++) {
        derp_peer_step(&f->peers[i]);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    derp_peer_wait(f->peers, f->count, 1);
}

/* Steps until *value reaches `least`; a test that waits for DEADLINE_NS has failed. */
static inline void run_until(struct fixture *f, const unsigned *value, unsigned least)
{
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (*value < least) {
        assert_true(derp_peer_now() < end);
        step(f);
    }
}

#endif
