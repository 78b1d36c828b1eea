/* The relay for the program (include/adit/relay.h): relay_uv.h and a STUN server beside it. */
#include <adit/relay.h>

#include <base/err.h>
#include <base/mem.h>

#include <string.h>

#include "loop/relay_uv.h"
#include "loop/stun_uv.h"
#include "os/sysrng.h"
#include "os/tls.h"

struct adit_relay {
    struct relay_uv *uv;
    struct tls_context *tls; /* NULL = none */
    const struct log *log;
    struct stun_uv *stun; /* NULL = none */
    void (*stopped)(void *user);
    void *user;
};

static struct relay_server_config server_config(const struct adit_relay_server_config *config,
                                                const struct adit_relay *r)
{
    struct relay_server_config c = {
        .open = config->open,
        .allowed = config->allow,
        .allowed_count = config->allow_count,
        .metrics = config->metrics,
        .metrics_count = config->metrics_count,
        .limits = {.clients_max = config->clients_max,
                   .clients_per_address_max = config->clients_per_address_max,
                   .queue_packets_max = config->queue_packets_max,
                   .rate_bytes_per_s = config->rate_bytes_per_s,
                   .rate_burst_bytes = config->burst_bytes},
        .stun = r->stun ? stun_uv_stats(r->stun) : NULL,
        .rng = sys_rng(),
        .log = config->log,
    };
    return c;
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

static void reload_tls(const struct adit_relay_server_config *config, struct adit_relay *r)
{
    char why[TLS_WHY_MAX];
    if (!r->tls || !config->cert || !config->cert_key) {
        return;
    }
    if (tls_server_reload(r->tls, config->cert, config->cert_key, why)) {
        LOG_AT(r->log, LOG_ERROR, "tls", "not_reloaded", "why=\"%s\"", why);
    } else {
        log_certificate(r, "certificate");
    }
}

/* --- all of it --- */

static int start_relay(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                       struct adit_relay *r)
{
    struct relay_uv_config uv = {
        .listen = config->listen,
        .listen_count = config->listen_count,
        .listen_tls = config->listen_tls,
        .listen_tls_count = config->listen_tls_count,
        .tls = r->tls,
        .server = server_config(config, r),
    };
    const struct cluster_nats_config cluster = {
        .urls = config->cluster,
        .url_count = config->cluster_count,
        .credentials = config->cluster_credentials,
        .ca = config->cluster_ca,
        .secret = config->cluster_secret,
    };
    uv.cluster = config->cluster_count > 0 ? &cluster : NULL;
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
    if (err == 0 && config->stun_count > 0) {
        err = stun_uv_start(loop, config->stun, config->stun_count, config->log, &r->stun);
    }
    if (err == 0) {
        err = start_relay(loop, config, r);
    }
    if (err != 0) {
        tls_context_free(r->tls);
        if (r->stun) {
            stun_uv_stop(r->stun);
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

bool adit_relay_stun_address(const struct adit_relay *r, size_t i, struct addr *out)
{
    return r->stun && stun_uv_address(r->stun, i, out) == 0;
}

int adit_relay_reload(struct adit_relay *r, const struct adit_relay_server_config *config)
{
    struct relay_server_config c = server_config(config, r);
    int err = relay_uv_reload(r->uv, &c);
    if (err == 0) {
        reload_tls(config, r);
    }
    return err;
}

/* The STUN server goes last: its counters are told by the other one. */
static void on_stopped(void *user)
{
    struct adit_relay *r = user;
    if (r->stun) {
        stun_uv_stop(r->stun);
    }
    if (r->stopped) {
        r->stopped(r->user);
    }
    tls_context_free(r->tls);
    mem_free(r);
}

void adit_relay_drain(struct adit_relay *r, uint64_t wait_ns, void (*stopped)(void *user),
                      void *user)
{
    r->stopped = stopped;
    r->user = user;
    relay_uv_drain(r->uv, wait_ns, on_stopped, r);
}

void adit_relay_stop(struct adit_relay *r, void (*stopped)(void *user), void *user)
{
    r->stopped = stopped;
    r->user = user;
    relay_uv_stop(r->uv, on_stopped, r);
}
