/* The sending half of a key for another thread: the same key as keyset.send, with a state of its
 * own, since what a library keeps for a key serves one thread at a time.
 *
 * Counted, because packets that are to be sealed may outlive their keyset: the key is wiped when
 * its last holder lets it go. sealer_seal is for the one thread that works with it at the moment;
 * all else is for the thread of the keyring.
 */
#ifndef CRYPTO_SEALER_H
#define CRYPTO_SEALER_H

#include "crypto/aead.h"

struct sealer;

/* Held once. NULL: no memory, or the kind is not available. */
struct sealer *sealer_new(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN]);
struct sealer *sealer_hold(struct sealer *s);
/* NULL is allowed. */
void sealer_release(struct sealer *s);

/* Seals a data packet (wire/packet.h) of `len` bytes in place: its header is written, its payload
 * stands behind that, and its last AEAD_TAG_LEN bytes are room for the tag. */
void sealer_seal(struct sealer *s, uint8_t *packet, size_t len);

#endif
