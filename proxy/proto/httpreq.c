#include "proto/httpreq.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

enum { HTTP_PORT = 80 };

static const char scheme[] = "http://";
enum { SCHEME_LEN = sizeof(scheme) - 1 };

/* "host", "host:port", "[v6]", "[v6]:port"; without a port, or with an empty one, it is 80. */
static bool read_authority(struct target *t, const struct httpmsg_text *a)
{
    const char *close = a->len && a->at[0] == '[' ? memchr(a->at, ']', a->len) : NULL;
    const char *from = close ? close : a->at;
    const char *colon = memchr(from, ':', a->len - (size_t)(from - a->at));
    size_t host_len = colon ? (size_t)(colon - a->at) : a->len;
    if (colon && host_len + 1 < a->len) {
        return target_parse(t, a->at, a->len) == 0;
    }
    return target_set_name(t, a->at, host_len, HTTP_PORT) == 0;
}

static const char *read_absolute(struct httpreq *r, const struct httpmsg_text *url)
{
    size_t from = SCHEME_LEN;
    size_t to = from;
    for (; to < url->len && !strchr("/?#", url->at[to]); to++) {
        if (url->at[to] == '@') {
            from = to + 1; /* a user name is nobody's business but the target's */
        }
    }
    size_t end = to;
    while (end < url->len && url->at[end] != '#') {
        end++; /* a fragment is not sent on */
    }
    r->authority = (struct httpmsg_text){url->at + from, to - from};
    r->path = (struct httpmsg_text){url->at + to, end - to};
    return read_authority(&r->target, &r->authority) ? NULL : "malformed host in the URL";
}

static const char *read_target(struct httpreq *r, const struct httpmsg *m)
{
    const struct httpmsg_text *url = &m->url;
    if (m->parser.method == HTTP_CONNECT) {
        r->form = HTTPREQ_CONNECT;
        bool good = target_parse(&r->target, url->at, url->len) == 0;
        return good ? NULL : "CONNECT wants HOST:PORT";
    }
    if (url->len >= SCHEME_LEN && strncasecmp(url->at, scheme, SCHEME_LEN) == 0) {
        r->form = HTTPREQ_ABSOLUTE;
        return read_absolute(r, url);
    }
    if (url->len > 0 && url->at[0] == '/') {
        r->form = HTTPREQ_ORIGIN;
        r->path = *url;
        return NULL;
    }
    return "only http:// URLs and CONNECT are served here";
}

const char *httpreq_read(struct httpreq *r, const struct httpmsg *m)
{
    *r = (struct httpreq){0};
    if (m->parser.http_major != 1) {
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    }
    r->head = m->parser.method == HTTP_HEAD;
    r->get = r->head || m->parser.method == HTTP_GET;
    r->keep_alive = httpmsg_keeps_alive(m);
    r->upgrade = m->parser.http_minor > 0 && httpmsg_upgrades(m);
    return read_target(r, m);
}

bool httpreq_login(struct httpreq_login *l, const struct httpmsg *m)
{
    static const char basic[] = "Basic ";
    const struct httpmsg_header *h = httpmsg_find(m, "proxy-authorization");
    size_t skip = sizeof(basic) - 1;
    size_t len = 0;
    const char *end = NULL;
    if (!h || h->value.len <= skip || strncasecmp(h->value.at, basic, skip) != 0) {
        return false;
    }
    const char *text = h->value.at + skip;
    size_t text_len = h->value.len - skip;
    if (sodium_base642bin((unsigned char *)l->buf, sizeof(l->buf), text, text_len, " ", &len, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text + text_len) {
        return false;
    }
    const char *colon = memchr(l->buf, ':', len);
    if (!colon) {
        return false;
    }
    l->user = l->buf;
    l->user_len = (size_t)(colon - l->buf);
    l->password = colon + 1;
    l->password_len = len - l->user_len - 1;
    return true;
}
