/* The HTTP/1.1 request in front of every connection: an upgrade to DERP, or a small question. */
#include "relay/relay_server_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <http_parser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    PATH_MAX_LEN = 64, /* our longest path is far shorter */
    NAME_MAX_LEN = 32,
    VALUE_MAX_LEN = 64, /* a longer challenge is not answered */
    ANSWER_MAX = 1024,
};

/* Bytes that may arrive in pieces; what does not fit makes it match nothing. */
struct piece {
    char text[VALUE_MAX_LEN + 1];
    size_t len;
    bool too_long;
};

struct http_stage {
    http_parser parser;
    size_t bytes;
    struct piece path;
    struct piece name;
    struct piece value;
    bool in_value;
    bool complete;
    bool has_host;
    bool wants_derp;
    bool wants_websocket;
    bool ws_derp;    /* the sub-protocol */
    bool ws_version; /* 13 */
    struct piece ws_key;
    bool fast_start;
    bool forwarded; /* by a proxy: its address is not the one that asks */
    struct piece challenge;
};

struct answer {
    const char *status;
    const char *headers; /* each with its CRLF */
    const char *body;
    const char *type; /* NULL = plain text */
};

#define NO_CACHE "Cache-Control: no-cache, no-store, must-revalidate, no-transform, max-age=0\r\n"

static void append(struct piece *p, size_t max, const char *at, size_t len)
{
    CHECK(max < sizeof(p->text));
    if (len > max - p->len) {
        p->too_long = true;
        return;
    }
    memcpy(p->text + p->len, at, len);
    p->len += len;
    p->text[p->len] = '\0';
}

static bool is_text(const struct piece *p, const char *text)
{
    return !p->too_long && strcasecmp(p->text, text) == 0;
}

/* "a, derp" */
static bool lists(const struct piece *p, const char *word)
{
    static const char between[] = ", \t";
    for (const char *at = p->text + strspn(p->text, between); *at && !p->too_long;
         at += strspn(at, between)) {
        size_t len = strcspn(at, between);
        if (len == strlen(word) && strncasecmp(at, word, len) == 0) {
            return true;
        }
        at += len;
    }
    return false;
}

static void finish_header(struct http_stage *h)
{
    if (is_text(&h->name, "host")) {
        h->has_host = true;
    } else if (is_text(&h->name, "upgrade")) {
        h->wants_derp = is_text(&h->value, "derp");
        h->wants_websocket = is_text(&h->value, "websocket");
    } else if (is_text(&h->name, "sec-websocket-protocol")) {
        h->ws_derp = h->ws_derp || lists(&h->value, "derp");
    } else if (is_text(&h->name, "sec-websocket-version")) {
        h->ws_version = is_text(&h->value, "13");
    } else if (is_text(&h->name, "sec-websocket-key")) {
        h->ws_key = h->value;
    } else if (is_text(&h->name, "derp-fast-start")) {
        h->fast_start = is_text(&h->value, "1");
    } else if (is_text(&h->name, "x-tailscale-challenge")) {
        h->challenge = h->value;
    } else if (is_text(&h->name, "x-forwarded-for") || is_text(&h->name, "forwarded") ||
               is_text(&h->name, "via")) {
        h->forwarded = true;
    }
    h->name = (struct piece){0};
    h->value = (struct piece){0};
    h->in_value = false;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http_stage *h = parser->data;
    append(&h->path, PATH_MAX_LEN, at, len);
    return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
    struct http_stage *h = parser->data;
    if (h->in_value) {
        finish_header(h);
    }
    append(&h->name, NAME_MAX_LEN, at, len);
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
    struct http_stage *h = parser->data;
    h->in_value = true;
    append(&h->value, VALUE_MAX_LEN, at, len);
    return 0;
}

/* 2: what follows is not HTTP any more, or does not interest us. */
static int on_headers_complete(http_parser *parser)
{
    struct http_stage *h = parser->data;
    finish_header(h);
    h->complete = true;
    return 2;
}

int server_http_open(struct relay_conn *c)
{
    c->http = mem_new(1, sizeof(*c->http));
    if (!c->http) {
        return ERR_NO_MEMORY;
    }
    http_parser_init(&c->http->parser, HTTP_REQUEST);
    c->http->parser.data = c->http;
    return 0;
}

void server_http_close(struct relay_conn *c)
{
    mem_free(c->http);
    c->http = NULL;
}

static bool send_text(struct relay_server *s, struct relay_conn *c, const char *text)
{
    size_t len = strlen(text);
    return len == 0 || server_send_control(s, c, text, len);
}

static void send_answer(struct relay_server *s, struct relay_conn *c, const struct answer *a)
{
    char text[ANSWER_MAX];
    const struct http_stage *h = c->http;
    bool head = h->complete && h->parser.method == HTTP_HEAD;
    bool has_body = strncmp(a->status, "204", 3) != 0;
    char length[48] = "";
    if (has_body) {
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(a->body));
    }
    int len = snprintf(
        text, sizeof(text), "HTTP/1.1 %s\r\n%s%sContent-Type: %s\r\nConnection: close\r\n\r\n",
        a->status, a->headers, length, a->type ? a->type : "text/plain; charset=utf-8");
    CHECK(len > 0 && (size_t)len < sizeof(text));
    server_set_state(s, c, CONN_ANSWER);
    if (!send_text(s, c, text) || !send_text(s, c, head ? "" : a->body)) {
        server_kill(s, c, RELAY_CLOSE_NO_MEMORY);
    }
}

static void refuse(struct relay_server *s, struct relay_conn *c, const char *status)
{
    char body[64];
    (void)snprintf(body, sizeof(body), "%s\n", status);
    send_answer(s, c, &(struct answer){.status = status, .headers = "", .body = body});
}

/* 101 and ServerKey in one piece, so that they travel in one segment; with fast start the key
 * alone: the client has already spoken and waits for no header. */
static void upgrade(struct relay_server *s, struct relay_conn *c)
{
    char out[512];
    char hex[2 * DERP_KEY + 1];
    int len = 0;
    if (!c->http->fast_start) {
        sodium_bin2hex(hex, sizeof(hex), s->public_key, DERP_KEY);
        len = snprintf(out, sizeof(out),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                       "Connection: Upgrade\r\nDerp-Version: %d\r\nDerp-Public-Key: %s\r\n\r\n",
                       DERP_VERSION, hex);
    }
    CHECK(len >= 0 && (size_t)len + DERP_SERVER_KEY_LEN <= sizeof(out));
    derp_write_server_key((uint8_t *)out + len, s->public_key);
    server_set_state(s, c, CONN_LOGIN);
    if (!server_send_control(s, c, out, (size_t)len + DERP_SERVER_KEY_LEN)) {
        server_kill(s, c, RELAY_CLOSE_NO_MEMORY);
        return;
    }
    server_http_close(c);
}

/* 101, outside of any message, and ServerKey, in the first one. */
static void upgrade_websocket(struct relay_server *s, struct relay_conn *c)
{
    char out[256];
    char accept[WS_ACCEPT_TEXT];
    uint8_t key[DERP_SERVER_KEY_LEN];
    if (!c->http->ws_version) {
        send_answer(s, c,
                    &(struct answer){.status = "426 Upgrade Required",
                                     .headers = "Sec-WebSocket-Version: 13\r\n",
                                     .body = "WebSocket is spoken in version 13\n"});
        return;
    }
    if (!ws_accept(accept, c->http->ws_key.text)) {
        refuse(s, c, ws_is_available() ? "400 Bad Request" : "501 Not Implemented");
        return;
    }
    int len = snprintf(out, sizeof(out),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                       "Sec-WebSocket-Protocol: derp\r\n\r\n",
                       accept);
    CHECK(len > 0 && (size_t)len < sizeof(out));
    derp_write_server_key(key, s->public_key);
    server_set_state(s, c, CONN_LOGIN);
    if (server_ws_open(c) || !server_send_control(s, c, out, (size_t)len) ||
        !server_send_control(s, c, key, sizeof(key))) {
        server_kill(s, c, RELAY_CLOSE_NO_MEMORY);
        return;
    }
    c->ws->raw_left = (size_t)len;
    server_http_close(c);
}

static void answer_derp(struct relay_server *s, struct relay_conn *c)
{
    const struct http_stage *h = c->http;
    bool upgrades = (h->parser.flags & F_CONNECTION_UPGRADE) != 0;
    if (h->wants_websocket && h->ws_derp && upgrades) {
        upgrade_websocket(s, c);
        return;
    }
    /* "websocket" without our sub-protocol is an ancient client that speaks plain DERP. */
    if (upgrades && (h->wants_derp || h->wants_websocket)) {
        upgrade(s, c);
        return;
    }
    send_answer(s, c,
                &(struct answer){.status = "426 Upgrade Required",
                                 .headers = "Upgrade: DERP\r\n",
                                 .body = "DERP requires connection upgrade\n"});
}

static bool is_plain(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
    return text[strspn(text, allowed)] == '\0';
}

static void answer_generate_204(struct relay_server *s, struct relay_conn *c)
{
    char headers[256];
    const struct piece *challenge = &c->http->challenge;
    bool echo = challenge->len > 0 && !challenge->too_long && is_plain(challenge->text);
    (void)snprintf(headers, sizeof(headers), NO_CACHE "%s%s%s",
                   echo ? "X-Tailscale-Response: response " : "", echo ? challenge->text : "",
                   echo ? "\r\n" : "");
    send_answer(s, c, &(struct answer){.status = "204 No Content", .headers = headers, .body = ""});
}

static void answer_ok(struct relay_server *s, struct relay_conn *c, const char *headers,
                      const char *body)
{
    send_answer(s, c, &(struct answer){.status = "200 OK", .headers = headers, .body = body});
}

static void answer_probe(struct relay_server *s, struct relay_conn *c)
{
    answer_ok(s, c, "Access-Control-Allow-Origin: *\r\n", "");
}

static void answer_healthz(struct relay_server *s, struct relay_conn *c)
{
    answer_ok(s, c, "", "ok\n");
}

static void answer_home(struct relay_server *s, struct relay_conn *c)
{
    answer_ok(s, c, "", "This is an Adit relay (DERP).\n");
}

/* What a proxy on this machine hands on comes from anywhere. */
static void answer_metrics(struct relay_server *s, struct relay_conn *c)
{
    char text[SERVER_METRICS_MAX];
    if (c->http->forwarded || !server_may_read_metrics(s, &c->from)) {
        refuse(s, c, "403 Forbidden");
        return;
    }
    (void)server_metrics(s, text);
    send_answer(s, c,
                &(struct answer){.status = "200 OK",
                                 .headers = "",
                                 .body = text,
                                 .type = "text/plain; version=0.0.4; charset=utf-8"});
}

static const struct {
    const char *path;
    void (*answer)(struct relay_server *s, struct relay_conn *c);
    bool allows_head;
} routes[] = {
    {"/derp", answer_derp, false},
    {"/derp/probe", answer_probe, true},
    {"/derp/latency-check", answer_probe, true},
    {"/generate_204", answer_generate_204, true},
    {"/healthz", answer_healthz, true},
    {"/metrics", answer_metrics, true},
    {"/", answer_home, true},
};

static void answer(struct relay_server *s, struct relay_conn *c)
{
    struct http_stage *h = c->http;
    bool needs_host = h->parser.http_major > 1 || h->parser.http_minor > 0;
    if (needs_host && !h->has_host) {
        refuse(s, c, "400 Bad Request");
        return;
    }
    h->path.text[strcspn(h->path.text, "?")] = '\0';
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (h->path.too_long || strcmp(h->path.text, routes[i].path) != 0) {
            continue;
        }
        bool head = routes[i].allows_head && h->parser.method == HTTP_HEAD;
        if (h->parser.method == HTTP_GET || head) {
            routes[i].answer(s, c);
        } else {
            send_answer(s, c,
                        &(struct answer){.status = "405 Method Not Allowed",
                                         .headers = routes[i].allows_head ? "Allow: GET, HEAD\r\n"
                                                                          : "Allow: GET\r\n",
                                         .body = "405 Method Not Allowed\n"});
        }
        return;
    }
    refuse(s, c, "404 Not Found");
}

size_t server_http_input(struct relay_server *s, struct relay_conn *c, const void *data, size_t len)
{
    static const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_headers_complete = on_headers_complete,
    };
    struct http_stage *h = c->http;
    size_t n = http_parser_execute(&h->parser, &settings, data, len);
    h->bytes += n;
    enum http_errno bad = HTTP_PARSER_ERRNO(&h->parser);
    if (bad == HPE_HEADER_OVERFLOW || h->bytes > s->config.limits.http_header_max) {
        refuse(s, c, "431 Request Header Fields Too Large");
    } else if (bad != HPE_OK) {
        refuse(s, c, "400 Bad Request");
    } else if (h->complete) {
        answer(s, c);
    }
    return n;
}
