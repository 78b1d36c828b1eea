/* WebSocket's frames, cut into pieces anywhere and read in place or not; a relay whose client talks
 * inside them; a client whose relay does; and what HTTP proxies answer. The first byte chooses. */
#include "relay/proxy_connect.h"
#include "relay/relay_client.h"
#include "relay/relay_server.h"
#include "wire/websocket.h"

#include <base/check.h>
#include <base/rng.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct result {
    uint8_t *bytes; /* of messages */
    size_t len;
    unsigned controls;
    int word;
};

static struct result read_all(bool server, const uint8_t *data, size_t len, size_t step,
                              bool in_place)
{
    struct ws_reader r;
    struct result got = {.bytes = malloc(len + 1)};
    uint8_t other[7];
    CHECK(got.bytes);
    ws_reader_init(&r, server);
    for (size_t i = 0; i < len && got.word == 0; i += step) {
        size_t part = len - i < step ? len - i : step;
        uint8_t *copy = malloc(part);
        CHECK(copy);
        memcpy(copy, data + i, part);
        const uint8_t *at = copy;
        struct ws_piece piece;
        while ((got.word = ws_read(&r, &at, copy + part, in_place ? copy : other,
                                   in_place ? part : sizeof(other), &piece)) > 0) {
            if (piece.opcode == WS_BINARY) {
                memcpy(got.bytes + got.len, piece.data, piece.len);
                got.len += piece.len;
            } else {
                CHECK(piece.len <= WS_CONTROL_MAX);
                got.controls++;
            }
        }
        CHECK(got.word < 0 || at == copy + part);
        free(copy);
    }
    return got;
}

static void read_frames(bool server, const uint8_t *data, size_t len)
{
    struct result a = read_all(server, data, len, len, true);
    struct result b = read_all(server, data, len, 3, false);
    CHECK(a.word == b.word && a.len == b.len && a.controls == b.controls);
    CHECK(memcmp(a.bytes, b.bytes, a.len) == 0);
    free(a.bytes);
    free(b.bytes);
}

static void drain(struct relay_server *s, uint64_t id)
{
    struct relay_span spans[8];
    struct relay_server_event ev;
    size_t n;
    while ((n = relay_server_output(s, id, spans, 8, 2)) > 0) {
        relay_server_sent(s, id, spans[0].len > 1 ? spans[0].len / 2 : 1, 2);
    }
    while (relay_server_event(s, &ev)) {
    }
}

static void talk_to_relay(const uint8_t *data, size_t len)
{
    static const char request[] =
        "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: derp\r\n\r\n";
    static const uint8_t mask[WS_MASK] = {1, 2, 3, 4};
    struct pcg pcg;
    struct relay_server_config config = {
        .secret = {2}, .open = true, .limits = {.clients_max = 2}, .rng = pcg_rng(&pcg, 1)};
    struct addr from = addr_ipv4(192, 0, 2, 1, 1);
    uint64_t id;
    uint8_t frame[WS_HEADER_MAX + 65535];
    struct relay_server *s = relay_server_new(&config);
    CHECK(s && relay_server_accept(s, &from, 1, &id) == 0);
    relay_server_input(s, id, request, sizeof(request) - 1, 1);
    drain(s, id);
    size_t half = len / 2 < 65535 ? len / 2 : 65535;
    size_t head = ws_write_header(frame, WS_BINARY, half, mask);
    ws_mask(frame + head, data, half, mask, 0);
    relay_server_input(s, id, frame, head + half, 2);
    relay_server_input(s, id, data + half, len - half, 2);
    drain(s, id);
    relay_server_free(s);
}

static void hear_relay(const uint8_t *data, size_t len)
{
    struct pcg pcg;
    struct relay_client_config config = {
        .secret = {1}, .host = "r", .websocket = true, .rng = pcg_rng(&pcg, 1)};
    char key[WS_KEY_TEXT] = "";
    char accept[WS_ACCEPT_TEXT];
    char answer[256];
    const uint8_t *out;
    struct relay_client_event ev;
    struct relay_client *c = relay_client_new(&config);
    CHECK(c);
    relay_client_start(c, 1);
    CHECK(relay_client_event(c, &ev));
    relay_client_connected(c, 1);
    size_t sent = relay_client_output(c, &out);
    for (size_t i = 0; i + 44 < sent; i++) {
        if (memcmp(out + i, "-Key: ", 6) == 0) {
            memcpy(key, out + i + 6, WS_KEY_TEXT - 1);
        }
    }
    CHECK(ws_accept(accept, key));
    relay_client_sent(c, sent);
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    CHECK(relay_client_input(c, answer, (size_t)n, 2) == 0);
    for (size_t i = 0; i < len; i += 1000) {
        (void)relay_client_input(c, data + i, len - i < 1000 ? len - i : 1000, 3);
        while (relay_client_event(c, &ev)) {
        }
        size_t more = relay_client_output(c, &out);
        relay_client_sent(c, more / 2);
    }
    relay_client_free(c);
}

static void hear_proxy(const uint8_t *data, size_t len)
{
    char out[PROXY_CONNECT_REQUEST_MAX];
    struct proxy_connect p;
    size_t used;
    CHECK(proxy_connect_start(&p, "r", 1, NULL, out) > 0);
    for (size_t i = 0; i < len; i += 10) {
        size_t part = len - i < 10 ? len - i : 10;
        int got = proxy_connect_input(&p, data + i, part, &used);
        CHECK(used <= part && strlen(p.why) < sizeof(p.why));
        if (got != 0) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CHECK(sodium_init() >= 0);
    if (len < 2) {
        return 0;
    }
    switch (data[0] & 7) {
    case 0:
        talk_to_relay(data + 1, len - 1);
        break;
    case 1:
        hear_relay(data + 1, len - 1);
        break;
    case 2:
        hear_proxy(data + 1, len - 1);
        break;
    default:
        read_frames(data[0] & 1, data + 1, len - 1);
    }
    return 0;
}
