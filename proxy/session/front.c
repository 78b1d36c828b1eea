#include "session/front_internal.h"

#include "session/page.h"

#include <base/check.h>
#include <base/mem.h>

#include <sodium.h>
#include <string.h>

const struct front_times front_times_default = {
    .negotiate = 15 * NS_PER_S,
    .connect = 30 * NS_PER_S,
    .linger = 5 * NS_PER_S,
    .idle = 60 * NS_PER_S,
    .bind = 130 * NS_PER_S, /* the exit gives up a little earlier, and says why */
};

/* RFC 1928 section 6. What the target or the network before it did is told as it is; what stands
 * between front and exit is a general failure, so that nobody looks for the fault at the target. */
static const struct {
    enum cause cause;
    enum socks5_rep rep;
} reps[] = {
    {CAUSE_NOT_ALLOWED, SOCKS5_REP_NOT_ALLOWED},
    {CAUSE_REFUSED_BY_ROUTE, SOCKS5_REP_NOT_ALLOWED},
    {CAUSE_NET_UNREACHABLE, SOCKS5_REP_NET_UNREACHABLE},
    {CAUSE_HOST_UNREACHABLE, SOCKS5_REP_HOST_UNREACHABLE},
    {CAUSE_NAME_NOT_FOUND, SOCKS5_REP_HOST_UNREACHABLE},
    {CAUSE_UNKNOWN_PEER, SOCKS5_REP_HOST_UNREACHABLE},
    {CAUSE_REFUSED, SOCKS5_REP_REFUSED},
    {CAUSE_TIMED_OUT, SOCKS5_REP_TTL_EXPIRED},
};

enum socks5_rep front_rep(enum cause cause)
{
    for (size_t i = 0; i < sizeof(reps) / sizeof(reps[0]); i++) {
        if (reps[i].cause == cause) {
            return reps[i].rep;
        }
    }
    return SOCKS5_REP_FAILURE;
}

void front_set_state(struct front *f, enum front_state state, uint64_t deadline)
{
    f->state = state;
    f->deadline = deadline;
}

void front_post(struct front *f, enum front_event_type type)
{
    f->events |= (uint8_t)(1U << type);
}

void front_begin_closing(struct front *f, uint64_t now)
{
    front_set_state(f, FRONT_CLOSING, time_add(now, f->times.linger));
    front_post(f, FRONT_EVENT_CLOSE);
}

void front_begin_connecting(struct front *f, uint64_t now)
{
    front_set_state(f, FRONT_CONNECTING, time_add(now, f->times.connect));
    front_post(f, FRONT_EVENT_CONNECT);
}

void front_blame(struct front *f, enum front_fault what, const char *why, uint64_t now)
{
    f->fault = what;
    f->why = why;
    front_begin_closing(f, now);
}

void front_take_page(struct front *f, char *page, size_t len)
{
    mem_free(f->page);
    f->page = page;
    f->out = page;
    f->out_len = page ? len : 0;
}

void front_show_error(struct front *f, unsigned status, const char *about, const char *sentence)
{
    size_t len = 0;
    char *page = page_error(status, about, sentence, f->request.head, &len);
    front_take_page(f, page, len);
}

void front_init(struct front *f, const struct front_times *times,
                const struct front_options *options, uint64_t now)
{
    *f = (struct front){.times = *times};
    f->password_needed = options && options->password_needed;
    f->name_wanted = options && options->name_wanted;
    if (options && options->fixed) {
        f->kind = FRONT_FIXED;
        f->as.fixed = *options->fixed;
        front_begin_connecting(f, now);
    } else {
        front_set_state(f, FRONT_NEGOTIATING, time_add(now, times->negotiate));
    }
}

static void forget_request(struct front *f)
{
    if (f->http) {
        sodium_memzero(f->http->head, f->http->head_len); /* it may hold a password */
    }
    mem_free(f->http);
    f->http = NULL;
}

void front_deinit(struct front *f)
{
    forget_request(f);
    mem_free(f->page);
    f->page = NULL;
    f->out_len = 0;
}

static size_t output_page(struct front *f, void *out, size_t cap)
{
    size_t len = f->out_len < cap ? f->out_len : cap;
    if (len > 0) {
        memcpy(out, f->out, len);
        f->out += len;
        f->out_len -= len;
    }
    return len;
}

size_t front_output(struct front *f, void *out, size_t cap)
{
    switch (f->kind) {
    case FRONT_SOCKS5:
        return socks5_output(&f->as.socks5, out, cap);
    case FRONT_SOCKS4:
        return socks4_output(&f->as.socks4, out, cap);
    case FRONT_HTTP:
        return output_page(f, out, cap);
    case FRONT_UNKNOWN:
    case FRONT_FIXED:
        break;
    }
    return 0;
}

/* Between two requests of one connection nobody owes anything. */
static void expire_negotiation(struct front *f, uint64_t now)
{
    if (f->resting && f->http->head_len == 0) {
        f->deadline = TIME_NEVER;
        front_post(f, FRONT_EVENT_DROP);
    } else {
        front_blame(f, FRONT_FAULT_SLOW, "no request in time", now);
    }
}

void front_tick(struct front *f, uint64_t now)
{
    if (now < f->deadline) {
        return;
    }
    switch (f->state) {
    case FRONT_NEGOTIATING:
        expire_negotiation(f, now);
        break;
    case FRONT_CONNECTING:
        f->deadline = TIME_NEVER;
        front_post(f, FRONT_EVENT_EXPIRED);
        break;
    case FRONT_CLOSING:
        f->deadline = TIME_NEVER;
        front_post(f, FRONT_EVENT_DROP);
        break;
    case FRONT_RELAYING:
    case FRONT_OPEN:
        break;
    }
}

uint64_t front_next_ns(const struct front *f)
{
    return f->deadline;
}

enum front_event_type front_event(struct front *f)
{
    for (unsigned type = FRONT_EVENT_LOGIN; type <= FRONT_EVENT_DROP; type++) {
        if (f->events & 1U << type) {
            f->events &= (uint8_t) ~(1U << type);
            return (enum front_event_type)type;
        }
    }
    return FRONT_EVENT_NONE;
}

static void answer_connect(struct front *f)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    f->out = established;
    f->out_len = sizeof(established) - 1;
    forget_request(f);
}

void front_connected(struct front *f, const struct addr *bound)
{
    if (f->state != FRONT_CONNECTING) {
        return;
    }
    if (f->kind == FRONT_SOCKS5) {
        socks5_reply(&f->as.socks5, SOCKS5_REP_OK, bound);
    } else if (f->kind == FRONT_SOCKS4) {
        socks4_reply(&f->as.socks4, true, bound);
    } else if (f->kind == FRONT_HTTP && f->request.form == HTTPREQ_CONNECT) {
        answer_connect(f);
    }
    bool relays = f->kind == FRONT_HTTP && f->request.form == HTTPREQ_ABSOLUTE;
    front_set_state(f, relays ? FRONT_RELAYING : FRONT_OPEN, TIME_NEVER);
}

bool front_bound(struct front *f, const struct addr *at, uint64_t now)
{
    if (f->state != FRONT_CONNECTING) {
        return true;
    }
    if (f->kind == FRONT_SOCKS4 && !socks4_bound(&f->as.socks4, at)) {
        return false;
    }
    if (f->kind == FRONT_SOCKS5) {
        socks5_bound(&f->as.socks5, at);
    }
    f->deadline = time_add(now, f->times.bind);
    return true;
}

void front_failed(struct front *f, enum cause cause, uint64_t now)
{
    char text[TARGET_TEXT_MAX];
    if (f->state != FRONT_CONNECTING && f->state != FRONT_RELAYING) {
        return;
    }
    if (f->kind == FRONT_SOCKS5) {
        socks5_reply(&f->as.socks5, front_rep(cause), NULL);
    } else if (f->kind == FRONT_SOCKS4) {
        socks4_reply(&f->as.socks4, false, NULL);
    } else if (f->kind == FRONT_HTTP) {
        front_show_error(f, page_status(cause), target_format(&f->request.target, text),
                         cause_text(cause));
    }
    f->events = 0; /* an expiry not looked at yet is settled by this */
    if (f->kind == FRONT_FIXED) {
        front_set_state(f, FRONT_CLOSING, TIME_NEVER);
        front_post(f, FRONT_EVENT_DROP); /* there are no words to say it in */
    } else {
        front_begin_closing(f, now);
    }
}

void front_answered(struct front *f, bool keep, uint64_t now)
{
    CHECK(f->state == FRONT_RELAYING);
    if (!keep) {
        front_begin_closing(f, now);
        return;
    }
    sodium_memzero(f->http->head, f->http->head_len);
    httpmsg_reset(f->http, false);
    f->resting = true;
    front_set_state(f, FRONT_NEGOTIATING, time_add(now, f->times.idle));
}

void front_again(struct front *f, uint64_t now)
{
    CHECK(f->state == FRONT_RELAYING);
    front_begin_connecting(f, now);
}

enum front_state front_state(const struct front *f)
{
    return f->state;
}

enum socks5_command front_command(const struct front *f)
{
    if (f->kind == FRONT_SOCKS5) {
        return socks5_command(&f->as.socks5);
    }
    bool binds = f->kind == FRONT_SOCKS4 && socks4_command(&f->as.socks4) == SOCKS4_BIND;
    return binds ? SOCKS5_BIND : SOCKS5_CONNECT;
}

const struct target *front_target(const struct front *f)
{
    CHECK(f->kind != FRONT_UNKNOWN);
    switch (f->kind) {
    case FRONT_SOCKS5:
        return socks5_target(&f->as.socks5);
    case FRONT_SOCKS4:
        return socks4_target(&f->as.socks4);
    case FRONT_FIXED:
        return &f->as.fixed;
    case FRONT_HTTP:
    case FRONT_UNKNOWN:
        break;
    }
    return &f->request.target;
}

struct httpmsg *front_http(const struct front *f)
{
    return f->http;
}

const struct httpreq *front_request(const struct front *f)
{
    return &f->request;
}
