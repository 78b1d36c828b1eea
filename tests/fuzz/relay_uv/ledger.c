#include "fuzz/relay_uv/ledger.h"

#include "wire/derp.h"

#include <string.h>

enum { SIGNALLING_LEAST = 62, NOT_YET = 0 };

struct entry {
    uint32_t conn;
    uint8_t from, to;
    bool ping, signalling, strange;
    uint32_t arrived; /* on which connection */
    size_t len;
    uint8_t hash[LEDGER_HASH];
};

static struct {
    const uint8_t (*keys)[32];
    size_t count;
    struct entry entries[LEDGER_MAX];
} l;

void ledger_start(const uint8_t keys[LEDGER_KEYS][32])
{
    l.keys = keys;
    l.count = 0;
}

uint8_t ledger_key(const uint8_t key[32])
{
    for (uint8_t i = 0; i < LEDGER_KEYS; i++) {
        if (memcmp(l.keys[i], key, 32) == 0) {
            return i;
        }
    }
    return LEDGER_NO_KEY;
}

bool ledger_is_full(void)
{
    return l.count > LEDGER_MAX / 2;
}

static void finish(struct ledger_reader *r)
{
    static const uint8_t mark[LEDGER_SIGNALLING] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    bool ping = r->header[0] == DERP_PING;
    struct entry e = {.conn = r->conn, .from = r->from, .ping = ping, .strange = r->strange};
    r->header_len = 0;
    if ((!ping && r->header[0] != DERP_SEND_PACKET) || l.count == LEDGER_MAX) {
        return;
    }
    e.to = ping ? LEDGER_NO_KEY : ledger_key(r->to);
    e.len = ping ? 8 : r->len - DERP_KEY;
    e.signalling = e.len >= SIGNALLING_LEAST && memcmp(r->mark, mark, sizeof(mark)) == 0;
    crypto_generichash_final(&r->hash, e.hash, LEDGER_HASH);
    l.entries[l.count++] = e;
}

/* Bytes [at, at + len) of a part that stands at [from, from + room) of the payload. */
static void copy_part(uint8_t *out, size_t room, size_t from, size_t at, const uint8_t *data,
                      size_t len)
{
    for (size_t i = 0; i < len && at + i < from + room; i++) {
        if (at + i >= from) {
            out[at + i - from] = data[i];
        }
    }
}

static void read_payload(struct ledger_reader *r, const uint8_t *data, size_t len)
{
    bool packet = r->header[0] == DERP_SEND_PACKET;
    size_t before = packet ? DERP_KEY : 0;
    size_t end = packet ? r->len : 8; /* of what is hashed */
    if (packet) {
        copy_part(r->to, DERP_KEY, 0, r->done, data, len);
        copy_part(r->mark, sizeof(r->mark), DERP_KEY, r->done, data, len);
    }
    size_t from = r->done < before ? before - r->done : 0;
    size_t until = end > r->done ? end - r->done : 0;
    until = until < len ? until : len;
    if (from < until) {
        crypto_generichash_update(&r->hash, data + from, until - from);
    }
    r->done += len;
}

static size_t read_some(struct ledger_reader *r, const uint8_t *data, size_t len)
{
    if (r->header_len < sizeof(r->header)) {
        r->header[r->header_len++] = data[0];
        r->len = (size_t)r->header[1] << 24 | (size_t)r->header[2] << 16 |
                 (size_t)r->header[3] << 8 | r->header[4];
        r->done = 0;
        memset(r->mark, 0, sizeof(r->mark));
        crypto_generichash_init(&r->hash, NULL, 0, LEDGER_HASH);
        len = 1;
    } else {
        len = len < r->len - r->done ? len : r->len - r->done;
        read_payload(r, data, len);
    }
    if (r->header_len == sizeof(r->header) && r->done == r->len) {
        finish(r);
    }
    return len;
}

void ledger_read(struct ledger_reader *r, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        at += read_some(r, data + at, len - at);
    }
}

static bool is_content(const struct entry *e, const uint8_t hash[LEDGER_HASH], size_t len)
{
    return e->len == len && memcmp(e->hash, hash, LEDGER_HASH) == 0;
}

/* Something later of the same sender and queue is already there. */
static bool is_overtaken(const struct entry *e, uint32_t conn)
{
    for (const struct entry *o = e + 1; o < l.entries + l.count; o++) {
        if (o->conn == e->conn && o->to == e->to && !o->ping && !o->strange && o->arrived == conn &&
            o->signalling == e->signalling) {
            return true;
        }
    }
    return false;
}

bool ledger_arrives(uint8_t from, uint8_t to, uint32_t conn, const uint8_t *data, size_t len)
{
    uint8_t hash[LEDGER_HASH];
    crypto_generichash(hash, LEDGER_HASH, data, len, NULL, 0);
    for (struct entry *e = l.entries; e < l.entries + l.count; e++) {
        if (!e->ping && e->from == from && e->to == to && e->arrived == NOT_YET &&
            is_content(e, hash, len) && (e->strange || !is_overtaken(e, conn))) {
            e->arrived = conn;
            return true;
        }
    }
    return false;
}

bool ledger_answers(uint32_t conn, const uint8_t payload[8])
{
    uint8_t hash[LEDGER_HASH];
    crypto_generichash(hash, LEDGER_HASH, payload, 8, NULL, 0);
    for (struct entry *e = l.entries; e < l.entries + l.count; e++) {
        if (e->ping && e->conn == conn && e->arrived == NOT_YET && is_content(e, hash, 8)) {
            e->arrived = conn;
            return true;
        }
    }
    return false;
}

bool ledger_has_sent(uint8_t from, uint8_t to)
{
    for (const struct entry *e = l.entries; e < l.entries + l.count; e++) {
        if (!e->ping && e->from == from && e->to == to) {
            return true;
        }
    }
    return false;
}

bool ledger_has_signalled(uint32_t conn, uint8_t to)
{
    for (const struct entry *e = l.entries; e < l.entries + l.count; e++) {
        if (e->conn == conn && e->to == to && e->signalling) {
            return true;
        }
    }
    return false;
}
