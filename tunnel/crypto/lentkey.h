/* One direction of a session's keys for another thread: the same key as keyset.send or keyset.recv,
 * with a state of its own, since what a library keeps for a key serves one thread at a time.
 *
 * Counted, because packets that are to be sealed or opened may outlive their keyset: the key is
 * wiped when its last holder lets it go. lentkey_seal and lentkey_open are for the one thread that
 * works with it at the moment; all else is for the thread of the keyring.
 */
#ifndef CRYPTO_LENTKEY_H
#define CRYPTO_LENTKEY_H

#include "crypto/aead.h"

struct lentkey;

/* Held once. NULL: no memory, or the kind is not available. */
struct lentkey *lentkey_new(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN]);
struct lentkey *lentkey_hold(struct lentkey *k);
/* NULL is allowed. */
void lentkey_release(struct lentkey *k);

/* Seals a data packet (wire/packet.h) of `len` bytes in place: its header is written, its payload
 * stands behind that, and its last AEAD_TAG_LEN bytes are room for the tag. */
void lentkey_seal(struct lentkey *k, uint8_t *packet, size_t len);
/* Opens a whole data packet in place; false if it is not authentic, and is spoiled then. */
bool lentkey_open(struct lentkey *k, uint8_t *packet, size_t len);

#endif
