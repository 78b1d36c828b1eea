/* Proof that a message of a cluster comes from one of its relays: a tag in front of it, made with a
 * secret that all of them have.
 *
 *     tag 16 | message
 *
 * The tag is keyed BLAKE2b (RFC 7693 2.9) of the message, under a key that is derived from the
 * secret for this alone. It hides nothing: payloads are sealed by the nodes, and who speaks to whom
 * stands in the subjects. A message that is published a second time has a good tag again, but it is
 * not believed once its stamp is old (cluster_heard).
 */
#ifndef RELAY_CLUSTER_SEAL_H
#define RELAY_CLUSTER_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLUSTER_SEAL_SECRET = 32, CLUSTER_SEAL_TAG = 16 };

struct cluster_seal {
    uint8_t key[32];
};

void cluster_seal_init(struct cluster_seal *s, const uint8_t secret[CLUSTER_SEAL_SECRET]);
/* Wipes the key. */
void cluster_seal_deinit(struct cluster_seal *s);
/* Fills in the first CLUSTER_SEAL_TAG of the `len` bytes. */
void cluster_seal_close(const struct cluster_seal *s, uint8_t *message, size_t len);
/* Whether the tag in front is that of the rest. */
bool cluster_seal_opens(const struct cluster_seal *s, const uint8_t *message, size_t len);

#endif
