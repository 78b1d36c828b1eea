#include "app/client_internal.h"

#include <base/mem.h>

#include <sodium.h>
#include <string.h>
#include <unistd.h>

const struct addr *client_from(struct client *c)
{
    if (!c->by_unix && c->from.family == ADDR_NONE) {
        c->from = tcp_remote(c->tcp);
    }
    return &c->from;
}

/* --- the end -------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void client_forget(struct client *c)
{
    LIST_REMOVE(c, entry);
    c->all->count--;
    if (c->relaying) {
        exchange_deinit(&c->exchange);
    }
    client_drop_kept(c);
    if (c->association) {
        association_stop(c->association);
    }
    front_deinit(&c->front);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

/* Whoever speaks no protocol of ours can be told a failure only by a reset. */
void client_drop(struct client *c)
{
    client_give_up_dialling(c, CAUSE_CANCELLED);
    if (c->front.kind == FRONT_FIXED) {
        tcp_reset(c->tcp);
    } else {
        tcp_close(c->tcp);
    }
    client_forget(c);
}

void client_send_output(struct client *c)
{
    uint8_t out[1024];
    size_t len;
    while (!tcp_busy(c->tcp) && (len = front_output(&c->front, out, sizeof(out))) > 0) {
        if (tcp_send(c->tcp, out, len) < 0) {
            return; /* reading says the same in a moment */
        }
    }
}

/* --- negotiation ----------------------------------------------------------------------------- */

static void count_fault(struct client *c)
{
    struct context_counters *n = &c->ctx->counters;
    switch (c->front.fault) {
    case FRONT_FAULT_PROTOCOL:
        n->front.bad_protocol++;
        break;
    case FRONT_FAULT_REQUEST:
        n->front.bad_requests++;
        break;
    case FRONT_FAULT_SLOW:
        n->front.slow_requests++;
        break;
    case FRONT_FAULT_LOGIN:
        n->front.bad_logins++;
        break;
    case FRONT_FAULT_NONE:
        return;
    }
    LOG_AT(c->ctx->log, LOG_INFO, "front", "bad_client", "why=\"%s\"",
           c->front.why ? c->front.why : "malformed");
}

/* `c` may be gone afterwards. */
static void finish_when_sent(struct client *c)
{
    if (!c->closing || tcp_busy(c->tcp)) {
        return;
    }
    c->closing = false;
    if (c->ended) {
        client_drop(c); /* both directions are over */
    } else {
        (void)tcp_finish(c->tcp); /* if it is broken, the linger time ends it */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct client *c = timer->data;
    front_tick(&c->front, client_now(c));
    client_step(c);
}

static void set_timer(struct client *c)
{
    uint64_t next = front_next_ns(&c->front);
    if (next == TIME_NEVER) {
        (void)uv_timer_stop(&c->timer);
        return;
    }
    uint64_t ms = (time_since(client_now(c), next) + NS_PER_MS - 1) / NS_PER_MS;
    (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* A name that is listed as it is wishes for nothing. While an address is held off even the right
 * password is wrong. */
static bool is_right(struct client *c, const struct httpreq_login *l, struct wish *w)
{
    struct context *ctx = c->ctx;
    if (backoff_holds(&ctx->backoff, client_from(c), client_now(c))) {
        ctx->counters.front.held_off++;
        return false;
    }
    bool plain = auth_check(c->auth, l->user, l->user_len, l->password, l->password_len);
    bool right = plain || auth_check(c->auth, l->user, w->name_len, l->password, l->password_len);
    if (plain) {
        *w = (struct wish){0};
    }
    if (right) {
        backoff_right(&ctx->backoff, client_from(c));
    } else {
        backoff_wrong(&ctx->backoff, client_from(c), client_now(c));
    }
    w->unclear = false; /* somebody's name has such a byte in it */
    return right;
}

static void check_login(struct client *c)
{
    struct httpreq_login l;
    front_login(&c->front, &l);
    struct wish w = {.name_len = l.user_len};
    if (c->policy && c->policy->choose) {
        w = wish_parse(c->ctx->config, l.user, l.user_len);
    }
    bool right = !c->auth || is_right(c, &l, &w);
    sodium_memzero(&l, sizeof(l));
    c->wish = w;
    front_authorize(&c->front, right, client_now(c));
}

/* One event at a time; `c` may be gone, or be the pump's, afterwards. */
void client_step(struct client *c)
{
    client_send_output(c);
    set_timer(c);
    switch (front_event(&c->front)) {
    case FRONT_EVENT_LOGIN:
        check_login(c);
        client_feed(c);
        break;
    case FRONT_EVENT_PAC:
        client_show_pac(c);
        break;
    case FRONT_EVENT_CONNECT:
        client_go(c);
        break;
    case FRONT_EVENT_EXPIRED:
        client_expire(c);
        break;
    case FRONT_EVENT_CLOSE:
        count_fault(c);
        c->closing = true;
        c->in_len = 0;
        if (!c->ended) {
            tcp_resume(c->tcp);
        }
        finish_when_sent(c);
        break;
    case FRONT_EVENT_DROP:
        client_drop(c);
        break;
    case FRONT_EVENT_NONE:
        break;
    }
}

static size_t on_room(void *user, uint8_t **at)
{
    struct client *c = user;
    *at = c->in + c->in_len;
    return sizeof(c->in) - c->in_len;
}

/* While the last answer is still going out nothing of the next request is looked at: what comes of
 * it could be put before, or in the middle of, that answer. */
static bool is_sending_answer(const struct client *c)
{
    return front_state(&c->front) == FRONT_NEGOTIATING && c->front.resting && tcp_busy(c->tcp);
}

void client_feed(struct client *c)
{
    if (is_sending_answer(c)) {
        client_step(c);
        return;
    }
    size_t taken = front_input(&c->front, c->in, c->in_len, client_now(c));
    c->in_len -= taken;
    memmove(c->in, c->in + taken, c->in_len);
    sodium_memzero(c->in + c->in_len, taken); /* it may hold a password */
    client_step(c);
}

static void on_read(void *user, ssize_t n)
{
    struct client *c = user;
    if (n == 0 && (front_state(&c->front) == FRONT_CONNECTING || c->closing)) {
        c->ended = true; /* it may still want the answer */
        return;
    }
    if (n <= 0) {
        client_drop(c);
        return;
    }
    c->in_len += (size_t)n;
    if (c->ctx->node) {
        adit_stir(c->ctx->node);
    }
    client_send_early(c);
    client_feed(c);
}

static void on_sent(void *user, int status)
{
    struct client *c = user;
    if (status < 0) {
        client_drop(c);
        return;
    }
    client_send_output(c);
    if (front_state(&c->front) == FRONT_NEGOTIATING && !tcp_busy(c->tcp) && c->in_len > 0) {
        if (!c->ended) {
            tcp_resume(c->tcp);
        }
        client_feed(c);
        return;
    }
    finish_when_sent(c);
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

void client_listen(struct client *c)
{
    tcp_attach(c->tcp, &tcp_ops, c);
    if (!c->ended) {
        tcp_resume(c->tcp);
    }
}

static void on_pump_over(void *user)
{
    client_forget(user);
}

void client_pump(struct client *c, struct endpoint *end)
{
    (void)uv_timer_stop(&c->timer);
    struct pump_parts parts = {
        .tcp = c->tcp,
        .end = end,
        .early = c->in,
        .early_len = c->in_len,
        .tcp_ended = c->ended,
        .broken = CAUSE_CANCELLED,
    };
    c->tcp = NULL;
    c->end = NULL;
    c->pumping = true;
    pump_start(&c->pump, &parts, on_pump_over, c);
}

void clients_init(struct clients *c, struct context *ctx)
{
    *c = (struct clients){.ctx = ctx};
    LIST_INIT(&c->list);
}

void clients_stop(struct clients *all)
{
    struct client *c;
    while ((c = LIST_FIRST(&all->list)) != NULL) {
        if (c->pumping) {
            pump_stop(&c->pump, CAUSE_CANCELLED);
            client_forget(c);
        } else {
            client_drop(c);
        }
    }
}

/* A connection must be accepted to be closed, else the listener calls for it for ever. */
static void refuse(struct context *ctx, struct tcp *tcp)
{
    ctx->counters.front.clients_refused++;
    tcp_close(tcp);
}

static struct client *client_new(struct clients *all, struct tcp *tcp,
                                 const struct client_door *door)
{
    struct client *c = all->count < all->ctx->limits.clients_max ? mem_new(1, sizeof(*c)) : NULL;
    if (!c) {
        return NULL;
    }
    c->all = all;
    c->ctx = all->ctx;
    c->tcp = tcp;
    (void)uv_timer_init(c->ctx->loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    c->by_unix = door->is_unix;
    c->policy = door->front;
    c->auth = door->is_unix ? NULL : door->auth;
    const struct front_options options = {
        .password_needed = c->auth != NULL,
        .name_wanted = c->policy && c->policy->choose,
        .fixed = door->target,
    };
    front_init(&c->front, &c->ctx->times, &options, client_now(c));
    LIST_INSERT_HEAD(&all->list, c, entry);
    all->count++;
    c->ctx->counters.front.clients++;
    return c;
}

/* The file's mode says the same, where the system heeds it, and as long as nobody changed it. */
static bool is_welcome(const struct tcp *tcp, const struct client_door *door)
{
    static const struct config_uids nobody_else;
    uint32_t uid;
    return tcp_user(tcp, &uid) == 0 &&
           config_uid_is_welcome(door->front ? &door->front->uids : &nobody_else, uid, geteuid());
}

bool client_accept(struct clients *all, uv_stream_t *listener, const struct client_door *door)
{
    struct context *ctx = all->ctx;
    struct tcp *tcp =
        door->is_unix ? tcp_new_pipe(ctx->loop, &ctx->pool) : tcp_new(ctx->loop, &ctx->pool);
    if (!tcp) {
        ctx->counters.front.clients_refused++;
        return false;
    }
    int status = tcp_accept(tcp, listener);
    if (status == 0 && door->is_unix && !is_welcome(tcp, door)) {
        ctx->counters.front.strangers++;
        tcp_close(tcp);
        return true;
    }
    struct client *c = status == 0 ? client_new(all, tcp, door) : NULL;
    if (!c) {
        refuse(ctx, tcp);
        return true;
    }
    client_listen(c);
    client_step(c); /* a forwarded port goes at once */
    if (!door->target) {
        tcp_read_now(tcp); /* often its first bytes came with it */
    }
    return true;
}

bool client_adopt(struct clients *all, struct tcp *tcp, const void *data, size_t len)
{
    const struct client_door door = {.is_unix = true};
    struct client *c = len <= CLIENT_IN ? client_new(all, tcp, &door) : NULL;
    if (!c) {
        all->ctx->counters.front.clients_refused++;
        return false;
    }
    memcpy(c->in, data, len);
    c->in_len = len;
    client_listen(c);
    client_feed(c);
    return true;
}
