/* `adit relay`: the [server] of an ini, until a signal. */
#include "app/daemon.h"

#include "app/load.h"
#include "app/logsink.h"

#include <adit/relay.h>

#include <string.h>
#include <sysexits.h>

struct relay_daemon {
    struct daemon daemon;
    struct config *config;
    struct logsink sink;
    uint8_t secret[ADIT_KEY_LEN];
    struct adit_relay *relay; /* NULL if it could not start */
};

/* The loop ends by itself once the relay's sockets are closed. */
static void on_stopped(void *user)
{
    (void)user;
}

static void stop_relay(void *user)
{
    struct relay_daemon *r = user;
    LOG_AT(&r->sink.log, LOG_INFO, "app", "stopping", "relay");
    if (r->relay) {
        adit_relay_stop(r->relay, on_stopped, NULL);
    }
}

static int start(struct relay_daemon *r)
{
    const struct config_server *s = &r->config->server;
    _Static_assert(sizeof(struct config_public_key) == ADIT_KEY_LEN, "a key is just its bytes");
    union {
        const struct config_public_key *in;
        const uint8_t (*out)[ADIT_KEY_LEN];
    } keys = {.in = s->allow.items};
    struct adit_relay_server_config c = {
        .listen = s->listen.items,
        .listen_count = s->listen.count,
        .listen_tls = s->listen_tls.items,
        .listen_tls_count = s->listen_tls.count,
        .cert = s->cert,
        .cert_key = s->cert_key,
        .stun = s->stun,
        .allow = keys.out,
        .allow_count = s->allow.count,
        .open = s->open,
        .clients_max = (uint32_t)s->clients_max,
        .clients_per_address_max = (uint32_t)s->clients_per_address_max,
        .queue_packets_max = (uint32_t)s->queue_packets,
        .rate_bytes_per_s = s->rate,
        .log = &r->sink.log,
    };
    memcpy(c.secret, r->secret, sizeof(c.secret));
    int err = adit_relay_start(&r->daemon.loop, &c, &r->relay);
    adit_key_wipe(c.secret, sizeof(c.secret));
    return err;
}

static void log_addresses(const struct relay_daemon *r)
{
    struct addr at;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; adit_relay_address(r->relay, i, &at); i++) {
        LOG_AT(&r->sink.log, LOG_INFO, "relay", "serving", "address=%s", addr_format(&at, text));
    }
    if (adit_relay_stun_address(r->relay, &at)) {
        LOG_AT(&r->sink.log, LOG_INFO, "stun", "serving", "address=%s", addr_format(&at, text));
    }
}

static int run(struct relay_daemon *r)
{
    int code = daemon_init(&r->daemon, stop_relay, r);
    if (code != 0) {
        return code;
    }
    logsink_init(&r->sink, r->config->node.log, NULL);
    int err = start(r);
    if (err == 0) {
        log_addresses(r);
    } else {
        daemon_stop(&r->daemon);
    }
    daemon_loop(&r->daemon);
    daemon_deinit(&r->daemon);
    return daemon_exit_code(err);
}

static int load(struct relay_daemon *r, const char *ini)
{
    int code = load_config(ini, stderr, &r->config);
    if (code == 0 && !r->config->server.given) {
        (void)fprintf(stderr, "adit: %s: there is no [server] section\n", ini);
        code = EX_CONFIG;
    }
    return code ? code
                : load_key_file(&r->config->server.key, ini, "[server] key", stderr, r->secret);
}

int daemon_run_relay(const char *ini)
{
    struct relay_daemon r = {0};
    int code = load(&r, ini);
    if (code == 0) {
        code = run(&r);
    }
    adit_key_wipe(r.secret, sizeof(r.secret));
    config_free(r.config);
    return code;
}
