#include "crypto/noise.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

#include <sodium.h>

enum { HASH_BLOCK_LEN = 128 }; /* of BLAKE2b, for HMAC */

/* Everything after the pre-message, both messages in a row. */
static const uint8_t ik[] = {
    NOISE_E, NOISE_ES, NOISE_S,  NOISE_SS,      NOISE_PAYLOAD, /* -> */
    NOISE_E, NOISE_EE, NOISE_SE, NOISE_PAYLOAD, NOISE_DONE,    /* <- */
};
static const uint8_t ikpsk2[] = {
    NOISE_E, NOISE_ES, NOISE_S,  NOISE_SS,  NOISE_PAYLOAD,             /* -> */
    NOISE_E, NOISE_EE, NOISE_SE, NOISE_PSK, NOISE_PAYLOAD, NOISE_DONE, /* <- */
};

static const struct {
    const char *name;
    const uint8_t *tokens;
} patterns[] = {
    [NOISE_IK] = {"Noise_IK_25519_ChaChaPoly_BLAKE2b", ik},
    [NOISE_IKPSK2] = {"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b", ikpsk2},
};

/* ---- Hash functions, section 4.3 ---- */

static void hash_two(uint8_t out[NOISE_HASH_LEN], const void *a, size_t a_len, const void *b,
                     size_t b_len)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, NOISE_HASH_LEN);
    crypto_generichash_update(&state, a, a_len);
    crypto_generichash_update(&state, b, b_len);
    crypto_generichash_final(&state, out, NOISE_HASH_LEN);
    sodium_memzero(&state, sizeof(state));
}

/* RFC 2104. BLAKE2b has a keyed mode of its own, but Noise asks for HMAC. */
static void hmac(uint8_t out[NOISE_HASH_LEN], const uint8_t key[NOISE_HASH_LEN], const void *data,
                 size_t len)
{
    uint8_t pad[HASH_BLOCK_LEN];
    uint8_t inner[NOISE_HASH_LEN];
    memset(pad, 0x36, sizeof(pad));
    for (size_t i = 0; i < NOISE_HASH_LEN; i++) {
        pad[i] ^= key[i];
    }
    hash_two(inner, pad, sizeof(pad), data, len);
    for (size_t i = 0; i < HASH_BLOCK_LEN; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    hash_two(out, pad, sizeof(pad), inner, sizeof(inner));
    sodium_memzero(pad, sizeof(pad));
    sodium_memzero(inner, sizeof(inner));
}

/* out[i] = HMAC(HMAC(key, ikm), out[i - 1] || i), counted from 1 */
static void hkdf(uint8_t out[][NOISE_HASH_LEN], size_t count, const uint8_t key[NOISE_HASH_LEN],
                 const void *ikm, size_t len)
{
    uint8_t temp[NOISE_HASH_LEN];
    uint8_t input[NOISE_HASH_LEN + 1];
    size_t before = 0;
    hmac(temp, key, ikm, len);
    for (size_t i = 0; i < count; i++) {
        input[before] = (uint8_t)(i + 1);
        hmac(out[i], temp, input, before + 1);
        memcpy(input, out[i], NOISE_HASH_LEN);
        before = NOISE_HASH_LEN;
    }
    sodium_memzero(temp, sizeof(temp));
    sodium_memzero(input, sizeof(input));
}

/* ---- The symmetric state, section 5.2 ---- */

static void mix_hash(struct noise *n, const void *data, size_t len)
{
    hash_two(n->h, n->h, NOISE_HASH_LEN, data, len);
}

static void set_key(struct noise *n, const uint8_t key[NOISE_HASH_LEN])
{
    memcpy(n->k, key, NOISE_KEY_LEN);
    n->n = 0;
}

static void mix_key(struct noise *n, const uint8_t *data, size_t len)
{
    uint8_t out[2][NOISE_HASH_LEN];
    hkdf(out, 2, n->ck, data, len);
    memcpy(n->ck, out[0], NOISE_HASH_LEN);
    set_key(n, out[1]);
    sodium_memzero(out, sizeof(out));
}

static void mix_key_and_hash(struct noise *n, const uint8_t *data, size_t len)
{
    uint8_t out[3][NOISE_HASH_LEN];
    hkdf(out, 3, n->ck, data, len);
    memcpy(n->ck, out[0], NOISE_HASH_LEN);
    mix_hash(n, out[1], NOISE_HASH_LEN);
    set_key(n, out[2]);
    sodium_memzero(out, sizeof(out));
}

/* Section 12.3 makes the nonce of n. Here every key is followed by the next before a second use, so
 * that n is 0 whenever something is sealed or opened. */
static const uint8_t *next_nonce(struct noise *n)
{
    static const uint8_t zero[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    CHECK(n->n == 0);
    n->n++;
    return zero;
}

static int encrypt_and_hash(struct noise *n, const void *data, size_t len, struct writer *out)
{
    uint8_t *sealed = write_space(out, len + NOISE_TAG_LEN);
    if (!sealed) {
        return ERR_NO_ROOM;
    }
    const uint8_t *nonce = next_nonce(n);
    crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, data, len, n->h, NOISE_HASH_LEN, NULL,
                                              nonce, n->k);
    mix_hash(n, sealed, len + NOISE_TAG_LEN);
    return 0;
}

/* `len` is the plaintext's. */
static int decrypt_and_hash(struct noise *n, struct reader *in, void *data, size_t len)
{
    const uint8_t *sealed = read_bytes(in, len + NOISE_TAG_LEN);
    if (!sealed) {
        return ERR_TRUNCATED;
    }
    const uint8_t *nonce = next_nonce(n);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(data, NULL, NULL, sealed, len + NOISE_TAG_LEN,
                                                  n->h, NOISE_HASH_LEN, nonce, n->k) != 0) {
        return ERR_CRYPTO;
    }
    mix_hash(n, sealed, len + NOISE_TAG_LEN);
    return 0;
}

/* ---- Tokens, sections 5.3 and 9.2 ---- */

/* With a PSK the ephemeral keys go into the chaining key too, so that the cipher key, and with it
 * the nonces under it, are fresh even where the PSK is the only key. */
static void mix_ephemeral(struct noise *n, const struct public_key *e)
{
    mix_hash(n, e->bytes, KEY_LEN);
    if (n->pattern == NOISE_IKPSK2) {
        mix_key(n, e->bytes, KEY_LEN);
    }
}

static int write_e(struct noise *n, struct writer *out)
{
    CHECK(n->has_ephemeral);
    write_bytes(out, n->e.public.bytes, KEY_LEN);
    if (out->failed) {
        return ERR_NO_ROOM;
    }
    mix_ephemeral(n, &n->e.public);
    return 0;
}

static int read_e(struct noise *n, struct reader *in)
{
    read_copy(in, n->re.bytes, KEY_LEN);
    if (in->failed) {
        return ERR_TRUNCATED;
    }
    mix_ephemeral(n, &n->re);
    return 0;
}

static int mix_dh(struct noise *n, const struct secret_key *ours, const struct public_key *theirs)
{
    uint8_t shared[crypto_scalarmult_BYTES];
    int err = crypto_scalarmult(shared, ours->bytes, theirs->bytes) != 0 ? ERR_CRYPTO : 0;
    if (!err) {
        mix_key(n, shared, sizeof(shared));
    }
    sodium_memzero(shared, sizeof(shared));
    return err;
}

/* Tokens that put nothing on the wire. Of the two letters of a DH the first names the initiator's
 * key and the second the responder's. */
static int mix_token(struct noise *n, enum noise_token token)
{
    CHECK(n->s); /* a wiped state goes nowhere */
    const struct secret_key *e = &n->e.secret;
    const struct secret_key *s = &n->s->secret;
    switch (token) {
    case NOISE_EE:
        return mix_dh(n, e, &n->re);
    case NOISE_ES:
        return n->initiator ? mix_dh(n, e, &n->rs) : mix_dh(n, s, &n->re);
    case NOISE_SE:
        return n->initiator ? mix_dh(n, s, &n->re) : mix_dh(n, e, &n->rs);
    case NOISE_SS:
        return mix_dh(n, s, &n->rs);
    case NOISE_PSK:
        mix_key_and_hash(n, n->psk, NOISE_PSK_LEN);
        return 0;
    case NOISE_E:
    case NOISE_S:
    case NOISE_PAYLOAD:
    case NOISE_DONE:
        break;
    }
    NEVER();
}

static int write_token(struct noise *n, enum noise_token token, struct writer *out)
{
    if (token == NOISE_E) {
        return write_e(n, out);
    }
    if (token == NOISE_S) {
        return encrypt_and_hash(n, n->s->public.bytes, KEY_LEN, out);
    }
    return mix_token(n, token);
}

static int read_token(struct noise *n, enum noise_token token, struct reader *in)
{
    if (token == NOISE_E) {
        return read_e(n, in);
    }
    if (token == NOISE_S) {
        return decrypt_and_hash(n, in, n->rs.bytes, KEY_LEN);
    }
    return mix_token(n, token);
}

/* Counts the token, or ends the handshake for good. */
static int finish_token(struct noise *n, int err)
{
    if (err) {
        noise_wipe(n);
        return err;
    }
    n->at++;
    return 0;
}

/* ---- The handshake ---- */

void noise_init(struct noise *n, const struct noise_setup *setup)
{
    const char *name = patterns[setup->pattern].name;
    const struct public_key *responder = setup->peer ? setup->peer : &setup->self->public;
    *n = (struct noise){
        .pattern = setup->pattern,
        .initiator = setup->peer != NULL,
        .s = setup->self,
    };
    if (setup->peer) {
        n->rs = *setup->peer;
    }
    CHECK(strlen(name) <= NOISE_HASH_LEN); /* a longer one would have to be hashed */
    memcpy(n->h, name, strlen(name));
    memcpy(n->ck, n->h, NOISE_HASH_LEN);
    mix_hash(n, setup->prologue, setup->prologue_len);
    mix_hash(n, responder->bytes, KEY_LEN);
}

void noise_set_ephemeral(struct noise *n, const struct key_pair *e)
{
    n->e = *e;
    n->has_ephemeral = true;
}

void noise_set_psk(struct noise *n, const uint8_t psk[NOISE_PSK_LEN])
{
    memcpy(n->psk, psk, NOISE_PSK_LEN);
}

enum noise_token noise_next(const struct noise *n)
{
    return (enum noise_token)patterns[n->pattern].tokens[n->at];
}

int noise_write(struct noise *n, enum noise_token last, struct writer *out)
{
    enum noise_token token;
    int err;
    do {
        token = noise_next(n);
        err = finish_token(n, write_token(n, token, out));
    } while (!err && token != last);
    return err;
}

int noise_read(struct noise *n, enum noise_token last, struct reader *in)
{
    enum noise_token token;
    int err;
    do {
        token = noise_next(n);
        err = finish_token(n, read_token(n, token, in));
    } while (!err && token != last);
    return err;
}

int noise_write_payload(struct noise *n, const void *payload, size_t len, struct writer *out)
{
    CHECK(noise_next(n) == NOISE_PAYLOAD);
    return finish_token(n, encrypt_and_hash(n, payload, len, out));
}

int noise_read_payload(struct noise *n, struct reader *in, void *payload)
{
    CHECK(noise_next(n) == NOISE_PAYLOAD);
    size_t len = reader_left(in);
    if (len < NOISE_TAG_LEN) {
        return finish_token(n, ERR_TRUNCATED);
    }
    return finish_token(n, decrypt_and_hash(n, in, payload, len - NOISE_TAG_LEN));
}

void noise_split(const struct noise *n, uint8_t send[NOISE_KEY_LEN], uint8_t recv[NOISE_KEY_LEN])
{
    CHECK(noise_next(n) == NOISE_DONE);
    uint8_t out[2][NOISE_HASH_LEN]; /* initiator to responder, responder to initiator */
    hkdf(out, 2, n->ck, NULL, 0);
    memcpy(send, out[n->initiator ? 0 : 1], NOISE_KEY_LEN);
    memcpy(recv, out[n->initiator ? 1 : 0], NOISE_KEY_LEN);
    sodium_memzero(out, sizeof(out));
}

void noise_wipe(struct noise *n)
{
    sodium_memzero(n, sizeof(*n));
}
