#include "fuzz/relay_uv/client.h"

#include "fuzz/relay_uv/kernel.h"
#include "support/certs.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

static struct {
    uint8_t server_secret[32], server_key[32];
    uint8_t secrets[LEDGER_KEYS][32], keys[LEDGER_KEYS][32];
    struct tls_context *server_tls, *client_tls;
    uint32_t next_number;
    uint8_t next_nonce;
    unsigned wild; /* bit set of keys */
    bool restarts, admits_all;
    uint64_t received, heard, may_end;
} w;

/* --- all of them --- */

static void prepare_tls(void)
{
#ifdef ADIT_TLS
    struct certs certs;
    char why[TLS_WHY_MAX];
    uint8_t pin[1][TLS_PIN_LEN];
    struct tls_client_options options = {
        .host = "relay.test", .pins = (const uint8_t(*)[TLS_PIN_LEN])pin, .pin_count = 1};
    certs_open(&certs);
    certs_make(&certs, "relay", &(struct certs_options){0});
    certs_pin(&certs, "relay", pin[0]);
    CHECK(tls_server_new(certs_path(&certs, "relay", "crt"), certs_path(&certs, "relay", "key"),
                         &w.server_tls, why) == 0);
    CHECK(tls_client_new(&options, &w.client_tls, why) == 0);
    certs_close(&certs);
#endif
}

void clients_prepare(void)
{
    memset(w.server_secret, 2, sizeof(w.server_secret));
    CHECK(sodium_init() >= 0 && crypto_scalarmult_base(w.server_key, w.server_secret) == 0);
    for (uint8_t i = 0; i < LEDGER_KEYS; i++) {
        memset(w.secrets[i], 10 + i, 32);
        CHECK(crypto_scalarmult_base(w.keys[i], w.secrets[i]) == 0);
    }
    prepare_tls();
}

const uint8_t *clients_server_secret(void)
{
    return w.server_secret;
}

const uint8_t (*clients_keys(void))[32]
{
    return (const uint8_t(*)[32])w.keys;
}

struct tls_context *clients_server_tls(void)
{
    return w.server_tls;
}

void clients_start(void)
{
    w.next_number = 1;
    w.next_nonce = 0;
    w.wild = 0;
    w.restarts = w.admits_all = false;
    w.received = w.heard = w.may_end = 0;
    ledger_start(clients_keys());
}

void clients_expect_restart(void)
{
    w.restarts = true;
}

void clients_expect_all(void)
{
    w.admits_all = true;
}

uint64_t clients_that_may_end(void)
{
    return w.may_end;
}

uint64_t clients_received(void)
{
    return w.received;
}

uint64_t clients_heard(void)
{
    return w.heard;
}

/* --- saying --- */

static void flush_tls(struct client *c)
{
    const uint8_t *data;
    size_t len;
    while ((len = tls_output(c->tls, &data)) > 0) {
        kernel_write(c->conn, data, len);
        tls_sent(c->tls, len);
    }
}

bool client_open(struct client *c, uint16_t port, const struct addr *from, bool tls)
{
    CHECK(c->conn < 0);
    int conn = kernel_connect(port, from);
    if (conn < 0) {
        return false;
    }
    memset(c, 0, offsetof(struct client, buffer));
    c->conn = conn;
    c->number = w.next_number++;
    c->reads = true;
    c->said.conn = c->number;
    if (tls) {
        c->tls = tls_new(w.client_tls);
        CHECK(c->tls);
        flush_tls(c);
    }
    return true;
}

void client_may_end(struct client *c)
{
    w.may_end += !c->may_end;
    c->may_end = true;
}

void client_leave(struct client *c)
{
    if (c->conn >= 0) {
        client_may_end(c);
        kernel_leave(c->conn);
        tls_free(c->tls);
        c->tls = NULL;
        c->conn = -1;
    }
}

bool client_is_over(const struct client *c)
{
    return c->conn < 0 || c->tls_over || kernel_is_over(c->conn);
}

/* Of an answer without a body nobody knows here whether it answers HEAD. */
bool client_should_be_over(const struct client *c)
{
    return c->conn >= 0 && c->stage == CLIENT_BODY && c->body_left == 0 && !c->broke_tls;
}

bool client_can_talk(const struct client *c)
{
    return c->conn >= 0 && (!c->tls || (tls_is_ready(c->tls) && !c->tls_over));
}

static void encrypt(struct client *c, const uint8_t *data, size_t len)
{
    while (len > 0 && !c->tls_over && tls_is_ready(c->tls)) {
        size_t part = len < TLS_WRITE_MAX ? len : TLS_WRITE_MAX;
        c->tls_over = tls_write(c->tls, data, part) != 0;
        flush_tls(c);
        data += part;
        len -= part;
    }
}

static void say_plain(struct client *c, const uint8_t *data, size_t len)
{
    c->asked = true;
    if (c->tls) {
        encrypt(c, data, len);
    } else {
        kernel_write(c->conn, data, len);
    }
}

static void wrap(struct client *c, const uint8_t *data, size_t len)
{
    static uint8_t message[WS_HEADER_MAX + WS_MESSAGE_MAX];
    static const uint8_t mask[WS_MASK] = {1, 2, 3, 4};
    while (len > 0) {
        size_t part = len < WS_MESSAGE_MAX ? len : WS_MESSAGE_MAX;
        size_t head = ws_write_header(message, WS_BINARY, part, mask);
        ws_mask(message + head, data, part, mask, 0);
        say_plain(c, message, head + part);
        data += part;
        len -= part;
    }
}

static void say(struct client *c, const uint8_t *data, size_t len)
{
    if (c->conn < 0 || len == 0) {
        return;
    }
    if (c->reading_frames) {
        ledger_read(&c->said, data, len);
    }
    if (c->wraps) {
        wrap(c, data, len);
    } else {
        say_plain(c, data, len);
    }
}

static void become_wild(struct client *c)
{
    c->wild = true;
    w.wild |= c->keys;
    client_may_end(c); /* WebSocket has a word for it */
}

void client_say(struct client *c, const void *data, size_t len)
{
    c->said.strange = false;
    say(c, data, len);
}

void client_say_strange(struct client *c, const void *data, size_t len)
{
    if (!c->reading_frames) {
        become_wild(c);
    }
    c->said.strange = true;
    say(c, data, len);
}

/* In TLS nothing of ours comes of it. */
void client_say_raw(struct client *c, const void *data, size_t len)
{
    if (c->conn < 0) {
        return;
    }
    if (!c->tls && (c->wraps || !c->reading_frames)) {
        become_wild(c);
    }
    c->asked = true;
    c->broke_tls = true;
    client_may_end(c);
    c->said.strange = true;
    if (!c->tls && c->reading_frames && !c->wraps) {
        ledger_read(&c->said, data, len);
    }
    kernel_write(c->conn, data, len);
}

void client_upgrade(struct client *c, enum client_way way)
{
    static const char *const requests[CLIENT_WAYS] = {
        "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n",
        "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\n"
        "Upgrade: DERP\r\n\r\n",
        "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: derp\r\n\r\n",
    };
    bool first = !c->asked;
    client_say(c, requests[way], strlen(requests[way]));
    if (first && client_can_talk(c)) {
        c->reading_frames = true;
        c->wraps = way == CLIENT_WEBSOCKET;
    } else if (!c->reading_frames) {
        become_wild(c);
    }
}

void client_login(struct client *c, uint8_t key)
{
    uint8_t frame[DERP_INFO_MAX];
    const uint8_t nonce[DERP_NONCE] = {++w.next_nonce, key};
    CHECK(key < CLIENT_LOGINS);
    int len = derp_seal_client_info(frame, nonce, w.keys[key], w.secrets[key], w.server_key);
    CHECK(len > 0);
    c->said.from = c->keys == 0 ? key : c->said.from;
    if (!c->reading_frames || c->said.from != key) {
        become_wild(c); /* also since it does not know yet which one counts */
    }
    c->keys |= 1U << key;
    w.wild |= c->wild ? c->keys : 0;
    client_say(c, frame, (size_t)len);
}

/* --- hearing --- */

static void hear_info(struct client *c, const struct derp_frame *f)
{
    uint8_t scratch[DERP_INFO_MAX];
    struct derp_info info;
    CHECK(f->type == DERP_SERVER_INFO && f->len <= sizeof(scratch));
    for (uint8_t i = 0; i < CLIENT_LOGINS; i++) {
        if (c->keys >> i & 1 &&
            derp_open_server_info(f, w.secrets[i], w.server_key, scratch, &info) == 0) {
            CHECK(info.version == DERP_VERSION && (c->stage != CLIENT_OPEN || c->key == i));
            CHECK(w.admits_all || i < CLIENT_LISTED);
            c->key = i;
            c->stage = CLIENT_OPEN;
            return;
        }
    }
    NEVER(); /* a login that nobody sent, or a box that does not open */
}

static void hear_packet(struct client *c, const struct derp_frame *f)
{
    CHECK(f->len >= DERP_KEY);
    uint8_t from = ledger_key(f->data);
    CHECK(from < CLIENT_LOGINS);
    w.received++;
    bool arrives = ledger_arrives(from, c->key, c->number, f->data + DERP_KEY, f->len - DERP_KEY);
    CHECK(arrives || w.wild >> from & 1);
}

static void hear_gone(const struct client *c, const struct derp_frame *f)
{
    CHECK(f->len == DERP_KEY + 1);
    uint8_t who = ledger_key(f->data);
    if (f->data[DERP_KEY] == DERP_GONE_NOT_HERE) {
        CHECK(c->wild || ledger_has_signalled(c->number, who));
    } else {
        CHECK(f->data[DERP_KEY] == DERP_GONE_DISCONNECTED && who < CLIENT_LOGINS);
        CHECK(w.wild >> who & 1 || ledger_has_sent(who, c->key));
    }
}

static void hear_open(struct client *c, const struct derp_frame *f)
{
    switch (f->type) {
    case DERP_SERVER_INFO:
        hear_info(c, f);
        break;
    case DERP_RECV_PACKET:
        hear_packet(c, f);
        break;
    case DERP_PEER_GONE:
        hear_gone(c, f);
        break;
    case DERP_KEEP_ALIVE:
        CHECK(f->len == 0);
        break;
    case DERP_PONG:
        CHECK(f->len == 8 && (c->wild || ledger_answers(c->number, f->data)));
        break;
    case DERP_RESTARTING:
        CHECK(f->len == 8 && w.restarts);
        break;
    default:
        NEVER(); /* a frame that no server sends */
    }
}

static size_t hear_frame(struct client *c)
{
    struct derp_frame f;
    if (c->len < DERP_HEADER) {
        return 0;
    }
    CHECK(derp_parse_header(&f, c->buffer) == 0 && f.len <= CLIENT_BUFFER - DERP_HEADER);
    if (c->len < DERP_HEADER + f.len) {
        return 0;
    }
    f.data = c->buffer + DERP_HEADER;
    if (c->stage == CLIENT_KEY) {
        const uint8_t *key = f.type == DERP_SERVER_KEY ? derp_parse_server_key(&f) : NULL;
        CHECK(key && memcmp(key, w.server_key, DERP_KEY) == 0);
        c->stage = CLIENT_INFO;
    } else if (c->stage == CLIENT_INFO) {
        hear_info(c, &f);
    } else {
        hear_open(c, &f);
    }
    return DERP_HEADER + f.len;
}

static const uint8_t *find(const struct client *c, const char *text, size_t within)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= within; i++) {
        if (memcmp(c->buffer + i, text, len) == 0) {
            return c->buffer + i;
        }
    }
    return NULL;
}

static size_t number_at(const uint8_t *at)
{
    size_t n = 0;
    while (*at >= '0' && *at <= '9') {
        n = 10 * n + (size_t)(*at++ - '0');
    }
    return n;
}

static size_t hear_http(struct client *c)
{
    static const unsigned known[] = {101, 200, 204, 400, 403, 404, 405, 426, 431, 501};
    static const char length[] = "\r\nContent-Length: ";
    if (c->buffer[0] == DERP_SERVER_KEY) {
        c->stage = CLIENT_KEY; /* fast start */
        return 0;
    }
    const uint8_t *end = find(c, "\r\n\r\n", c->len);
    if (!end) {
        CHECK(c->len < 2048);
        return 0;
    }
    size_t head = (size_t)(end - c->buffer) + 4;
    CHECK(find(c, "HTTP/1.1 ", head) == c->buffer);
    size_t status = number_at(c->buffer + 9);
    bool is_known = false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        is_known = is_known || known[i] == status;
    }
    CHECK(is_known);
    c->stage = status == 101 ? CLIENT_KEY : CLIENT_BODY;
    const uint8_t *at = find(c, length, head);
    c->body_left = at ? number_at(at + strlen(length)) : 0;
    c->unwraps = status == 101 && find(c, "websocket", head);
    ws_reader_init(&c->ws, false);
    return head;
}

static size_t hear_body(struct client *c)
{
    CHECK(c->len <= c->body_left);
    c->body_left -= c->len;
    return c->len;
}

/* False if there is not enough of it yet. */
static bool hear_one(struct client *c)
{
    enum client_stage stage = c->stage;
    size_t used = stage == CLIENT_HTTP   ? hear_http(c)
                  : stage == CLIENT_BODY ? hear_body(c)
                                         : hear_frame(c);
    c->len -= used;
    memmove(c->buffer, c->buffer + used, c->len);
    return used > 0 || stage != c->stage;
}

static void hear_plain(struct client *c, const uint8_t *data, size_t len);

static void unwrap(struct client *c, const uint8_t *data, size_t len)
{
    static uint8_t plain[4096];
    const uint8_t *end = data + len;
    struct ws_piece piece;
    int got;
    while ((got = ws_read(&c->ws, &data, end, plain, sizeof(plain), &piece)) > 0) {
        if (piece.opcode == WS_BINARY) {
            hear_plain(c, piece.data, piece.len);
        } else {
            CHECK(piece.opcode == WS_PONG && c->wild);
        }
    }
    CHECK(got == 0);
}

/* What is behind an answer that begins WebSocket is inside it already. */
static void begin_unwrapping(struct client *c)
{
    static uint8_t rest[CLIENT_BUFFER];
    size_t len = c->len;
    memcpy(rest, c->buffer, len);
    c->len = 0;
    unwrap(c, rest, len);
}

static void hear_plain(struct client *c, const uint8_t *data, size_t len)
{
    CHECK(c->asked || len == 0);
    while (len > 0) {
        size_t room = sizeof(c->buffer) - c->len;
        size_t part = len < room ? len : room;
        bool unwrapped = c->unwraps;
        memcpy(c->buffer + c->len, data, part);
        c->len += part;
        data += part;
        len -= part;
        while (c->len > 0 && c->unwraps == unwrapped && hear_one(c)) {
        }
        if (c->unwraps != unwrapped) {
            begin_unwrapping(c);
            unwrap(c, data, len);
            return;
        }
    }
}

static void hear_bytes(struct client *c, const uint8_t *data, size_t len)
{
    if (c->unwraps) {
        unwrap(c, data, len);
    } else {
        hear_plain(c, data, len);
    }
}

static void decrypt(struct client *c, const uint8_t *data, size_t len)
{
    static uint8_t plain[16 << 10];
    int got = 0;
    tls_input(c->tls, data, len);
    while (!c->tls_over && (got = tls_read(c->tls, plain, sizeof(plain))) > 0) {
        flush_tls(c);
        hear_bytes(c, plain, (size_t)got);
    }
    CHECK(got >= 0 || got == ERR_CLOSED || c->broke_tls);
    c->tls_over = c->tls_over || got < 0;
    flush_tls(c);
}

void client_hear(struct client *c, size_t cap)
{
    static uint8_t data[16 << 10];
    while (c->conn >= 0 && cap > 0) {
        size_t len = kernel_read(c->conn, data, cap < sizeof(data) ? cap : sizeof(data));
        if (len == 0) {
            return;
        }
        cap -= len;
        w.heard += len;
        if (c->tls) {
            decrypt(c, data, len);
        } else {
            hear_bytes(c, data, len);
        }
    }
}
