/* A client's plain HTTP request: to the target and back (session/exchange.h), then the next one. */
#include "app/client_internal.h"

#include "session/pac.h"

#include <base/mem.h>

#include <string.h>

/* --- a connection for the next request -------------------------------------------------------- */

void client_drop_kept(struct client *c)
{
    if (c->kept) {
        endpoint_abort(c->kept, CAUSE_CANCELLED);
        c->kept = NULL;
    }
}

/* Whatever it says unasked, its end too, makes it useless. */
static void on_kept_readable(void *user)
{
    const uint8_t *at = NULL;
    struct client *c = user;
    bool fin = false;
    if (endpoint_peek(c->kept, &at, &fin) > 0 || fin) {
        client_drop_kept(c);
    }
}

static void on_kept_writable(void *user)
{
    (void)user;
}

static void on_kept_reset(void *user, enum cause cause)
{
    struct client *c = user;
    (void)cause;
    endpoint_release(c->kept);
    c->kept = NULL;
}

static const struct endpoint_events kept_events = {
    .readable = on_kept_readable,
    .writable = on_kept_writable,
    .reset = on_kept_reset,
};

static void keep(struct client *c)
{
    c->kept = c->end;
    c->kept_target = *front_target(&c->front);
    c->kept_wish = c->wish;
    c->end = NULL;
    endpoint_attach(c->kept, &kept_events, c);
    on_kept_readable(c);
}

bool client_take_kept(struct client *c, const struct target *t)
{
    bool plain = c->front.kind == FRONT_HTTP && front_request(&c->front)->form == HTTPREQ_ABSOLUTE;
    c->reused =
        c->kept && plain && target_equal(t, &c->kept_target) && wish_equal(&c->wish, &c->kept_wish);
    if (c->reused) {
        c->end = c->kept;
        c->kept = NULL;
    } else {
        client_drop_kept(c);
    }
    return c->reused;
}

/* --- the end of an exchange ------------------------------------------------------------------- */

void client_end_exchange(struct client *c)
{
    exchange_deinit(&c->exchange);
    c->relaying = false;
    c->direct = NULL;
}

/* `fin`: the target has finished already. */
static void let_go(struct client *c, bool fin)
{
    if (fin) {
        endpoint_finish(c->end);
        endpoint_release(c->end);
    } else {
        endpoint_abort(c->end, CAUSE_CANCELLED);
    }
    c->end = NULL;
}

static void done(struct client *c, bool fin)
{
    bool more = exchange_keeps_client(&c->exchange) && !(c->ended && c->in_len == 0);
    c->ctx->counters.front.http_requests++;
    c->ctx->counters.front.http_reused += c->reused;
    if (!fin && more && exchange_keeps_target(&c->exchange)) {
        keep(c);
    } else {
        let_go(c, fin);
    }
    client_end_exchange(c);
    c->wish = (struct wish){0};
    front_answered(&c->front, more, client_now(c));
    client_listen(c);
    client_feed(c);
}

static void switched(struct client *c)
{
    struct endpoint *end = c->end;
    client_end_exchange(c);
    client_pump(c, end);
}

/* Cut short or malformed. As long as the client has seen nothing it can be told; afterwards only a
 * reset says that this was not the whole answer. The endpoint is gone. */
static void broken(struct client *c, enum cause cause)
{
    bool silent = exchange_is_silent(&c->exchange);
    bool again = c->reused && exchange_may_repeat(&c->exchange);
    client_end_exchange(c);
    if (!silent) {
        tcp_reset(c->tcp);
        client_forget(c);
        return;
    }
    client_listen(c);
    if (again) {
        front_again(&c->front, client_now(c)); /* the old connection had ended unseen */
        client_step(c);
    } else {
        client_refuse(c, cause);
    }
}

/* False: the exchange is over, and `c` may be gone. */
static bool go_on(struct client *c, bool fin)
{
    switch (exchange_state(&c->exchange)) {
    case EXCHANGE_RUNNING:
        return true;
    case EXCHANGE_DONE:
        done(c, fin);
        break;
    case EXCHANGE_SWITCHED:
        switched(c);
        break;
    case EXCHANGE_BROKEN:
        let_go(c, fin);
        broken(c, fin ? CAUSE_TARGET_RESET : CAUSE_FAILED);
        break;
    }
    return false;
}

static bool target_broke(struct client *c, enum cause cause)
{
    endpoint_abort(c->end, CAUSE_FAILED);
    c->end = NULL;
    broken(c, cause);
    return false;
}

/* --- both directions; each returns false when the exchange is over -----------------------------
 */

static bool send_head(struct client *c)
{
    const char *from = NULL;
    uint8_t *at = NULL;
    size_t len;
    size_t room;
    while ((len = exchange_head(&c->exchange, &from)) > 0 &&
           (room = endpoint_space(c->end, len, &at)) > 0) {
        size_t some = room < len ? room : len;
        memcpy(at, from, some);
        exchange_head_sent(&c->exchange, some);
        if (endpoint_wrote(c->end, some) != 0) {
            return target_broke(c, CAUSE_TARGET_RESET);
        }
    }
    return true;
}

/* Without memory it is tried again, and told, once there is a connection. */
void client_send_head(struct client *c)
{
    if (!c->relaying) {
        c->relaying = true;
        if (exchange_init(&c->exchange, front_http(&c->front), front_request(&c->front)) != 0) {
            client_end_exchange(c);
            return;
        }
    }
    (void)send_head(c); /* a stream takes what it had room for */
}

/* What came of the body before there was a connection. */
static bool send_early(struct client *c)
{
    uint8_t *at = NULL;
    size_t room;
    while (c->in_len > 0 && exchange_wants_body(&c->exchange) &&
           (room = endpoint_space(c->end, c->in_len, &at)) > 0) {
        size_t some = exchange_body(&c->exchange, c->in, room < c->in_len ? room : c->in_len);
        memcpy(at, c->in, some);
        c->in_len -= some;
        memmove(c->in, c->in + some, c->in_len);
        if (some > 0 && endpoint_wrote(c->end, some) != 0) {
            return target_broke(c, CAUSE_TARGET_RESET);
        }
    }
    return go_on(c, false);
}

static bool forward(struct client *c)
{
    const char *head = NULL;
    if (!send_head(c)) {
        return false;
    }
    if (exchange_head(&c->exchange, &head) > 0) {
        return true;
    }
    if (!send_early(c)) {
        return false;
    }
    if (!c->ended) {
        tcp_resume(c->tcp);
    }
    return true;
}

static bool backward(struct client *c)
{
    while (!tcp_busy(c->tcp)) {
        const uint8_t *at = NULL;
        const char *out = NULL;
        size_t out_len = 0;
        bool fin = false;
        size_t len = endpoint_peek(c->end, &at, &fin);
        if (len == 0 && !fin) {
            return true;
        }
        if (len == 0) {
            endpoint_consume(c->end, 0);
            exchange_target_end(&c->exchange);
            return go_on(c, true);
        }
        /* A piece of this size is always taken whole. */
        len = len < POOL_BLOCK ? len : POOL_BLOCK;
        size_t taken = exchange_answer(&c->exchange, at, len, &out, &out_len);
        if (out_len > 0 && tcp_send(c->tcp, out, out_len) < 0) {
            client_drop(c);
            return false;
        }
        endpoint_consume(c->end, taken);
        if (!go_on(c, false)) {
            return false;
        }
    }
    return true;
}

/* --- what the two connections tell -------------------------------------------------------------
 */

static size_t on_room(void *user, uint8_t **at)
{
    const char *head = NULL;
    struct client *c = user;
    c->direct = NULL;
    if (c->in_len == 0 && exchange_wants_body(&c->exchange)) {
        if (exchange_head(&c->exchange, &head) > 0) {
            return 0;
        }
        size_t room = endpoint_space(c->end, POOL_BLOCK, at);
        c->direct = *at;
        return room;
    }
    *at = c->in + c->in_len; /* a request that follows, once this one is answered */
    return sizeof(c->in) - c->in_len;
}

/* Bytes read in place, up to the end of the body; what is behind it comes into our own buffer. */
static bool take_direct(struct client *c, size_t n)
{
    size_t body = exchange_body(&c->exchange, c->direct, n);
    size_t rest = n - body;
    if (rest > sizeof(c->in)) {
        client_drop(c); /* nobody sends so many requests ahead behind a body */
        return false;
    }
    memcpy(c->in, c->direct + body, rest);
    c->in_len = rest;
    if (body > 0 && endpoint_wrote(c->end, body) != 0) {
        return target_broke(c, CAUSE_TARGET_RESET);
    }
    return go_on(c, false);
}

static void on_read(void *user, ssize_t n)
{
    struct client *c = user;
    if (n < 0 || (n == 0 && exchange_wants_body(&c->exchange))) {
        client_drop(c);
    } else if (n == 0) {
        c->ended = true; /* it still wants the answer */
    } else if (c->direct) {
        (void)take_direct(c, (size_t)n);
    } else {
        c->in_len += (size_t)n;
    }
}

static void on_sent(void *user, int status)
{
    struct client *c = user;
    if (status < 0) {
        client_drop(c);
    } else {
        (void)backward(c);
    }
}

static void on_readable(void *user)
{
    (void)backward(user);
}

static void on_writable(void *user)
{
    (void)forward(user);
}

static void on_reset(void *user, enum cause cause)
{
    struct client *c = user;
    endpoint_release(c->end);
    c->end = NULL;
    broken(c, cause == CAUSE_NONE ? CAUSE_TARGET_RESET : cause);
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

static const struct endpoint_events end_events = {
    .readable = on_readable,
    .writable = on_writable,
    .reset = on_reset,
};

void client_relay(struct client *c)
{
    int err = 0;
    if (!c->relaying) {
        err = exchange_init(&c->exchange, front_http(&c->front), front_request(&c->front));
        c->relaying = true;
    }
    if (err != 0) {
        endpoint_abort(c->end, CAUSE_CANCELLED);
        c->end = NULL;
        c->reused = false;
        broken(c, CAUSE_LIMIT);
        return;
    }
    tcp_attach(c->tcp, &tcp_ops, c);
    endpoint_attach(c->end, &end_events, c);
    if (forward(c)) {
        (void)backward(c);
    }
}

/* --- the front's own page --------------------------------------------------------------------- */

void client_show_pac(struct client *c)
{
    char proxy[PAC_PROXY_MAX];
    const struct httpmsg_header *host = httpmsg_find(front_http(&c->front), "host");
    bool good = host && pac_proxy(proxy, c->ctx->config, host->value.at, host->value.len);
    char *text = good ? pac_text(c->ctx->config, c->policy, proxy) : NULL;
    if (text) {
        front_show(&c->front, 200, "application/x-ns-proxy-autoconfig", text, client_now(c));
    } else if (good) {
        front_show(&c->front, 503, NULL, "503 Service Unavailable\n\nOut of memory.\n",
                   client_now(c));
    } else {
        front_show(&c->front, 403, NULL,
                   "403 Forbidden\n\nFetch the PAC file by IP address, as localhost, or by this "
                   "node's name.\n",
                   client_now(c));
    }
    mem_free(text);
    client_step(c);
}
