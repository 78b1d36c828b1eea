/* The relay for the program (include/adit/relay.h): relay_uv.h and a STUN server beside it. */
#include <adit/relay.h>

#include <base/err.h>
#include <base/mem.h>

#include <string.h>

#include "loop/relay_uv.h"
#include "loop/udp_uv.h"
#include "os/sysrng.h"
#include "os/tls.h"
#include "relay/stun_server.h"

struct adit_relay {
    struct relay_uv *uv;
    struct tls_context *tls; /* NULL = none */
    const struct log *log;
    struct udp_uv *stun; /* NULL = none */
    struct stun_server server;
    void (*stopped)(void *user);
    void *user;
};

/* --- STUN --- */

/* An answer that the socket does not take is lost, as the network may lose it: clients ask again.
 */
static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    struct adit_relay *r = user;
    struct udp_datagram d;
    uint8_t reply[STUN_SERVER_REPLY_MAX];
    while (udp_batch_next(batch, &d)) {
        size_t len = stun_server_input(&r->server, &d.from, d.data, d.len, reply, now);
        if (len > 0) {
            (void)udp_uv_send(r->stun, &d.from, reply, len, 0, NULL);
        }
    }
}

static void on_writable(void *user, uint64_t now)
{
    (void)user;
    (void)now;
}

static int start_stun(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                      struct adit_relay *r)
{
    static const struct udp_uv_callbacks callbacks = {.on_batch = on_batch,
                                                      .on_writable = on_writable};
    struct udp_options options = {.bind = &config->stun};
    char text[ADDR_TEXT_MAX];
    if (config->stun.family == ADDR_NONE) {
        return 0;
    }
    stun_server_init(&r->server, sys_rng());
    int err = udp_uv_open(loop, &options, NULL, &callbacks, r, &r->stun);
    if (err != 0) {
        LOG_AT(config->log, LOG_ERROR, "stun_server", "not_bound", "address=%s why=\"%s\"",
               addr_format(&config->stun, text), uv_strerror(err));
    }
    return err;
}

/* --- TLS --- */

static void log_certificate(const struct adit_relay *r, const char *event)
{
    char text[TLS_WHY_MAX];
    LOG_AT(r->log, LOG_INFO, "tls", event, "%s", tls_server_describe(r->tls, text));
}

static int start_tls(const struct adit_relay_server_config *config, struct adit_relay *r)
{
    char why[TLS_WHY_MAX];
    if (config->listen_tls_count == 0) {
        return 0;
    }
    int err = tls_server_new(config->cert, config->cert_key, &r->tls, why);
    if (err) {
        LOG_AT(r->log, LOG_ERROR, "tls", "not_usable", "why=\"%s\"", why);
    } else {
        log_certificate(r, "certificate");
    }
    return err;
}

int adit_relay_reload_tls(struct adit_relay *r)
{
    char why[TLS_WHY_MAX];
    int err = r->tls ? tls_server_reload(r->tls, why) : 0;
    if (err) {
        LOG_AT(r->log, LOG_ERROR, "tls", "not_reloaded", "why=\"%s\"", why);
    } else if (r->tls) {
        log_certificate(r, "reloaded");
    }
    return err;
}

/* --- both --- */

static int start_relay(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                       struct adit_relay *r)
{
    struct relay_uv_config uv = {
        .listen = config->listen,
        .listen_count = config->listen_count,
        .listen_tls = config->listen_tls,
        .listen_tls_count = config->listen_tls_count,
        .tls = r->tls,
        .server = {.open = config->open,
                   .allowed = config->allow,
                   .allowed_count = config->allow_count,
                   .limits = {.clients_max = config->clients_max,
                              .clients_per_address_max = config->clients_per_address_max,
                              .queue_packets_max = config->queue_packets_max,
                              .rate_bytes_per_s = config->rate_bytes_per_s},
                   .rng = sys_rng(),
                   .log = config->log},
    };
    memcpy(uv.server.secret, config->secret, sizeof(uv.server.secret));
    int err = relay_uv_start(loop, &uv, &r->uv);
    adit_key_wipe(uv.server.secret, sizeof(uv.server.secret));
    return err;
}

int adit_relay_start(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                     struct adit_relay **out)
{
    struct adit_relay *r = mem_new(1, sizeof(*r));
    if (!r) {
        return ERR_NO_MEMORY;
    }
    r->log = config->log;
    int err = start_tls(config, r);
    if (err == 0) {
        err = start_stun(loop, config, r);
    }
    if (err == 0) {
        err = start_relay(loop, config, r);
    }
    if (err != 0) {
        tls_context_free(r->tls);
        if (r->stun) {
            udp_uv_close(r->stun);
        }
        mem_free(r);
        return err;
    }
    *out = r;
    return 0;
}

bool adit_relay_address(const struct adit_relay *r, size_t i, struct addr *out)
{
    return relay_uv_address(r->uv, i, out) == 0;
}

bool adit_relay_stun_address(const struct adit_relay *r, struct addr *out)
{
    return r->stun && udp_uv_local(r->stun, out) == 0;
}

static void on_stopped(void *user)
{
    struct adit_relay *r = user;
    if (r->stopped) {
        r->stopped(r->user);
    }
    tls_context_free(r->tls);
    mem_free(r);
}

void adit_relay_stop(struct adit_relay *r, void (*stopped)(void *user), void *user)
{
    r->stopped = stopped;
    r->user = user;
    if (r->stun) {
        udp_uv_close(r->stun);
        r->stun = NULL;
    }
    relay_uv_stop(r->uv, on_stopped, r);
}
