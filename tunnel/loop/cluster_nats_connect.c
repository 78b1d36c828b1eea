/* Connecting to one of the NATS servers, and doing so again. The library could do that by itself,
 * but keeps to itself why it cannot. Everything but nats_connect_init runs on threads that are not
 * the loop's. */
#include "loop/cluster_nats_internal.h"

#include <base/clock.h>
#include <base/err.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "os/sysrng.h"

enum {
    CONNECT_TIMEOUT_MS = 2000,
    PING_INTERVAL_MS = 2000,
    PINGS_OUT_MAX = 2,
    WRITE_DEADLINE_MS = 2000,
};

/* Before all servers are tried once more, and up to twice as long. */
#define AGAIN_NS (200 * NS_PER_MS)

static void lock(struct nats_shared *s)
{
    uv_mutex_lock(&s->lock);
}

static void unlock(struct nats_shared *s)
{
    uv_mutex_unlock(&s->lock);
}

/* --- what the library says --- */

static void set_up(struct nats_shared *s, bool up, const char *why)
{
    lock(s);
    s->losses += s->up && !up;
    s->up = up;
    (void)snprintf(s->why, sizeof(s->why), "%s", why);
    uv_cond_signal(&s->work);
    unlock(s);
    nats_shared_wake(s);
}

static void on_disconnected(natsConnection *nc, void *user)
{
    const char *why = NULL;
    (void)natsConnection_GetLastError(nc, &why);
    set_up(user, false, why ? why : "");
}

static void on_closed(natsConnection *nc, void *user)
{
    struct nats_shared *s = user;
    (void)nc;
    lock(s);
    s->closed = true;
    s->losses += s->up;
    s->up = false;
    uv_cond_signal(&s->work);
    unlock(s);
    nats_shared_wake(s);
    nats_shared_leave(s);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus err, void *user)
{
    struct nats_shared *s = user;
    (void)nc;
    (void)sub;
    lock(s);
    s->slow += err == NATS_SLOW_CONSUMER;
    (void)snprintf(s->why, sizeof(s->why), "%s", natsStatus_GetText(err));
    unlock(s);
    nats_shared_wake(s);
}

/* --- options --- */

static bool wants_tls(const struct cluster_nats_config *config)
{
    bool tls = config->ca != NULL;
    for (size_t i = 0; i < config->url_count; i++) {
        tls = tls || strncmp(config->urls[i], "tls://", 6) == 0;
    }
    return tls;
}

/* The library compares the certificate with the host of the URL. */
static natsStatus set_security(natsOptions *o, const struct cluster_nats_config *config)
{
    natsStatus err = NATS_OK;
    if (config->credentials) {
        err = natsOptions_SetUserCredentialsFromFiles(o, config->credentials, NULL);
    }
    if (err == NATS_OK && wants_tls(config)) {
        err = natsOptions_SetSecure(o, true);
    }
    if (err == NATS_OK && config->ca) {
        err = natsOptions_LoadCATrustedCertificates(o, config->ca);
    }
    return err;
}

static natsStatus first_error(const natsStatus *all, size_t count)
{
    natsStatus err = NATS_OK;
    for (size_t i = 0; i < count && err == NATS_OK; i++) {
        err = all[i];
    }
    return err;
}

/* One thread delivers, so that messages keep their order. */
static natsStatus set_habits(natsOptions *o, struct nats_shared *s)
{
    const natsStatus all[] = {
        natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS),
        natsOptions_SetAllowReconnect(o, false),
        natsOptions_SetIgnoreDiscoveredServers(o, true),
        natsOptions_SetPingInterval(o, PING_INTERVAL_MS),
        natsOptions_SetMaxPingsOut(o, PINGS_OUT_MAX),
        natsOptions_SetWriteDeadline(o, WRITE_DEADLINE_MS),
        natsOptions_SetName(o, "adit relay"),
        natsOptions_SetNoEcho(o, true),
        natsOptions_SetSendAsap(o, true), /* the library would wait 1 ms for more */
        natsOptions_UseGlobalMessageDelivery(o, true),
        natsOptions_SetDisconnectedCB(o, on_disconnected, s),
        natsOptions_SetClosedCB(o, on_closed, s),
        natsOptions_SetErrorHandler(o, on_error, s),
    };
    return first_error(all, sizeof(all) / sizeof(all[0]));
}

/* Behind the scheme and the login. */
static const char *host_of(const char *url)
{
    const char *at = strrchr(url, '@');
    const char *scheme = strstr(url, "://");
    return at ? at + 1 : scheme ? scheme + 3 : url;
}

static int add_server(struct nats_shared *s, const char *url)
{
    struct nats_server *server = &s->servers[s->servers_count];
    server->url = mem_text(url);
    if (!server->url) {
        return ERR_NO_MEMORY;
    }
    server->host = host_of(server->url);
    s->servers_count++;
    return 0;
}

int nats_connect_init(struct nats_shared *s, const struct cluster_nats_config *config,
                      const char **why)
{
    *why = "";
    for (size_t i = 0; i < config->url_count && i < NATS_SERVERS_MAX; i++) {
        if (add_server(s, config->urls[i])) {
            return ERR_NO_MEMORY;
        }
    }
    natsStatus err = natsOptions_Create(&s->options);
    err = err ? err : set_habits(s->options, s);
    err = err ? err : set_security(s->options, config);
    if (err) {
        const char *text = nats_GetLastError(NULL);
        *why = text && text[0] ? text : natsStatus_GetText(err);
        return ERR_REFUSED;
    }
    return 0;
}

void nats_connect_deinit(struct nats_shared *s)
{
    for (size_t i = 0; i < s->servers_count; i++) {
        sodium_memzero(s->servers[i].url, strlen(s->servers[i].url));
        mem_free(s->servers[i].url);
    }
    natsOptions_Destroy(s->options);
}

/* --- connecting --- */

/* A text that quotes the URL could tell the password. */
static const char *without_login(const struct nats_server *server, const char *text, natsStatus err)
{
    const char *login = strstr(server->url, "://");
    login = login ? login + 3 : server->url;
    size_t len = (size_t)(server->host - login);
    for (const char *at = text; at && len > 1 && *at; at++) {
        if (strncmp(at, login, len - 1) == 0) {
            return natsStatus_GetText(err);
        }
    }
    return text ? text : natsStatus_GetText(err);
}

/* Once, until something else is wrong with it. */
static void note_failure(struct nats_shared *s, struct nats_server *server, natsStatus err)
{
    char why[NATS_WHY_MAX];
    (void)snprintf(why, sizeof(why), "%s", without_login(server, nats_GetLastError(NULL), err));
    lock(s);
    if (strcmp(why, server->why) != 0) {
        memcpy(server->why, why, sizeof(why));
        server->due = true;
    }
    unlock(s);
    nats_shared_wake(s);
}

static natsConnection *try_server(struct nats_shared *s, struct nats_server *server)
{
    natsConnection *nc = NULL;
    const char *url = server->url;
    lock(s);
    s->closed = false;
    unlock(s);
    nats_shared_use(s); /* until on_closed */
    natsStatus err = natsOptions_SetServers(s->options, &url, 1);
    err = err ? err : natsConnection_Connect(&nc, s->options);
    if (err) {
        note_failure(s, server, err);
        nats_shared_leave(s);
        return NULL;
    }
    lock(s);
    server->why[0] = '\0';
    s->up = !s->closed;
    unlock(s);
    nats_shared_wake(s);
    return nc;
}

/* True if it is to stop. */
static bool wait_a_moment(struct nats_shared *s)
{
    uint64_t ns = AGAIN_NS + rng_below(sys_rng(), AGAIN_NS);
    uint64_t until = uv_hrtime() + ns;
    lock(s);
    while (!s->stopping && uv_hrtime() < until) {
        (void)uv_cond_timedwait(&s->work, &s->lock, until - uv_hrtime());
    }
    bool stopping = s->stopping;
    unlock(s);
    return stopping;
}

static bool is_stopping(struct nats_shared *s)
{
    lock(s);
    bool stopping = s->stopping;
    unlock(s);
    return stopping;
}

natsConnection *nats_connect(struct nats_shared *s)
{
    natsConnection *nc = NULL;
    for (size_t tried = 1; !is_stopping(s); tried++) {
        nc = try_server(s, &s->servers[s->server_at]);
        if (nc) {
            return nc;
        }
        s->server_at = (s->server_at + 1) % s->servers_count;
        if (tried % s->servers_count == 0 && wait_a_moment(s)) {
            break;
        }
    }
    return NULL;
}
