/* Proof that a message of a cluster comes from one of its relays: a tag in front of it, made with a
 * secret that all of them have.
 *
 *     nonce 24 | tag 16 | message
 *
 * The tag is that of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) over nothing, with the message
 * as its associated data, under a key that is derived from the secret for this alone. It hides
 * nothing: payloads are sealed by the nodes, and who speaks to whom stands in the subjects. A nonce
 * is 16 random bytes of its writer and a counter. A message that is published a second time has a
 * good tag again, but it is not believed once its stamp is old (cluster_heard).
 */
#ifndef RELAY_CLUSTER_SEAL_H
#define RELAY_CLUSTER_SEAL_H

#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLUSTER_SEAL_SECRET = 32, CLUSTER_SEAL_LEN = 40 };

struct cluster_seal {
    uint8_t key[32];
    uint8_t writer[16];
    uint64_t count; /* of messages that were closed */
};

void cluster_seal_init(struct cluster_seal *s, const uint8_t secret[CLUSTER_SEAL_SECRET],
                       struct rng rng);
/* Wipes the key. */
void cluster_seal_deinit(struct cluster_seal *s);
/* Fills in the first CLUSTER_SEAL_LEN of the `len` bytes. */
void cluster_seal_close(struct cluster_seal *s, uint8_t *message, size_t len);
/* Whether what is in front is the proof of the rest. Reads nothing that closing changes. */
bool cluster_seal_opens(const struct cluster_seal *s, const uint8_t *message, size_t len);

#endif
