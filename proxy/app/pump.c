#include "app/pump.h"

#include "app/tcp_linger.h"

#include <string.h>

/* Each of these may end the pump; then it returns false and nothing may be touched any more. */
static bool tcp_broke(struct pump *p)
{
    endpoint_break(p->end, p->broken);
    tcp_close(p->tcp);
    p->over(p->user);
    return false;
}

/* Nothing goes out any more. What came in before may still be read: often it says why. */
static bool tcp_is_deaf(struct pump *p)
{
    if (p->tcp_ended) {
        return tcp_broke(p);
    }
    p->deaf = true;
    return true;
}

static bool end_if_over(struct pump *p)
{
    if (!p->told_end || !p->fin_out) {
        return true;
    }
    endpoint_release(p->end);
    tcp_close(p->tcp);
    p->over(p->user);
    return false;
}

/* The endpoint broke while we wrote to it. */
static bool end_broke(struct pump *p)
{
    endpoint_abort(p->end, CAUSE_FAILED);
    tcp_reset(p->tcp);
    p->over(p->user);
    return false;
}

static bool pass_early(struct pump *p)
{
    uint8_t *at = NULL;
    size_t room;
    while (p->early_len > 0 && (room = endpoint_space(p->end, p->early_len, &at)) > 0) {
        size_t some = room < p->early_len ? room : p->early_len;
        memcpy(at, p->early, some);
        p->early += some;
        p->early_len -= some;
        if (endpoint_wrote(p->end, some) != 0) {
            return end_broke(p);
        }
    }
    return true;
}

/* TCP -> endpoint: go on reading, or pass the end on. */
static bool forward(struct pump *p)
{
    if (!pass_early(p)) {
        return false;
    }
    if (p->early_len > 0 || p->told_end) {
        return true;
    }
    if (!p->tcp_ended) {
        return tcp_go_on(p->tcp);
    }
    p->told_end = true;
    endpoint_finish(p->end);
    return end_if_over(p);
}

/* Endpoint -> TCP: send what is there until the system takes no more. */
static bool backward(struct pump *p)
{
    while (!p->end_ended && !p->deaf && !tcp_busy(p->tcp)) {
        const uint8_t *at = NULL;
        bool fin = false;
        size_t len = endpoint_peek(p->end, &at, &fin);
        if (len > 0) {
            ssize_t n = tcp_send(p->tcp, at, len);
            if (n < 0) {
                return tcp_is_deaf(p);
            }
            endpoint_consume(p->end, (size_t)n);
            continue;
        }
        if (!fin) {
            break;
        }
        endpoint_consume(p->end, 0);
        p->end_ended = true;
        if (tcp_finish(p->tcp) != 0) {
            return tcp_is_deaf(p);
        }
    }
    return true;
}

static size_t on_room(void *user, uint8_t **at)
{
    struct pump *p = user;
    return endpoint_space(p->end, POOL_BLOCK, at);
}

static void on_read(void *user, ssize_t n)
{
    struct pump *p = user;
    if (n < 0 || (n == 0 && p->deaf)) {
        (void)tcp_broke(p);
    } else if (n == 0) {
        p->tcp_ended = true;
        (void)forward(p);
    } else if (endpoint_wrote(p->end, (size_t)n) != 0) {
        (void)end_broke(p);
    }
}

static void on_sent(void *user, int status)
{
    struct pump *p = user;
    (void)(status < 0 ? tcp_is_deaf(p) : backward(p));
}

static void on_finished(void *user, int status)
{
    struct pump *p = user;
    if (status < 0) {
        (void)tcp_is_deaf(p);
        return;
    }
    p->fin_out = true;
    (void)end_if_over(p);
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
    struct pump *p = user;
    (void)cause;
    endpoint_release(p->end);
    (p->deaf ? tcp_reset : tcp_reset_late)(p->tcp);
    p->over(p->user);
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
    .finished = on_finished,
};

static const struct endpoint_events endpoint_events = {
    .readable = on_readable,
    .writable = on_writable,
    .reset = on_reset,
};

void pump_start(struct pump *p, const struct pump_parts *parts, void (*over)(void *user),
                void *user)
{
    *p = (struct pump){
        .tcp = parts->tcp,
        .end = parts->end,
        .early = parts->early,
        .early_len = parts->early_len,
        .tcp_ended = parts->tcp_ended,
        .broken = parts->broken,
        .over = over,
        .user = user,
    };
    tcp_attach(p->tcp, &tcp_ops, p);
    endpoint_attach(p->end, &endpoint_events, p);
    if (forward(p)) {
        (void)backward(p);
    }
}

void pump_stop(struct pump *p, enum cause cause)
{
    endpoint_abort(p->end, cause);
    tcp_reset(p->tcp);
}
