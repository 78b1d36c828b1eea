#include "proto/httpmsg.h"

#include <base/check.h>
#include <base/mem.h>

#include <string.h>
#include <strings.h>

/* Pieces of one text come in order and lie side by side, since they are parsed in place. */
static bool extend(struct httpmsg_text *t, const char *at, size_t len)
{
    if (t->at && at != t->at + t->len) {
        return false;
    }
    t->at = t->at ? t->at : at;
    t->len += len;
    return true;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct httpmsg *m = parser->data;
    return extend(&m->url, at, len) ? 0 : 1;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
    struct httpmsg *m = parser->data;
    struct httpmsg_header *last = m->header_count ? &m->headers[m->header_count - 1] : NULL;
    if (m->headers_done) {
        return 0; /* a trailer behind the last chunk: passed on like the body */
    }
    if (last && !last->value.at && at == last->name.at + last->name.len) {
        last->name.len += len;
        return 0;
    }
    if (m->header_count == HTTPMSG_HEADERS_MAX) {
        return 1;
    }
    m->headers[m->header_count++] = (struct httpmsg_header){.name = {at, len}};
    return 0;
}

/* A folded line arrives as a second piece that does not adjoin: an error. */
static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct httpmsg *m = parser->data;
    if (m->headers_done) {
        return 0;
    }
    CHECK(m->header_count > 0);
    return extend(&m->headers[m->header_count - 1].value, at, len) ? 0 : 1;
}

static void trim(struct httpmsg_text *t)
{
    while (t->len > 0 && (t->at[t->len - 1] == ' ' || t->at[t->len - 1] == '\t')) {
        t->len--;
    }
}

/* The library may be built to let blanks pass; "Transfer-Encoding : chunked" is a header to one
 * reader and none to the next (RFC 9112 section 5.1). */
static bool is_plain_name(const struct httpmsg_text *name)
{
    return name->len > 0 && !memchr(name->at, ' ', name->len) && !memchr(name->at, '\t', name->len);
}

/* HTTP/1.0 has no chunks: whoever speaks only that takes them for the body itself, or for the next
 * request (RFC 9112 section 6.1). */
static bool has_chunks_of_no_version(const http_parser *parser)
{
    return parser->http_minor == 0 && (parser->flags & F_CHUNKED) != 0;
}

/* 1 tells the parser that there is no body, -1 that it shall stop. */
static int on_headers_complete(http_parser *parser)
{
    struct httpmsg *m = parser->data;
    m->headers_done = true;
    for (size_t i = 0; i < m->header_count; i++) {
        trim(&m->headers[i].value);
        if (!is_plain_name(&m->headers[i].name)) {
            return -1;
        }
    }
    if (m->kind == HTTPMSG_REQUEST) {
        parser->upgrade = 0; /* the answer decides; until then this is a request like others */
        return has_chunks_of_no_version(parser) ? -1 : 0;
    }
    unsigned status = parser->status_code;
    bool never = status / 100 == 1 || status == 204 || status == 304; /* RFC 9112 section 6.3 */
    return m->no_body || never ? 1 : 0;
}

static int on_message_complete(http_parser *parser)
{
    struct httpmsg *m = parser->data;
    m->state = HTTPMSG_DONE;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

struct httpmsg *httpmsg_new(enum httpmsg_kind kind)
{
    size_t max = kind == HTTPMSG_REQUEST ? HTTPMSG_REQUEST_HEAD_MAX : HTTPMSG_RESPONSE_HEAD_MAX;
    struct httpmsg *m = mem_new(1, sizeof(*m) + max);
    if (m) {
        m->kind = kind;
        m->head_max = max;
        httpmsg_reset(m, false);
    }
    return m;
}

void httpmsg_reset(struct httpmsg *m, bool no_body)
{
    m->state = HTTPMSG_HEAD;
    m->no_body = no_body;
    m->headers_done = false;
    m->url = (struct httpmsg_text){0};
    m->header_count = 0;
    m->head_len = 0;
    http_parser_init(&m->parser, m->kind == HTTPMSG_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE);
    m->parser.data = m;
}

/* The parser gets the head in one piece, once it is whole. */
static void parse_head(struct httpmsg *m)
{
    size_t n = http_parser_execute(&m->parser, &settings, m->head, m->head_len);
    enum http_errno err = HTTP_PARSER_ERRNO(&m->parser);
    bool whole = m->headers_done && n == m->head_len;
    if (!whole || (err != HPE_OK && err != HPE_PAUSED)) {
        m->state = HTTPMSG_BAD;
    } else if (m->state == HTTPMSG_HEAD) {
        m->state = m->kind == HTTPMSG_RESPONSE && m->parser.upgrade ? HTTPMSG_DONE : HTTPMSG_BODY;
    }
}

/* An empty line ends the head; lines end with LF, with or without CR. */
static bool ends_head(const struct httpmsg *m)
{
    const char *end = m->head + m->head_len;
    return (m->head_len >= 2 && end[-1] == '\n' && end[-2] == '\n') ||
           (m->head_len >= 3 && end[-1] == '\n' && end[-2] == '\r' && end[-3] == '\n');
}

static void take_head_byte(struct httpmsg *m, char byte)
{
    bool empty = m->head_len == 0 && (byte == '\r' || byte == '\n'); /* RFC 9112 section 2.2 */
    if (empty && m->kind == HTTPMSG_REQUEST) {
        return;
    }
    m->head[m->head_len++] = byte;
    if (byte == '\n' && ends_head(m)) {
        parse_head(m);
    } else if (m->head_len == m->head_max) {
        m->state = HTTPMSG_TOO_LONG;
    }
}

size_t httpmsg_head(struct httpmsg *m, const void *data, size_t len)
{
    const char *at = data;
    size_t taken = 0;
    CHECK(m->state == HTTPMSG_HEAD);
    while (taken < len && m->state == HTTPMSG_HEAD) {
        take_head_byte(m, at[taken++]);
    }
    return taken;
}

size_t httpmsg_body(struct httpmsg *m, const void *data, size_t len)
{
    CHECK(m->state == HTTPMSG_BODY);
    if (len == 0) {
        return 0; /* to the parser that would be the end */
    }
    size_t n = http_parser_execute(&m->parser, &settings, data, len);
    enum http_errno err = HTTP_PARSER_ERRNO(&m->parser);
    if (err != HPE_OK && err != HPE_PAUSED) {
        m->state = HTTPMSG_BAD;
    }
    return n;
}

void httpmsg_end(struct httpmsg *m)
{
    if (m->state == HTTPMSG_BODY) {
        (void)http_parser_execute(&m->parser, &settings, NULL, 0);
    }
    if (m->state != HTTPMSG_DONE) {
        m->state = HTTPMSG_BAD;
    }
}

const struct httpmsg_header *httpmsg_find(const struct httpmsg *m, const char *name)
{
    for (size_t i = 0; i < m->header_count; i++) {
        if (httpmsg_text_is(&m->headers[i].name, name)) {
            return &m->headers[i];
        }
    }
    return NULL;
}

bool httpmsg_text_is(const struct httpmsg_text *t, const char *word)
{
    return t->len == strlen(word) && strncasecmp(t->at, word, t->len) == 0;
}

static bool list_has(const struct httpmsg_text *list, const struct httpmsg_text *word)
{
    const char *at = list->at;
    const char *end = list->at + list->len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *to = comma ? comma : end;
        while (at < to && (*at == ' ' || *at == '\t')) {
            at++;
        }
        struct httpmsg_text item = {at, (size_t)(to - at)};
        trim(&item);
        if (item.len == word->len && strncasecmp(item.at, word->at, item.len) == 0) {
            return true;
        }
        at = comma ? comma + 1 : end;
    }
    return false;
}

bool httpmsg_lists(const struct httpmsg *m, const char *name, const struct httpmsg_text *word)
{
    for (size_t i = 0; i < m->header_count; i++) {
        const struct httpmsg_header *h = &m->headers[i];
        if (httpmsg_text_is(&h->name, name) && list_has(&h->value, word)) {
            return true;
        }
    }
    return false;
}

const char *httpmsg_method(const struct httpmsg *m)
{
    return http_method_str((enum http_method)m->parser.method);
}

unsigned httpmsg_status(const struct httpmsg *m)
{
    return m->parser.status_code;
}

bool httpmsg_keeps_alive(const struct httpmsg *m)
{
    return http_should_keep_alive(&m->parser) != 0;
}

bool httpmsg_ends_itself(const struct httpmsg *m)
{
    return m->state == HTTPMSG_DONE || (m->parser.flags & F_CHUNKED) != 0 ||
           m->parser.content_length != UINT64_MAX;
}

bool httpmsg_upgrades(const struct httpmsg *m)
{
    static const struct httpmsg_text upgrade = {"upgrade", 7};
    return httpmsg_find(m, "upgrade") && httpmsg_lists(m, "connection", &upgrade);
}
