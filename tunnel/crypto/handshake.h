/* The three handshake messages: Noise_IKpsk2 (noise.h) between a header and two MACs (cookie.h).
 *
 *   initiation   type 1, zeros 3, sender index 4,
 *                e 32, static key sealed 48, payload sealed p + 16, mac1 16, mac2 16
 *   response     type 1, zeros 3, sender index 4, receiver index 4,
 *                e 32, payload sealed p + 16, mac1 16, mac2 16
 *   cookie       type 1, zeros 3, receiver index 4,
 *                nonce 24, cookie sealed 32
 *
 * Types are those of wire/packet.h, integers are big-endian, and the payload is the caller's. An
 * index names a set of keys at who chose it: it leads what that node receives. The sender's index
 * is outside of what Noise protects: who can change it on the way could as well drop the message.
 *
 *     initiator                                responder
 *     handshake_start
 *     handshake_write_initiation     ------>   handshake_check_mac
 *                                              handshake_read_initiation     one DH: who is it?
 *                                              handshake_accept_initiation   is it really?
 *     handshake_check_mac            <------   handshake_write_response
 *     handshake_read_response                  handshake_keys
 *     handshake_keys
 *
 * What the initiation carries is readable to who learns the responder's secret later, and can be
 * sent again by anyone: put no more into it than a timestamp and parameters, and look at the
 * timestamp before answering. The responder sends nothing under the new keys until a packet under
 * them has come in (keyring.h): only that proves that the initiation was no replay.
 *
 * The responder reads into a handshake of its own, on the stack: the peer's may be waiting for a
 * response at the same time, and a stranger's initiation must not disturb it.
 */
#ifndef CRYPTO_HANDSHAKE_H
#define CRYPTO_HANDSHAKE_H

#include "crypto/cookie.h"
#include "crypto/keys.h"
#include "crypto/noise.h"

#include <base/rng.h>

#include <stddef.h>
#include <stdint.h>

/* Name and version of the protocol: other versions do not understand each other by accident. */
#define HANDSHAKE_PROLOGUE "adit 1"

enum {
    HANDSHAKE_PAYLOAD_MAX = 512,
    HANDSHAKE_SEALED_MAX = HANDSHAKE_PAYLOAD_MAX + NOISE_TAG_LEN,
    /* The lengths with an empty payload. */
    HANDSHAKE_INITIATION_LEN = 8 + KEY_LEN + KEY_LEN + 2 * NOISE_TAG_LEN + COOKIE_MACS_LEN,
    HANDSHAKE_RESPONSE_LEN = 12 + KEY_LEN + NOISE_TAG_LEN + COOKIE_MACS_LEN,
    HANDSHAKE_COOKIE_LEN = 8 + COOKIE_NONCE_LEN + COOKIE_SEALED_LEN,
    /* Room for any of the three. */
    HANDSHAKE_MAX = HANDSHAKE_INITIATION_LEN + HANDSHAKE_PAYLOAD_MAX,
};

enum handshake_state {
    HANDSHAKE_IDLE,      /* also after an error at the responder, and after handshake_keys */
    HANDSHAKE_STARTED,   /* initiator: nothing written yet */
    HANDSHAKE_INITIATED, /* initiator: waits for the response */
    HANDSHAKE_READ,      /* responder: knows who claims to ask */
    HANDSHAKE_ACCEPTED,  /* responder: the claim holds */
    HANDSHAKE_DONE,      /* both: handshake_keys gives the keys */
};

/* Embedded by its user; zeroed memory is an idle one. */
struct handshake {
    enum handshake_state state;
    uint32_t local_index;
    uint32_t remote_index;
    struct public_key peer;
    struct noise noise;
    /* Between read and accept: the sealed payload of the initiation. */
    uint8_t sealed[HANDSHAKE_SEALED_MAX];
    size_t sealed_len;
};

/* What the writer of a message brings along. */
struct handshake_draft {
    uint32_t index;         /* ours, not in use for other keys */
    const uint8_t *payload; /* sealed, of any content */
    size_t payload_len;     /* at most HANDSHAKE_PAYLOAD_MAX */
    struct cookie_jar *jar; /* of this peer, and of the path the message takes first */
    struct rng rng;
    uint64_t now;
};

/* A message that came in and where from. */
struct handshake_mail {
    const uint8_t *data;
    size_t len;
    struct cookie_source source;
    uint64_t now;
};

/* ---- Both sides ---- */

/* The first look at an initiation or response: COOKIE_BAD also if it is neither, in length, type or
 * reserved bytes. */
enum cookie_verdict handshake_check_mac(const struct cookie_checker *checker,
                                        const struct handshake_mail *mail);
/* For which of our indices a response or a cookie is: 0 or ERR_MALFORMED. */
int handshake_receiver(uint32_t *index, const uint8_t *data, size_t len);

/* The session's keys, in state DONE; the caller wipes them. What could derive them again is wiped,
 * indices and peer stay. */
void handshake_keys(struct handshake *h, uint8_t send[NOISE_KEY_LEN], uint8_t recv[NOISE_KEY_LEN]);
void handshake_wipe(struct handshake *h);

/* ---- Initiator ---- */

/* `self` outlives the handshake; psk is zeros where none is agreed on. Each attempt starts anew. */
void handshake_start(struct handshake *h, const struct key_pair *self,
                     const struct public_key *peer, const uint8_t psk[NOISE_PSK_LEN]);
/* Length of the message; ERR_NO_ROOM; ERR_CRYPTO if the peer's key is not one. On errors wiped. */
int handshake_write_initiation(struct handshake *h, const struct handshake_draft *draft,
                               uint8_t *out, size_t cap);
/* 0 with *payload_len the payload's length; else ERR_MALFORMED, ERR_NOT_FOUND (another index),
 * ERR_STATE (none expected), ERR_CRYPTO, and the true response is still awaited. */
int handshake_read_response(struct handshake *h, const uint8_t *data, size_t len,
                            uint8_t payload[HANDSHAKE_PAYLOAD_MAX], size_t *payload_len);

/* ---- Responder ---- */

/* Opens the sender's key into h->peer for the price of one DH; whether it is really the sender's is
 * not known before handshake_accept_initiation. 0, or ERR_MALFORMED or ERR_CRYPTO and h wiped. */
int handshake_read_initiation(struct handshake *h, const struct key_pair *self, const uint8_t *data,
                              size_t len);
/* 0 with *payload_len the payload's length, or ERR_CRYPTO and h wiped. */
int handshake_accept_initiation(struct handshake *h, const uint8_t psk[NOISE_PSK_LEN],
                                uint8_t payload[HANDSHAKE_PAYLOAD_MAX], size_t *payload_len);
/* Length of the message; ERR_NO_ROOM or ERR_CRYPTO and h wiped. */
int handshake_write_response(struct handshake *h, const struct handshake_draft *draft, uint8_t *out,
                             size_t cap);

/* ---- Cookies ---- */

/* Answers a message whose verdict was COOKIE_MAC1. */
void handshake_write_cookie(struct cookie_checker *checker, const struct handshake_mail *mail,
                            struct rng rng, uint8_t out[HANDSHAKE_COOKIE_LEN]);
/* Into the jar the message in question was stamped with. 0, ERR_MALFORMED, ERR_STATE, ERR_CRYPTO */
int handshake_read_cookie(struct cookie_jar *jar, const uint8_t *data, size_t len, uint64_t now);

#endif
