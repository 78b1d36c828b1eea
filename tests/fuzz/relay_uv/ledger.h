/* What clients have sent, frame by frame, so that what arrives can be held against it.
 *
 * Each client's bytes are read here once more, by a reader of its own: five bytes of header, then a
 * payload. A packet is known by who sent it, to which key, and a hash of its payload.
 */
#ifndef TESTS_FUZZ_RELAY_UV_LEDGER_H
#define TESTS_FUZZ_RELAY_UV_LEDGER_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LEDGER_MAX = 4096, /* entries */
    LEDGER_HASH = 16,
    LEDGER_KEYS = 5,       /* of clients; the last one is nobody's */
    LEDGER_NO_KEY = 0xff,  /* some other */
    LEDGER_SIGNALLING = 6, /* bytes that mark it */
};

/* Reads what one connection sends. */
struct ledger_reader {
    uint32_t conn; /* a number that no other connection has */
    uint8_t from;
    bool strange; /* these bytes are not of our making: the same ones may come twice */
    uint8_t header[5];
    size_t header_len;
    uint8_t to[32];
    uint8_t mark[LEDGER_SIGNALLING];
    size_t len, done;
    crypto_generichash_state hash;
};

void ledger_start(const uint8_t keys[LEDGER_KEYS][32]);
/* LEDGER_NO_KEY if it is none of them. */
uint8_t ledger_key(const uint8_t key[32]);
bool ledger_is_full(void);

void ledger_read(struct ledger_reader *r, const uint8_t *data, size_t len);

/* Whether `to` may receive that from `from` on its connection `conn`: it was sent, has not arrived
 * yet, and nothing that was sent after it has arrived before it. It has arrived then. */
bool ledger_arrives(uint8_t from, uint8_t to, uint32_t conn, const uint8_t *data, size_t len);
/* Whether that answers a ping of `conn`; each does so once. */
bool ledger_answers(uint32_t conn, const uint8_t payload[8]);
/* Whether `from` has sent anything to `to`; whether `conn` has sent signalling there. */
bool ledger_has_sent(uint8_t from, uint8_t to);
bool ledger_has_signalled(uint32_t conn, uint8_t to);

#endif
