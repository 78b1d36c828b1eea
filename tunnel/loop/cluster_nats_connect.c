/* Connecting to one of the NATS servers, and doing so again. The library could do that by itself,
 * but keeps to itself why it cannot. Everything but nats_connect_init runs on threads that are not
 * the loop's. */
#include "loop/cluster_nats_internal.h"

#include <base/check.h>
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

void nats_copy_why(char out[NATS_WHY_MAX], const char *text)
{
    (void)snprintf(out, NATS_WHY_MAX, "%s", text);
    for (char *c = out; *c; c++) {
        *c = (unsigned char)*c < ' ' || *c == '"' || *c == 127 ? '?' : *c;
    }
}

static void set_up(struct nats_shared *s, bool up, const char *why)
{
    lock(s);
    s->losses += s->up && !up;
    s->up = up;
    nats_copy_why(s->why, why);
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

/* --- what is connected to, and how --- */

/* Behind the scheme and the login. */
static const char *host_of(const char *url)
{
    const char *at = strrchr(url, '@');
    const char *scheme = strstr(url, "://");
    return at ? at + 1 : scheme ? scheme + 3 : url;
}

/* Without the port, and without the brackets of an IPv6 address. */
static void name_of(char out[NATS_HOST_MAX], const char *host)
{
    bool brackets = host[0] == '[';
    size_t len = strcspn(host + brackets, brackets ? "]" : ":/");
    (void)snprintf(out, NATS_HOST_MAX, "%.*s", (int)len, host + brackets);
}

/* The library compares a certificate with the host of the URL if it was built to; so it is told. */
static natsStatus set_security(natsOptions *o, const struct nats_shared *s,
                               const struct nats_server *server)
{
    char name[NATS_HOST_MAX];
    name_of(name, server->host);
    natsStatus err = natsOptions_SetExpectedHostname(o, name);
    if (err == NATS_OK && s->credentials) {
        err = natsOptions_SetUserCredentialsFromFiles(o, s->credentials, NULL);
    }
    if (err == NATS_OK && s->tls) {
        err = natsOptions_SetSecure(o, true);
    }
    if (err == NATS_OK && s->ca) {
        err = natsOptions_LoadCATrustedCertificates(o, s->ca);
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
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != NATS_OK) {
            return all[i];
        }
    }
    return NATS_OK;
}

/* Files are read anew for each attempt: they may have been renewed. */
static natsStatus make_options(natsOptions **out, struct nats_shared *s,
                               const struct nats_server *server)
{
    const char *url = server->url;
    natsStatus err = natsOptions_Create(out);
    err = err ? err : natsOptions_SetServers(*out, &url, 1);
    err = err ? err : set_habits(*out, s);
    return err ? err : set_security(*out, s, server);
}

/* The library's text for the error, without its line number, and without a login: a text that
 * quotes the URL could tell the password. What a server says is kept from breaking the line. */
static void describe(char out[NATS_WHY_MAX], const struct nats_server *server, natsStatus err)
{
    const char *text = nats_GetLastError(NULL);
    const char *scheme = strstr(server->url, "://");
    const char *login = scheme ? scheme + 3 : server->url;
    size_t len = server->host > login ? (size_t)(server->host - login) - 1 : 0;
    text = text && text[0] ? text : natsStatus_GetText(err);
    for (const char *at = text; len > 0 && *at; at++) {
        if (strncmp(at, login, len) == 0) {
            text = natsStatus_GetText(err);
            break;
        }
    }
    const char *line = text[0] == '(' ? strstr(text, "): ") : NULL;
    nats_copy_why(out, line ? line + 3 : text);
}

static int add_server(struct nats_shared *s, const char *url)
{
    struct nats_server *server = &s->servers[s->servers_count];
    server->url = mem_text(url);
    if (!server->url) {
        return ERR_NO_MEMORY;
    }
    server->host = host_of(server->url);
    s->tls = s->tls || strncmp(url, "tls://", 6) == 0;
    s->servers_count++;
    return 0;
}

static int copy_config(struct nats_shared *s, const struct cluster_nats_config *config)
{
    s->ca = config->ca ? mem_text(config->ca) : NULL;
    s->credentials = config->credentials ? mem_text(config->credentials) : NULL;
    s->tls = config->ca != NULL;
    for (size_t i = 0; i < config->url_count && i < NATS_SERVERS_MAX; i++) {
        if (add_server(s, config->urls[i])) {
            return ERR_NO_MEMORY;
        }
    }
    return (config->ca && !s->ca) || (config->credentials && !s->credentials) ? ERR_NO_MEMORY : 0;
}

int nats_connect_init(struct nats_shared *s, const struct cluster_nats_config *config,
                      char why[NATS_WHY_MAX])
{
    natsOptions *options = NULL;
    (void)snprintf(why, NATS_WHY_MAX, "out of memory");
    CHECK(config->url_count > 0);
    if (copy_config(s, config)) {
        return ERR_NO_MEMORY;
    }
    natsStatus err = make_options(&options, s, &s->servers[0]);
    natsOptions_Destroy(options);
    if (err) {
        describe(why, &s->servers[0], err);
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
    mem_free(s->ca);
    mem_free(s->credentials);
}

/* --- connecting --- */

/* Once, until something else is wrong with it. */
static void note_failure(struct nats_shared *s, struct nats_server *server, natsStatus err)
{
    char why[NATS_WHY_MAX];
    describe(why, server, err);
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
    natsOptions *options = NULL;
    lock(s);
    s->closed = false;
    unlock(s);
    nats_shared_use(s); /* until on_closed */
    natsStatus err = make_options(&options, s, server);
    err = err ? err : natsConnection_Connect(&nc, options);
    natsOptions_Destroy(options); /* the connection has its own by now */
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
