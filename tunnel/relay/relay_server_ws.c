/* A client inside WebSocket: what it sends is unwrapped, what waits for it leaves in messages. */
#include "relay/relay_server_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <stdio.h>
#include <string.h>

enum { UNWRAP_BYTES = 16 << 10 };

int server_ws_open(struct relay_conn *c)
{
    c->ws = mem_new(1, sizeof(*c->ws));
    if (!c->ws) {
        return ERR_NO_MEMORY;
    }
    ws_reader_init(&c->ws->reader, true);
    return 0;
}

void server_ws_close(struct relay_conn *c)
{
    mem_free(c->ws);
    c->ws = NULL;
}

/* --- in --- */

static void take_piece(struct relay_server *s, struct relay_conn *c, const struct ws_piece *piece)
{
    struct conn_ws *ws = c->ws;
    switch (piece->opcode) {
    case WS_BINARY:
        server_recv_frames(s, c, piece->data, piece->len);
        break;
    case WS_PING: /* only the latest is answered (RFC 6455 section 5.5.3) */
        memcpy(ws->pong, piece->data, piece->len);
        ws->pong_len = piece->len;
        ws->pong_wanted = true;
        server_send_announce(s, c);
        break;
    case WS_CLOSE: /* it wants no more: there is nothing left to say */
        server_kill(s, c, RELAY_CLOSE_GONE);
        break;
    case WS_CONTINUATION:
    case WS_TEXT:
    case WS_PONG:
        break;
    }
}

void server_ws_input(struct relay_server *s, struct relay_conn *c, const uint8_t *data, size_t len)
{
    uint8_t plain[UNWRAP_BYTES];
    struct ws_piece piece;
    const uint8_t *end = data + len;
    size_t wrapping = len; /* all that is no payload */
    while (c->state == CONN_LOGIN || c->state == CONN_OPEN) {
        int got = ws_read(&c->ws->reader, &data, end, plain, sizeof(plain), &piece);
        if (got < 0) {
            server_kill(s, c, RELAY_CLOSE_PROTOCOL);
        }
        if (got <= 0) {
            break;
        }
        wrapping -= piece.opcode == WS_BINARY ? piece.len : 0;
        take_piece(s, c, &piece);
    }
    if (c->state == CONN_OPEN) {
        server_recv_charge(s, c, wrapping);
    }
}

/* --- out --- */

/* Offers bytes of what is being written, `skip` bytes after its start. */
static size_t offer(const struct relay_conn *c, size_t skip, size_t len, struct relay_span *out,
                    size_t max)
{
    struct relay_packet *packet;
    size_t n = 0;
    STAILQ_FOREACH(packet, &c->writing.packets, link)
    {
        size_t here = packet->len - packet->done;
        size_t from = skip < here ? skip : here;
        size_t part = here - from < len ? here - from : len;
        if (n == max || len == 0) {
            break;
        }
        if (part > 0) {
            out[n++] = (struct relay_span){packet->data + packet->done + from, part};
        }
        skip -= from;
        len -= part;
    }
    return n;
}

static size_t bytes_waiting(const struct relay_conn *c)
{
    const struct relay_packet *packet;
    size_t sum = 0;
    STAILQ_FOREACH(packet, &c->writing.packets, link)
    {
        sum += packet->len - packet->done;
    }
    return sum;
}

/* The next message or answer to a ping, once the last one has gone whole. */
static void begin_message(struct conn_ws *ws, size_t waiting)
{
    ws->head_sent = ws->head_len = 0;
    if (ws->pong_wanted) {
        ws->pong_wanted = false;
        ws->head_len = ws_write_header(ws->head, WS_PONG, ws->pong_len, NULL);
        memcpy(ws->head + ws->head_len, ws->pong, ws->pong_len);
        ws->head_len += ws->pong_len;
    } else if (waiting > 0) {
        ws->left = waiting < WS_MESSAGE_MAX ? waiting : WS_MESSAGE_MAX;
        ws->head_len = ws_write_header(ws->head, WS_BINARY, ws->left, NULL);
    }
}

/* The end of HTTP, the header of a message, its payload: as much of it as `max` pieces hold. */
size_t server_ws_output(const struct relay_conn *c, struct relay_span *out, size_t max)
{
    struct conn_ws *ws = c->ws;
    if (ws->left == 0 && ws->head_sent == ws->head_len) {
        begin_message(ws, bytes_waiting(c) - ws->raw_left);
    }
    size_t n = offer(c, 0, ws->raw_left, out, max);
    if (ws->head_sent < ws->head_len && n < max) {
        out[n++] = (struct relay_span){ws->head + ws->head_sent, ws->head_len - ws->head_sent};
    }
    return n + offer(c, ws->raw_left, ws->left, out + n, max - n);
}

static size_t take(size_t *from, size_t n)
{
    size_t part = n < *from ? n : *from;
    *from -= part;
    return part;
}

size_t server_ws_sent(struct conn_ws *ws, size_t n)
{
    size_t raw = take(&ws->raw_left, n);
    size_t head = ws->head_len - ws->head_sent;
    size_t from_head = n - raw < head ? n - raw : head;
    ws->head_sent += from_head;
    size_t payload = take(&ws->left, n - raw - from_head);
    CHECK(raw + from_head + payload == n);
    return raw + payload;
}
