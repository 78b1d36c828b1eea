#include "proto/httpedit.h"

#include <base/bytes.h>
#include <base/check.h>

#include <string.h>

static void put(struct writer *w, const char *text)
{
    write_bytes(w, text, strlen(text));
}

static void put_text(struct writer *w, const struct httpmsg_text *t)
{
    write_bytes(w, t->at, t->len);
}

static bool is_one_of(const struct httpmsg_text *name, const char *const *words)
{
    for (; *words; words++) {
        if (httpmsg_text_is(name, *words)) {
            return true;
        }
    }
    return false;
}

static bool passes(const struct httpmsg *m, const struct httpmsg_text *name)
{
    static const char *const never[] = {
        "connection",          "proxy-connection",   "keep-alive", "te",
        "proxy-authorization", "proxy-authenticate", "upgrade",    NULL};
    static const char *const always[] = {"host", "content-length", "transfer-encoding", NULL};
    if (is_one_of(name, never)) {
        return false;
    }
    return is_one_of(name, always) ||
           (!httpmsg_lists(m, "connection", name) && !httpmsg_lists(m, "proxy-connection", name));
}

/* `but` is left out as well; NULL = nothing. */
static void put_headers(struct writer *w, const struct httpmsg *m, const char *but)
{
    for (size_t i = 0; i < m->header_count; i++) {
        const struct httpmsg_header *h = &m->headers[i];
        if (passes(m, &h->name) && !(but && httpmsg_text_is(&h->name, but))) {
            put_text(w, &h->name);
            put(w, ": ");
            put_text(w, &h->value);
            put(w, "\r\n");
        }
    }
}

static void put_upgrade(struct writer *w, const struct httpmsg *m)
{
    put(w, "Connection: upgrade\r\nUpgrade: ");
    put_text(w, &httpmsg_find(m, "upgrade")->value);
    put(w, "\r\n");
}

static size_t finish(struct writer *w)
{
    put(w, "\r\n");
    CHECK(!w->failed);
    return writer_len(w);
}

/* Each line may have come with LF alone and without a blank behind its colon. */
size_t httpedit_room(const struct httpmsg *m)
{
    return m->head_len + 2 * m->header_count + HTTPEDIT_MORE + m->url.len;
}

size_t httpedit_request(char *out, size_t cap, const struct httpmsg *m, const struct httpreq *r)
{
    struct writer w = writer_of(out, cap);
    put(&w, httpmsg_method(m));
    put(&w, " ");
    if (r->path.len == 0 || r->path.at[0] != '/') {
        put(&w, "/");
    }
    put_text(&w, &r->path);
    put(&w, m->parser.http_minor == 0 ? " HTTP/1.0\r\nHost: " : " HTTP/1.1\r\nHost: ");
    put_text(&w, &r->authority);
    put(&w, "\r\n");
    put_headers(&w, m, "host");
    if (r->upgrade) {
        put_upgrade(&w, m);
    }
    return finish(&w);
}

/* The first line up to its end, without CR. */
static struct httpmsg_text first_line(const struct httpmsg *m)
{
    struct httpmsg_text line = {m->head, 0};
    while (line.len < m->head_len && !strchr("\r\n", m->head[line.len])) {
        line.len++;
    }
    return line;
}

size_t httpedit_response(char *out, size_t cap, const struct httpmsg *m, bool keep)
{
    struct writer w = writer_of(out, cap);
    struct httpmsg_text line = first_line(m);
    put_text(&w, &line);
    put(&w, "\r\n");
    put_headers(&w, m, NULL);
    if (httpmsg_status(m) == 101 && httpmsg_upgrades(m)) {
        put_upgrade(&w, m);
    } else if (httpmsg_status(m) >= 200) {
        put(&w, keep ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
    }
    return finish(&w);
}
