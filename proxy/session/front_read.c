/* What the client says, until it is a request: protocol, login, target. */
#include "session/front_internal.h"

#include "session/page.h"

#include <base/check.h>

#include <sodium.h>
#include <string.h>

static bool sniff(struct front *f, uint8_t first, uint64_t now)
{
    enum sniff what = sniff_byte(first);
    switch (what) {
    case SNIFF_SOCKS5:
        f->kind = FRONT_SOCKS5;
        socks5_init(&f->as.socks5, f->password_needed);
        f->as.socks5.name_wanted = f->name_wanted;
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
    front_blame(f, FRONT_FAULT_PROTOCOL, sniff_name(what), now);
    return false;
}

static void look_at_socks5(struct front *f, uint64_t now)
{
    switch (socks5_state(&f->as.socks5)) {
    case SOCKS5_LOGIN:
        front_post(f, FRONT_EVENT_LOGIN);
        break;
    case SOCKS5_REQUEST:
        front_begin_connecting(f, now);
        break;
    case SOCKS5_FAILED:
        front_blame(f, f->as.socks5.no_password ? FRONT_FAULT_LOGIN : FRONT_FAULT_REQUEST,
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
        front_blame(f, FRONT_FAULT_LOGIN, "SOCKS4 where a password is asked for", now);
    } else if (state == SOCKS4_REQUEST && f->name_wanted && f->as.socks4.user_len > 0) {
        front_post(f, FRONT_EVENT_LOGIN);
    } else if (state == SOCKS4_REQUEST) {
        front_begin_connecting(f, now);
    } else if (state == SOCKS4_FAILED) {
        front_blame(f, FRONT_FAULT_REQUEST, socks4_why(&f->as.socks4), now);
    }
}

static void refuse_http(struct front *f, unsigned status, const char *why, uint64_t now)
{
    front_show_error(f, status, NULL, why);
    front_blame(f, status == 407 ? FRONT_FAULT_LOGIN : FRONT_FAULT_REQUEST, why, now);
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
        front_post(f, FRONT_EVENT_PAC);
    }
}

static void admit_http(struct front *f, uint64_t now)
{
    if (f->request.form == HTTPREQ_ORIGIN) {
        look_at_path(f, now);
    } else {
        front_begin_connecting(f, now);
    }
}

static bool has_login(const struct front *f)
{
    struct httpreq_login login;
    bool has = httpreq_login(&login, f->http);
    sodium_memzero(&login, sizeof(login));
    return has;
}

static void look_at_http(struct front *f, uint64_t now)
{
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
    } else if ((f->password_needed || f->name_wanted) && has_login(f)) {
        front_post(f, FRONT_EVENT_LOGIN);
    } else if (!f->password_needed) {
        admit_http(f, now);
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

void front_login(const struct front *f, struct httpreq_login *out)
{
    if (f->kind == FRONT_HTTP) {
        CHECK(httpreq_login(out, f->http));
        return;
    }
    struct socks5_login l = {0};
    if (f->kind == FRONT_SOCKS5) {
        l = socks5_login(&f->as.socks5);
    } else {
        l.user = f->as.socks4.user;
        l.user_len = (uint8_t)f->as.socks4.user_len;
    }
    memcpy(out->buf, l.user, l.user_len);
    if (l.password_len > 0) {
        memcpy(out->buf + l.user_len, l.password, l.password_len);
    }
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
        front_blame(f, FRONT_FAULT_LOGIN, wrong, now);
    } else if (f->kind == FRONT_HTTP) {
        admit_http(f, now);
    } else if (f->kind == FRONT_SOCKS4) {
        front_begin_connecting(f, now);
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
    front_take_page(f, page, len);
    front_begin_closing(f, now);
}
