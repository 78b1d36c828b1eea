/* What comes from the relay: the HTTP answer, then frames, parsed one event at a time. */
#include "relay/relay_client_internal.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include <stdio.h>
#include <string.h>

void client_recv_reset(struct relay_client *c)
{
    c->in_len = 0;
    c->reader =
        (struct derp_reader){.at = c->in, .end = c->in, .frame_max = DERP_KEY + DERP_PACKET_MAX};
    http_parser_init(&c->http, HTTP_RESPONSE);
    c->http.data = c;
    c->http_bytes = 0;
}

size_t relay_client_room(const struct relay_client *c)
{
    return c->in_cap - (size_t)(c->reader.end - c->reader.at);
}

/* Moves what is not parsed yet to the front, if the room behind it is too small. */
static void make_room(struct relay_client *c, size_t len)
{
    size_t left = (size_t)(c->reader.end - c->reader.at);
    if (left > 0 && c->in_cap - c->in_len >= len) {
        return;
    }
    memmove(c->in, c->reader.at, left);
    c->in_len = left;
    c->reader.at = c->in;
}

int relay_client_input(struct relay_client *c, const void *data, size_t len, uint64_t now)
{
    c->now = now;
    if (c->state < RELAY_CLIENT_HTTP || c->state > RELAY_CLIENT_UP) {
        return ERR_CLOSED;
    }
    if (len > relay_client_room(c)) {
        return ERR_NO_ROOM;
    }
    if (len == 0) {
        return 0;
    }
    make_room(c, len);
    c->heard_at = now;
    if (c->ws && c->ws->open) {
        bool good = client_ws_input(c, data, len);
        c->reader.end = c->in + c->in_len;
        return good ? 0 : ERR_CLOSED;
    }
    memcpy(c->in + c->in_len, data, len);
    c->in_len += len;
    c->reader.end = c->in + c->in_len;
    return 0;
}

/* 2: there is no body, stop behind the header, whatever the header says. */
static int on_headers_complete(http_parser *http)
{
    (void)http;
    return 2;
}

static int on_header_field(http_parser *http, const char *at, size_t len)
{
    struct relay_client *c = http->data;
    if (c->ws) {
        client_ws_field(c, at, len);
    }
    return 0;
}

static int on_header_value(http_parser *http, const char *at, size_t len)
{
    struct relay_client *c = http->data;
    if (c->ws) {
        client_ws_value(c, at, len);
    }
    return 0;
}

/* A relay has no page to show at its path and sends nobody elsewhere (RFC 6585 6: 511). */
static bool is_portal(unsigned status)
{
    return status == 200 || (status >= 300 && status < 400) || status == 511;
}

static void recv_http(struct relay_client *c)
{
    static const http_parser_settings settings = {.on_header_field = on_header_field,
                                                  .on_header_value = on_header_value,
                                                  .on_headers_complete = on_headers_complete};
    struct derp_reader *r = &c->reader;
    char text[CLIENT_TEXT_MAX];
    size_t n =
        http_parser_execute(&c->http, &settings, (const char *)r->at, (size_t)(r->end - r->at));
    r->at += n;
    c->http_bytes += n;
    enum http_errno bad = HTTP_PARSER_ERRNO(&c->http);
    if (bad != HPE_OK || c->http_bytes > CLIENT_HTTP_MAX) {
        const char *why = bad != HPE_OK ? http_errno_description(bad) : "header too long";
        (void)snprintf(text, sizeof(text), "bad HTTP answer: %s", why);
        client_fail(c, ERR_MALFORMED, text);
    } else if (c->http.upgrade && c->http.status_code != 101) {
        (void)snprintf(text, sizeof(text), "HTTP status %u instead of 101%s",
                       (unsigned)c->http.status_code,
                       is_portal(c->http.status_code) ? ": a captive portal?" : "");
        client_fail(c, ERR_PROTOCOL, text);
    } else if (c->http.upgrade && (!c->ws || client_ws_upgraded(c))) {
        client_set_state(c, RELAY_CLIENT_KEY);
    }
}

static void recv_server_key(struct relay_client *c, const struct derp_frame *f)
{
    const uint8_t *key = f->data ? derp_parse_server_key(f) : NULL;
    if (!key) {
        client_fail(c, ERR_PROTOCOL, "the first frame is no ServerKey");
        return;
    }
    memcpy(c->server, key, DERP_KEY);
    if (client_send_login(c)) {
        client_fail(c, ERR_CRYPTO, "the relay's key is not usable");
        return;
    }
    client_set_state(c, RELAY_CLIENT_LOGIN);
}

/* ServerInfo may come again while up (nothing forbids it); then only its limits count. */
static bool recv_server_info(struct relay_client *c, const struct derp_frame *f,
                             struct relay_client_event *ev)
{
    uint8_t scratch[4096];
    struct derp_info info;
    if (f->len > sizeof(scratch)) {
        client_fail(c, ERR_TOO_LARGE, "ServerInfo is too long");
        return false;
    }
    int err = derp_open_server_info(f, c->config.secret, c->server, scratch, &info);
    if (err) {
        client_fail(c, err, "ServerInfo does not open");
        return false;
    }
    client_bucket_set(c, &info);
    if (c->state == RELAY_CLIENT_UP) {
        return false;
    }
    client_login_done(c);
    ev->type = RELAY_CLIENT_EV_UP;
    return true;
}

static bool recv_packet(struct relay_client *c, const struct derp_frame *f,
                        struct relay_client_event *ev)
{
    *ev = (struct relay_client_event){
        .type = RELAY_CLIENT_EV_PACKET,
        .key = f->data,
        .data = f->data + DERP_KEY,
        .packet = c->in + (f->data + DERP_KEY - c->in),
        .len = f->len - DERP_KEY,
    };
    c->stats.packets_received++;
    client_used(c);
    c->stats.bytes_received += ev->len;
    return true;
}

static void recv_pong(struct relay_client *c, const struct derp_frame *f)
{
    if (c->ping_sent_at != TIME_NEVER && memcmp(f->data, c->ping, sizeof(c->ping)) == 0) {
        /* At least 1, so that 0 keeps meaning "not known". */
        uint64_t rtt = time_since(c->ping_sent_at, c->now);
        c->rtt_ns = rtt > 0 ? rtt : 1;
        c->ping_sent_at = TIME_NEVER;
        c->ping_limit = TIME_NEVER;
    }
}

static bool recv_peer_gone(const struct derp_frame *f, struct relay_client_event *ev)
{
    ev->type = RELAY_CLIENT_EV_PEER_GONE;
    ev->key = f->data;
    ev->reason = f->len > DERP_KEY ? f->data[DERP_KEY] : (uint8_t)DERP_GONE_DISCONNECTED;
    return true;
}

static bool recv_restarting(struct relay_client *c, const struct derp_frame *f,
                            struct relay_client_event *ev)
{
    struct reader r = reader_of(f->data, f->len);
    ev->type = RELAY_CLIENT_EV_RESTARTING;
    ev->reconnect_in_ns = read_u32(&r) * NS_PER_MS;
    ev->try_for_ns = read_u32(&r) * NS_PER_MS;
    client_note_restart(c, ev->reconnect_in_ns, ev->try_for_ns);
    return true;
}

/* True if the frame became an event. Frames that only servers receive are passed over. */
static bool recv_frame(struct relay_client *c, const struct derp_frame *f,
                       struct relay_client_event *ev)
{
    if (!f->data) {
        c->stats.frames_skipped++;
        return false;
    }
    switch (f->type) {
    case DERP_SERVER_INFO:
        return recv_server_info(c, f, ev);
    case DERP_RECV_PACKET:
        return recv_packet(c, f, ev);
    case DERP_PEER_GONE:
        return recv_peer_gone(f, ev);
    case DERP_PING:
        client_send_pong(c, f->data);
        return false;
    case DERP_PONG:
        recv_pong(c, f);
        return false;
    case DERP_HEALTH:
        *ev = (struct relay_client_event){
            .type = RELAY_CLIENT_EV_HEALTH, .data = f->data, .len = f->len};
        return true;
    case DERP_RESTARTING:
        return recv_restarting(c, f, ev);
    default: /* KeepAlive, and what is not meant for us */
        return false;
    }
}

/* Parses until there is an event or no further frame. */
static bool recv_event(struct relay_client *c, struct relay_client_event *ev)
{
    while (c->state >= RELAY_CLIENT_KEY && c->state <= RELAY_CLIENT_UP) {
        struct derp_frame f;
        int got = derp_next(&c->reader, &f);
        if (got < 0) {
            client_fail(c, got, "a frame's length is not legal");
        }
        if (got <= 0) {
            return false;
        }
        if (c->state == RELAY_CLIENT_KEY) {
            recv_server_key(c, &f);
        } else if (recv_frame(c, &f, ev)) {
            return true;
        }
    }
    return false;
}

static bool take_down(struct relay_client *c, struct relay_client_event *ev)
{
    if (!c->down_pending) {
        return false;
    }
    c->down_pending = false;
    ev->type = RELAY_CLIENT_EV_DOWN;
    ev->err = c->down_err;
    ev->text = c->down_text;
    return true;
}

bool relay_client_event(struct relay_client *c, struct relay_client_event *ev)
{
    *ev = (struct relay_client_event){0};
    if (take_down(c, ev)) {
        return true;
    }
    if (c->state == RELAY_CLIENT_WANTED) {
        c->deadline = time_add(c->now, CLIENT_CONNECT_NS);
        client_set_state(c, RELAY_CLIENT_CONNECTING);
        ev->type = RELAY_CLIENT_EV_CONNECT;
        return true;
    }
    if (c->state == RELAY_CLIENT_HTTP && c->reader.at < c->reader.end) {
        recv_http(c);
    }
    return recv_event(c, ev) || take_down(c, ev);
}
