#include "session/front.h"

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

static void set_state(struct front *f, enum front_state state, uint64_t deadline)
{
    f->state = state;
    f->deadline = deadline;
}

static void post(struct front *f, enum front_event_type type)
{
    f->events |= (uint8_t)(1U << type);
}

static void begin_closing(struct front *f, uint64_t now)
{
    set_state(f, FRONT_CLOSING, time_add(now, f->times.linger));
    post(f, FRONT_EVENT_CLOSE);
}

static void begin_connecting(struct front *f, uint64_t now)
{
    set_state(f, FRONT_CONNECTING, time_add(now, f->times.connect));
    post(f, FRONT_EVENT_CONNECT);
}

static void fault(struct front *f, enum front_fault what, const char *why, uint64_t now)
{
    f->fault = what;
    f->why = why;
    begin_closing(f, now);
}

void front_init(struct front *f, const struct front_times *times,
                const struct front_options *options, uint64_t now)
{
    *f = (struct front){.times = *times};
    f->password_needed = options && options->password_needed;
    if (options && options->fixed) {
        f->kind = FRONT_FIXED;
        f->as.fixed = *options->fixed;
        begin_connecting(f, now);
    } else {
        set_state(f, FRONT_NEGOTIATING, time_add(now, times->negotiate));
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

static bool sniff(struct front *f, uint8_t first, uint64_t now)
{
    enum sniff what = sniff_byte(first);
    switch (what) {
    case SNIFF_SOCKS5:
        f->kind = FRONT_SOCKS5;
        socks5_init(&f->as.socks5, f->password_needed);
        return true;
    case SNIFF_SOCKS4:
        f->kind = FRONT_SOCKS4;
        socks4_init(&f->as.socks4);
        return true;
    case SNIFF_HTTP:
        f->http = httpmsg_new(HTTPMSG_REQUEST);
        f->kind = f->http ? FRONT_HTTP : FRONT_UNKNOWN;
        if (f->http) {
            return true;
        }
        break;
    case SNIFF_TLS:
    case SNIFF_OTHER:
        break;
    }
    fault(f, FRONT_FAULT_PROTOCOL, sniff_name(what), now);
    return false;
}

static void look_at_socks5(struct front *f, uint64_t now)
{
    switch (socks5_state(&f->as.socks5)) {
    case SOCKS5_LOGIN:
        post(f, FRONT_EVENT_LOGIN);
        break;
    case SOCKS5_REQUEST:
        begin_connecting(f, now);
        break;
    case SOCKS5_FAILED:
        fault(f, f->as.socks5.no_password ? FRONT_FAULT_LOGIN : FRONT_FAULT_REQUEST,
              socks5_why(&f->as.socks5), now);
        break;
    case SOCKS5_GREETING:
    case SOCKS5_PASSWORD:
    case SOCKS5_READING:
    case SOCKS5_OPEN:
        break;
    }
}

/* SOCKS4 has no password to give. */
static void look_at_socks4(struct front *f, uint64_t now)
{
    enum socks4_state state = socks4_state(&f->as.socks4);
    if (state == SOCKS4_REQUEST && f->password_needed) {
        socks4_reply(&f->as.socks4, false, NULL);
        fault(f, FRONT_FAULT_LOGIN, "SOCKS4 where a password is asked for", now);
    } else if (state == SOCKS4_REQUEST) {
        begin_connecting(f, now);
    } else if (state == SOCKS4_FAILED) {
        fault(f, FRONT_FAULT_REQUEST, socks4_why(&f->as.socks4), now);
    }
}

/* Without memory there is no answer, only the end. */
static void show(struct front *f, char *page, size_t len)
{
    mem_free(f->page);
    f->page = page;
    f->out = page;
    f->out_len = page ? len : 0;
}

static void show_error(struct front *f, unsigned status, const char *about, const char *sentence)
{
    size_t len = 0;
    char *page = page_error(status, about, sentence, f->request.head, &len);
    show(f, page, len);
}

static void refuse_http(struct front *f, unsigned status, const char *why, uint64_t now)
{
    show_error(f, status, NULL, why);
    fault(f, status == 407 ? FRONT_FAULT_LOGIN : FRONT_FAULT_REQUEST, why, now);
}

/* The front's own pages: there is one. */
static void look_at_path(struct front *f, uint64_t now)
{
    static const char pac[] = "/proxy.pac";
    const struct httpmsg_text *path = &f->request.path;
    if (path->len != sizeof(pac) - 1 || memcmp(path->at, pac, path->len) != 0) {
        refuse_http(f, 404, "This is a proxy, and no web server but for /proxy.pac", now);
    } else if (!f->request.get) {
        refuse_http(f, 405, "The PAC file can only be fetched", now);
    } else {
        post(f, FRONT_EVENT_PAC);
    }
}

static void admit_http(struct front *f, uint64_t now)
{
    if (f->request.form == HTTPREQ_ORIGIN) {
        look_at_path(f, now);
    } else {
        begin_connecting(f, now);
    }
}

static void look_at_http(struct front *f, uint64_t now)
{
    struct httpreq_login login;
    enum httpmsg_state state = f->http->state;
    if (state == HTTPMSG_HEAD) {
        return;
    }
    if (state == HTTPMSG_TOO_LONG) {
        refuse_http(f, 431, "The request's head is longer than 8 KiB", now);
        return;
    }
    const char *why =
        state == HTTPMSG_BAD ? "The request is malformed" : httpreq_read(&f->request, f->http);
    if (why) {
        refuse_http(f, 400, why, now);
    } else if (!f->password_needed) {
        admit_http(f, now);
    } else if (httpreq_login(&login, f->http)) {
        sodium_memzero(&login, sizeof(login));
        post(f, FRONT_EVENT_LOGIN);
    } else {
        refuse_http(f, 407, "This proxy wants a user name and a password", now);
    }
}

static size_t input_http(struct front *f, const void *data, size_t len, uint64_t now)
{
    if (f->http->state != HTTPMSG_HEAD) {
        return 0; /* a login or a page is being looked at */
    }
    size_t taken = httpmsg_head(f->http, data, len);
    look_at_http(f, now);
    return taken;
}

static size_t input_kind(struct front *f, const void *data, size_t len, uint64_t now)
{
    size_t taken = 0;
    switch (f->kind) {
    case FRONT_SOCKS5:
        taken = socks5_input(&f->as.socks5, data, len);
        look_at_socks5(f, now);
        break;
    case FRONT_SOCKS4:
        taken = socks4_input(&f->as.socks4, data, len);
        look_at_socks4(f, now);
        break;
    case FRONT_HTTP:
        taken = input_http(f, data, len, now);
        break;
    case FRONT_UNKNOWN:
    case FRONT_FIXED:
        break;
    }
    return taken;
}

size_t front_input(struct front *f, const void *data, size_t len, uint64_t now)
{
    if (f->state == FRONT_CLOSING) {
        return len;
    }
    if (f->state != FRONT_NEGOTIATING || len == 0) {
        return 0;
    }
    if (f->kind == FRONT_UNKNOWN && !sniff(f, *(const uint8_t *)data, now)) {
        return len;
    }
    size_t taken = input_kind(f, data, len, now);
    return f->state == FRONT_CLOSING ? len : taken;
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

void front_login(const struct front *f, struct httpreq_login *out)
{
    if (f->kind == FRONT_HTTP) {
        CHECK(httpreq_login(out, f->http));
        return;
    }
    struct socks5_login l = socks5_login(&f->as.socks5);
    memcpy(out->buf, l.user, l.user_len);
    memcpy(out->buf + l.user_len, l.password, l.password_len);
    out->user = out->buf;
    out->user_len = l.user_len;
    out->password = out->buf + l.user_len;
    out->password_len = l.password_len;
}

void front_authorize(struct front *f, bool right, uint64_t now)
{
    static const char wrong[] = "The user name or the password is wrong";
    CHECK(f->state == FRONT_NEGOTIATING);
    if (f->kind == FRONT_SOCKS5) {
        socks5_authorize(&f->as.socks5, right);
    }
    if (!right && f->kind == FRONT_HTTP) {
        refuse_http(f, 407, wrong, now);
    } else if (!right) {
        fault(f, FRONT_FAULT_LOGIN, wrong, now);
    } else if (f->kind == FRONT_HTTP) {
        admit_http(f, now);
    }
}

void front_show(struct front *f, unsigned status, const char *type, const char *text, uint64_t now)
{
    /* No other site's script may run it or look into it. */
    const struct page p = {.status = status,
                           .type = type,
                           .extra = "Cross-Origin-Resource-Policy: same-origin\r\n",
                           .body = text,
                           .head_only = f->request.head};
    size_t len = 0;
    CHECK(f->state == FRONT_NEGOTIATING && f->kind == FRONT_HTTP);
    char *page = page_make(&p, &len);
    show(f, page, len);
    begin_closing(f, now);
}

/* Between two requests of one connection nobody owes anything. */
static void expire_negotiation(struct front *f, uint64_t now)
{
    if (f->resting && f->http->head_len == 0) {
        f->deadline = TIME_NEVER;
        post(f, FRONT_EVENT_DROP);
    } else {
        fault(f, FRONT_FAULT_SLOW, "no request in time", now);
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
        post(f, FRONT_EVENT_EXPIRED);
        break;
    case FRONT_CLOSING:
        f->deadline = TIME_NEVER;
        post(f, FRONT_EVENT_DROP);
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
    set_state(f, relays ? FRONT_RELAYING : FRONT_OPEN, TIME_NEVER);
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
        show_error(f, page_status(cause), target_format(&f->request.target, text),
                   cause_text(cause));
    }
    f->events = 0; /* an expiry not looked at yet is settled by this */
    if (f->kind == FRONT_FIXED) {
        set_state(f, FRONT_CLOSING, TIME_NEVER);
        post(f, FRONT_EVENT_DROP); /* there are no words to say it in */
    } else {
        begin_closing(f, now);
    }
}

void front_answered(struct front *f, bool keep, uint64_t now)
{
    CHECK(f->state == FRONT_RELAYING);
    if (!keep) {
        begin_closing(f, now);
        return;
    }
    sodium_memzero(f->http->head, f->http->head_len);
    httpmsg_reset(f->http, false);
    f->resting = true;
    set_state(f, FRONT_NEGOTIATING, time_add(now, f->times.idle));
}

void front_again(struct front *f, uint64_t now)
{
    CHECK(f->state == FRONT_RELAYING);
    begin_connecting(f, now);
}

enum front_state front_state(const struct front *f)
{
    return f->state;
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
