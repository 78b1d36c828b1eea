/* How far the relays are: a connection to each, as a node would make it, and GET /derp/probe. */
#include "loop/netcheck_internal.h"

#include <base/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "os/sysclock.h"

enum {
    STATUS_AT = 9, /* "HTTP/1.1 200" */
    STATUS_END = 12,
    STATUS_OK = 200,
    STATUS_LOG_IN = 511,
};

/* `status`: of HTTP, or a negative error. */
static void conclude(struct check_relay *r, int status)
{
    r->over = true;
    r->result->status = status > 0 ? (unsigned)status : 0;
    r->result->error = status < 0 ? status : 0;
    r->result->answered = status == STATUS_OK && !r->result->portal;
    channel_uv_close(r->channel);
    r->channel = NULL;
    netcheck_uv_go_on(r->check);
}

/* --- the answer --- */

/* 0 if this is no answer of HTTP (RFC 9112 4). */
static int status_of(const char *answer)
{
    char digits[STATUS_END - STATUS_AT + 1] = "";
    if (memcmp(answer, "HTTP/1.", 7) != 0) {
        return 0;
    }
    memcpy(digits, answer + STATUS_AT, STATUS_END - STATUS_AT);
    return (int)strtoul(digits, NULL, 10);
}

/* A relay has nothing to show and sends nobody elsewhere (RFC 6585 6: 511). */
static bool is_portal(const char *answer, int status)
{
    static const char html[] = "\ncontent-type: text/html";
    bool page = false;
    for (const char *at = strchr(answer, '\n'); at && !page; at = strchr(at + 1, '\n')) {
        page = strncasecmp(at, html, sizeof(html) - 1) == 0;
    }
    return (status >= 300 && status < 400) || status == STATUS_LOG_IN ||
           (status == STATUS_OK && page);
}

static void on_data(void *user, const uint8_t *data, size_t len)
{
    struct check_relay *r = user;
    size_t room = sizeof(r->answer) - 1 - r->answer_len; /* the rest stays 0 */
    size_t part = len < room ? len : room;
    memcpy(r->answer + r->answer_len, data, part);
    r->answer_len += part;
    if (r->answer_len >= STATUS_END) {
        int status = status_of(r->answer);
        r->result->answer_ns = time_since(r->since_ns, sys_now_ns());
        r->result->portal = is_portal(r->answer, status);
        conclude(r, status > 0 ? status : UV_EPROTO);
    }
}

static void on_sent(void *user, size_t len)
{
    (void)user;
    (void)len; /* the request is small, and stays where it is */
}

/* The system's errors have their own text; what TLS or a proxy says is kept. */
static void on_end(void *user, int err, const char *why)
{
    struct check_relay *r = user;
    r->channel = NULL;
    if (err <= ERR_MALFORMED) {
        (void)snprintf(r->result->why, sizeof(r->result->why), "%s", why);
    }
    conclude(r, err ? err : UV_EOF);
}

/* --- the question --- */

static void on_open(void *user)
{
    struct check_relay *r = user;
    const struct adit_relay_config *config = r->result->config;
    bool v6 = strchr(config->host, ':') != NULL;
    int len = snprintf(r->request, sizeof(r->request),
                       "GET /derp/probe HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n\r\n",
                       v6 ? "[" : "", config->host, v6 ? "]" : "", (unsigned)config->port);
    if (len < 0 || (size_t)len >= sizeof(r->request)) {
        conclude(r, UV_ENAMETOOLONG);
        return;
    }
    r->since_ns = sys_now_ns();
    r->result->connect_ns = channel_uv_connect_ns(r->channel);
    (void)channel_uv_write(r->channel, (const uint8_t *)r->request, (size_t)len);
}

/* --- all of them --- */

static int start(struct check_relay *r, const struct adit_relay_config *config)
{
    static const struct channel_uv_callbacks callbacks = {
        .on_open = on_open, .on_data = on_data, .on_sent = on_sent, .on_end = on_end};
    struct tls_client_options tls = {
        .host = config->host, .pins = config->pins, .pin_count = config->pin_count};
    int err = config->tls ? tls_client_new(&tls, &r->tls, r->result->why) : 0;
    struct channel_uv_target to = {
        .host = config->host,
        .port = config->port,
        .tls = r->tls,
        .proxy_host = config->proxy_host,
        .proxy_port = config->proxy_port,
        .proxy_login = config->proxy_login,
        .buffers = &r->check->buffers,
    };
    return err ? err : channel_uv_open(r->check->loop, &to, &callbacks, r, &r->channel);
}

void netcheck_tcp_start(struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->config.relay_count && i < ADIT_NETCHECK_RELAYS_MAX; i++) {
        struct check_relay *r = &c->relays[i];
        const struct adit_relay_config *config = &c->config.relays[i];
        c->relay_results[i] = (struct adit_netcheck_relay){.config = config, .error = UV_ETIMEDOUT};
        *r = (struct check_relay){.check = c, .result = &c->relay_results[i]};
        int err = start(r, config);
        if (err != 0) {
            r->over = true;
            r->result->error = err;
        }
        c->report.relay_count++;
    }
}

bool netcheck_tcp_is_over(const struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->report.relay_count; i++) {
        if (!c->relays[i].over) {
            return false;
        }
    }
    return true;
}

void netcheck_tcp_stop(struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->report.relay_count; i++) {
        channel_uv_close(c->relays[i].channel);
        tls_context_free(c->relays[i].tls);
        c->relays[i].channel = NULL;
        c->relays[i].tls = NULL;
    }
}
