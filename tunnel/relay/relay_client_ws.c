/* DERP inside WebSocket: the handshake, and both ways of the bytes after it. */
#include "relay/relay_client_internal.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int client_ws_open(struct relay_client *c)
{
    if (!ws_is_available()) {
        return ERR_NOT_FOUND;
    }
    c->ws = mem_new(1, sizeof(*c->ws));
    return c->ws ? 0 : ERR_NO_MEMORY;
}

void client_ws_reset(struct relay_client *c)
{
    struct client_ws *ws = c->ws;
    uint8_t key[WS_KEY_LEN];
    if (!ws) {
        return;
    }
    memset(ws, 0, offsetof(struct client_ws, out));
    ws_reader_init(&ws->reader, false);
    rng_fill(c->config.rng, key, sizeof(key));
    (void)sodium_bin2base64(ws->key, sizeof(ws->key), key, sizeof(key),
                            sodium_base64_VARIANT_ORIGINAL);
}

int client_ws_request(const struct relay_client *c, char *out, size_t cap)
{
    return snprintf(out, cap,
                    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: adit\r\n"
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: derp\r\n\r\n",
                    c->path, c->host, c->ws->key);
}

/* --- the answer's header --- */

static void append(char *out, size_t cap, size_t *len, const char *at, size_t more)
{
    if (more >= cap - *len) { /* too long to be what we look for */
        *len = cap - 1;
        out[0] = '\0';
        return;
    }
    memcpy(out + *len, at, more);
    *len += more;
    out[*len] = '\0';
}

static void finish_header(struct client_ws *ws)
{
    if (strcasecmp(ws->name, "sec-websocket-accept") == 0) {
        memcpy(ws->accept, ws->value, sizeof(ws->accept));
    }
    ws->name[0] = ws->value[0] = '\0';
    ws->name_len = ws->value_len = 0;
    ws->in_value = false;
}

void client_ws_field(struct relay_client *c, const char *at, size_t len)
{
    struct client_ws *ws = c->ws;
    if (ws->in_value) {
        finish_header(ws);
    }
    append(ws->name, sizeof(ws->name), &ws->name_len, at, len);
}

void client_ws_value(struct relay_client *c, const char *at, size_t len)
{
    struct client_ws *ws = c->ws;
    ws->in_value = true;
    append(ws->value, sizeof(ws->value), &ws->value_len, at, len);
}

/* --- in --- */

static bool take_piece(struct relay_client *c, const struct ws_piece *piece)
{
    struct client_ws *ws = c->ws;
    switch (piece->opcode) {
    case WS_PING: /* only the latest is answered (section 5.5.3) */
        memcpy(ws->pong, piece->data, piece->len);
        ws->pong_len = piece->len;
        ws->pong_wanted = true;
        return true;
    case WS_CLOSE:
        client_fail(c, ERR_CLOSED, "the relay ends the WebSocket");
        return false;
    case WS_BINARY:
        c->in_len += piece->len;
        return true;
    case WS_CONTINUATION:
    case WS_TEXT:
    case WS_PONG:
        break;
    }
    return true;
}

bool client_ws_input(struct relay_client *c, const uint8_t *data, size_t len)
{
    struct ws_piece piece;
    const uint8_t *end = data + len;
    int got = 0;
    /* Payload is shorter than what carries it, so there is room as long as bytes are left. */
    while (data < end && (got = ws_read(&c->ws->reader, &data, end, c->in + c->in_len,
                                        c->in_cap - c->in_len, &piece)) > 0) {
        if (!take_piece(c, &piece)) {
            return false;
        }
    }
    if (got < 0) {
        client_fail(c, got, "the relay breaks WebSocket's rules");
    }
    return got >= 0;
}

bool client_ws_upgraded(struct relay_client *c)
{
    struct client_ws *ws = c->ws;
    char accept[WS_ACCEPT_TEXT];
    const uint8_t *rest = c->reader.at;
    size_t len = (size_t)(c->reader.end - rest);
    finish_header(ws);
    if (!ws_accept(accept, ws->key) || strcmp(accept, ws->accept) != 0) {
        client_fail(c, ERR_PROTOCOL, "the relay's proof of WebSocket is wrong");
        return false;
    }
    const struct out_half *half = &c->out[!c->filling];
    ws->open = true;
    ws->raw_left = half->len - half->sent;
    /* What came behind the header becomes what it carries, in place. */
    c->in_len = (size_t)(rest - c->in);
    bool good = client_ws_input(c, rest, len);
    c->reader.end = c->in + c->in_len;
    return good;
}

/* --- out --- */

static void write_frame(struct relay_client *c, enum ws_opcode opcode, const uint8_t *data,
                        size_t len)
{
    struct client_ws *ws = c->ws;
    uint8_t mask[WS_MASK];
    rng_fill(c->config.rng, mask, sizeof(mask));
    CHECK(WS_HEADER_MAX + len <= sizeof(ws->out) - ws->out_len);
    ws->out_len += ws_write_header(ws->out + ws->out_len, opcode, len, mask);
    ws_mask(ws->out + ws->out_len, data, len, mask, 0);
    ws->out_len += len;
}

static void fill_out(struct relay_client *c)
{
    struct client_ws *ws = c->ws;
    const uint8_t *data;
    ws->out_len = ws->out_sent = 0;
    if (ws->pong_wanted) {
        ws->pong_wanted = false;
        write_frame(c, WS_PONG, ws->pong, ws->pong_len);
    }
    for (int i = 0; i < CLIENT_WS_MESSAGES; i++) {
        size_t len = client_send_pending(c, &data);
        len = len < WS_MESSAGE_MAX ? len : WS_MESSAGE_MAX;
        if (len == 0) {
            return;
        }
        write_frame(c, WS_BINARY, data, len);
        client_send_taken(c, len);
    }
}

size_t client_ws_output(struct relay_client *c, const uint8_t **data)
{
    struct client_ws *ws = c->ws;
    if (ws->raw_left > 0) {
        (void)client_send_pending(c, data);
        return ws->raw_left;
    }
    if (ws->out_sent == ws->out_len) {
        fill_out(c);
    }
    *data = ws->out + ws->out_sent;
    return ws->out_len - ws->out_sent;
}

void client_ws_sent(struct relay_client *c, size_t n)
{
    struct client_ws *ws = c->ws;
    if (ws->raw_left > 0) {
        CHECK(n <= ws->raw_left);
        ws->raw_left -= n;
        client_send_taken(c, n);
        return;
    }
    if (ws->out_len == 0) {
        return; /* the connection went down while the shell was writing */
    }
    CHECK(n <= ws->out_len - ws->out_sent);
    ws->out_sent += n;
}
