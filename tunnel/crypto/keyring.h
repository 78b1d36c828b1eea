/* The keys of a session: previous, current and next, as in WireGuard.
 *
 *   handshake ends   The initiator, who has proof that the responder is there, makes the new keys
 *                    current; the responder keeps them as next.
 *   first packet     What opens under next proves the same to the responder: next becomes current.
 *   afterwards       Previous still opens what was under way when current changed.
 *
 * Keys change, packet numbers go on: each path numbers its packets through all keys of a session
 * epoch, because acknowledgements and the replay window belong to the path, not to the keys.
 * Numbers start again only with a new epoch; then keyring_clear_except wipes the keys of the old
 * one, since a number that comes again under an old key would be a nonce used twice.
 *
 * A keyset stays where it is while it changes roles: a pointer to one is good until it is wiped.
 */
#ifndef CRYPTO_KEYRING_H
#define CRYPTO_KEYRING_H

#include "crypto/lentkey.h"

#include <base/clock.h>

#include <stdbool.h>
#include <stdint.h>

/* Age of a key in use: the initiator asks for a new one when it sends, or when it receives and the
 * key would not outlive a lost handshake; after the reject time it is neither used nor kept. */
#define REKEY_AFTER_TIME_NS (120 * NS_PER_S)
#define REJECT_AFTER_TIME_NS (180 * NS_PER_S)

/* Packets sealed under one key. ChaCha20-Poly1305 could go on for 2^60, AES-GCM cannot: RFC 8446
 * section 5.5 allows 2^24.5 records of 2^14 bytes, which leaves an attacker an advantage of 2^-57.
 * Our packets are no larger (PACKET_MTU_MAX), and the limit keeps below. It serves both kinds,
 * since new keys cost next to nothing; at a million packets/s, 8 s remain for the handshake.
 *
 * Forgeries need no counter: the 2^36 failures that RFC 9001 section 6.6 allows do not fit into the
 * 180 s that a key lives. */
#define REKEY_AFTER_MESSAGES (UINT64_C(1) << 23)
#define REJECT_AFTER_MESSAGES (UINT64_C(1) << 24)

/* Handshakes; the node drives these. An initiation is repeated every REKEY_TIMEOUT and a jitter,
 * until REKEY_ATTEMPT_TIME has passed or there is nothing to send; a responder takes one from a
 * peer every INITIATION_INTERVAL at most. */
#define REKEY_TIMEOUT_NS (5 * NS_PER_S)
#define REKEY_TIMEOUT_JITTER_NS (333 * NS_PER_MS)
#define REKEY_ATTEMPT_TIME_NS (90 * NS_PER_S)
#define INITIATION_INTERVAL_NS (20 * NS_PER_MS)

/* Received and nothing sent back for so long: send an empty packet. Sent and nothing received for
 * KEEPALIVE_TIMEOUT and REKEY_TIMEOUT together: try a new handshake. */
#define KEEPALIVE_TIMEOUT_NS (10 * NS_PER_S)

enum { KEYRING_SLOTS = 3 };

struct keyset {
    bool valid;
    bool initiator;
    uint32_t local_index;  /* leads what we receive */
    uint32_t remote_index; /* leads what we send */
    uint64_t created_ns;
    uint64_t sent_packets; /* whoever seals under `send` counts here */
    uint64_t tag;          /* the caller's own */
    struct aead_key send;
    struct aead_key recv;
    struct lentkey *lent_send; /* the same for another thread; NULL = nobody asked, or no memory */
    struct lentkey *lent_recv;
};

/* Embedded by its user, a ring for each peer; zeroed memory is an empty one. */
struct keyring {
    struct keyset slots[KEYRING_SLOTS];
    struct keyset *previous, *current, *next; /* into slots, or NULL: the ring is not to be moved */
};

/* The outcome of a handshake; the caller wipes it. */
struct keyring_offer {
    enum aead_kind kind;
    bool initiator;
    bool lend_send; /* a lent key is wanted, too */
    bool lend_recv;
    uint32_t local_index;
    uint32_t remote_index;
    uint64_t tag;
    uint8_t send[AEAD_KEY_LEN];
    uint8_t recv[AEAD_KEY_LEN];
};

/* Takes the keys in, as current (initiator) or next (responder); the least useful keys go. NULL,
 * and nothing changed, if the kind is not available here. */
struct keyset *keyring_install(struct keyring *ring, const struct keyring_offer *offer,
                               uint64_t now);

/* The keys with this index of ours, whatever their age; or NULL. */
struct keyset *keyring_find(struct keyring *ring, uint32_t local_index);
/* May packets still be opened under these keys? */
bool keyring_usable(const struct keyset *keys, uint64_t now);
/* A packet has opened under these keys. True if that made them current. */
bool keyring_confirm(struct keyring *ring, struct keyset *keys);

/* The current keys, as long as age and count allow to send; or NULL: a handshake is due. */
struct keyset *keyring_sender(const struct keyring *ring, uint64_t now);
/* Asked after sending: is it time for a handshake, although the keys still serve? */
bool keyring_wants_rekey(const struct keyring *ring, uint64_t now);
/* When that becomes true by time alone. */
uint64_t keyring_rekey_ns(const struct keyring *ring);

/* When keyring_expire has something to wipe, or TIME_NEVER. */
uint64_t keyring_next_ns(const struct keyring *ring);
/* Wipes keys that have reached REJECT_AFTER_TIME. */
void keyring_expire(struct keyring *ring, uint64_t now);
/* Wipes all but these, which keep their role; NULL wipes all. A responder confirms first. */
void keyring_clear_except(struct keyring *ring, const struct keyset *keep);
/* Wipes all that have another tag. */
void keyring_clear_except_tag(struct keyring *ring, uint64_t tag);

#endif
