/* `adit relay`: the [server] of an ini, until a signal. SIGHUP reads the ini again. */
#include "app/daemon.h"

#include "app/load.h"
#include "app/logsink.h"

#include <adit/relay.h>

#include <string.h>
#include <sysexits.h>

struct relay_daemon {
    struct daemon daemon;
    const char *ini;
    struct config *config; /* that it was started with */
    uint64_t drain_ns;
    struct logsink sink;
    uint8_t secret[ADIT_KEY_LEN];
    uint8_t cluster_secret[ADIT_KEY_LEN]; /* zeros if there is none */
    struct adit_relay *relay;             /* NULL if it could not start */
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
        adit_relay_drain(r->relay, r->drain_ns, on_stopped, NULL);
    }
}

static struct adit_relay_server_config server_config(const struct relay_daemon *r,
                                                     const struct config_server *s)
{
    _Static_assert(sizeof(struct config_public_key) == ADIT_KEY_LEN, "a key is just its bytes");
    union {
        const struct config_public_key *in;
        const uint8_t (*out)[ADIT_KEY_LEN];
    } keys = {.in = s->allow.items};
    union {
        char *const *in;
        const char *const *out;
    } cluster = {.in = s->cluster.items};
    return (struct adit_relay_server_config){
        .listen = s->listen.items,
        .listen_count = s->listen.count,
        .listen_tls = s->listen_tls.items,
        .listen_tls_count = s->listen_tls.count,
        .cert = s->cert,
        .cert_key = s->cert_key,
        .stun = s->stun.items,
        .stun_count = s->stun.count,
        .allow = keys.out,
        .allow_count = s->allow.count,
        .open = s->open,
        .metrics = s->metrics.items,
        .metrics_count = s->metrics.count,
        .clients_max = (uint32_t)s->clients_max,
        .clients_per_address_max = (uint32_t)s->clients_per_address_max,
        .queue_packets_max = (uint32_t)s->queue_packets,
        .rate_bytes_per_s = s->rate,
        .burst_bytes = s->burst,
        .cluster = cluster.out,
        .cluster_count = s->cluster.count,
        .cluster_credentials = s->cluster_credentials,
        .cluster_ca = s->cluster_ca,
        .cluster_secret = s->cluster_secret.path ? r->cluster_secret : NULL,
        .log = &r->sink.log,
    };
}

static int start(struct relay_daemon *r)
{
    struct adit_relay_server_config c = server_config(r, &r->config->server);
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
    for (size_t i = 0; adit_relay_stun_address(r->relay, i, &at); i++) {
        LOG_AT(&r->sink.log, LOG_INFO, "stun", "serving", "address=%s", addr_format(&at, text));
    }
}

static int load(const char *ini, struct config **out)
{
    int code = load_config(ini, stderr, out);
    if (code == 0 && !(*out)->server.given) {
        (void)fprintf(stderr, "adit: %s: there is no [server] section\n", ini);
        config_free(*out);
        *out = NULL;
        code = EX_CONFIG;
    }
    return code;
}

static bool same_addrs(const struct config_addrs *a, const struct config_addrs *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        same = addr_equal(&a->items[i], &b->items[i]);
    }
    return same;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_texts(const struct config_cluster *a, const struct config_cluster *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

/* What only a restart changes is said, so that nobody waits for it. */
static void warn_of_the_rest(const struct relay_daemon *r, const struct config_server *now)
{
    const struct config_server *was = &r->config->server;
    const struct {
        const char *key;
        bool same;
    } kept[] = {
        {"listen", same_addrs(&was->listen, &now->listen)},
        {"listen_tls", same_addrs(&was->listen_tls, &now->listen_tls)},
        {"stun", same_addrs(&was->stun, &now->stun)},
        {"key", strcmp(was->key.path, now->key.path) == 0},
        {"cluster", same_texts(&was->cluster, &now->cluster)},
        {"cluster_credentials", same_text(was->cluster_credentials, now->cluster_credentials)},
        {"cluster_ca", same_text(was->cluster_ca, now->cluster_ca)},
        {"cluster_secret", same_text(was->cluster_secret.path, now->cluster_secret.path)},
    };
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (!kept[i].same) {
            LOG_AT(&r->sink.log, LOG_WARN, "app", "needs_restart", "section=server key=%s",
                   kept[i].key);
        }
    }
}

/* A bad ini has been complained about line by line then, and the old one stays. */
static void reload(void *user)
{
    struct relay_daemon *r = user;
    struct config *config = NULL;
    int err = load(r->ini, &config);
    if (err == 0) {
        struct adit_relay_server_config c = server_config(r, &config->server);
        err = adit_relay_reload(r->relay, &c);
    }
    if (err != 0) {
        LOG_AT(&r->sink.log, LOG_ERROR, "app", "not_reloaded", "ini=%s", r->ini);
        config_free(config);
        return;
    }
    warn_of_the_rest(r, &config->server);
    r->sink.log.level = config->node.log;
    r->drain_ns = config->server.drain_ns;
    LOG_AT(&r->sink.log, LOG_INFO, "app", "reloaded", "ini=%s keys=%zu open=%s", r->ini,
           config->server.allow.count, config->server.open ? "yes" : "no");
    config_free(config);
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
        daemon_on_hangup(&r->daemon, reload);
        log_addresses(r);
    } else {
        daemon_stop(&r->daemon);
    }
    daemon_loop(&r->daemon);
    daemon_deinit(&r->daemon);
    return daemon_exit_code(err);
}

int daemon_run_relay(const char *ini)
{
    struct relay_daemon r = {.ini = ini};
    int code = load(ini, &r.config);
    if (code == 0) {
        r.drain_ns = r.config->server.drain_ns;
        code = load_key_file(&r.config->server.key, ini, "[server] key", stderr, r.secret);
    }
    if (code == 0 && r.config->server.cluster_secret.path) {
        code = load_key_file(&r.config->server.cluster_secret, ini, "[server] cluster_secret",
                             stderr, r.cluster_secret);
    }
    if (code == 0) {
        code = run(&r);
    }
    adit_key_wipe(r.secret, sizeof(r.secret));
    adit_key_wipe(r.cluster_secret, sizeof(r.cluster_secret));
    config_free(r.config);
    return code;
}
