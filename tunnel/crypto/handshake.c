#include "crypto/handshake.h"

#include "wire/packet.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include <string.h>

#include <sodium.h>

enum { TYPE_LEN = 4 }; /* the type and three zeros */

/* ---- Headers ---- */

static void write_type(struct writer *w, enum packet_type type)
{
    write_u32(w, (uint32_t)type << 24);
}

/* The body of a message of this type whose length lies within bounds; else a failed reader. */
static struct reader body_of(const uint8_t *data, size_t len, enum packet_type type)
{
    size_t least = type == PACKET_INITIATION ? HANDSHAKE_INITIATION_LEN
                   : type == PACKET_RESPONSE ? HANDSHAKE_RESPONSE_LEN
                                             : HANDSHAKE_COOKIE_LEN;
    size_t most = type == PACKET_COOKIE ? least : least + HANDSHAKE_PAYLOAD_MAX;
    struct reader r = reader_of(data, len);
    if (len < least || len > most || read_u32(&r) != (uint32_t)type << 24) {
        r.failed = true;
    }
    return r;
}

/* The same without the MACs, which handshake_check_mac has looked at. */
static struct reader noise_body_of(const uint8_t *data, size_t len, enum packet_type type)
{
    struct reader r = body_of(data, len, type);
    if (!r.failed) {
        r.end -= COOKIE_MACS_LEN;
    }
    return r;
}

enum cookie_verdict handshake_check_mac(const struct cookie_checker *checker,
                                        const struct handshake_mail *mail)
{
    if (body_of(mail->data, mail->len, PACKET_INITIATION).failed &&
        body_of(mail->data, mail->len, PACKET_RESPONSE).failed) {
        return COOKIE_BAD;
    }
    return cookie_check(checker, mail->data, mail->len, &mail->source, mail->now);
}

int handshake_receiver(uint32_t *index, const uint8_t *data, size_t len)
{
    struct reader r = body_of(data, len, PACKET_COOKIE);
    if (r.failed) {
        r = body_of(data, len, PACKET_RESPONSE);
        (void)read_u32(&r); /* the sender's */
    }
    if (r.failed) {
        return ERR_MALFORMED;
    }
    *index = read_u32(&r);
    return 0;
}

/* ---- Parts that initiation and response share ---- */

static int fail(struct handshake *h, int err)
{
    handshake_wipe(h);
    return err;
}

static int give_ephemeral(struct handshake *h, struct rng rng)
{
    struct key_pair e;
    int err = key_pair_generate(&e, rng);
    if (!err) {
        noise_set_ephemeral(&h->noise, &e);
    }
    key_pair_wipe(&e);
    return err;
}

/* From behind the header to the end: tokens, payload, MACs. Returns the message's length. */
static int write_rest(struct handshake *h, enum noise_token last,
                      const struct handshake_draft *draft, struct writer *w)
{
    CHECK(draft->payload_len <= HANDSHAKE_PAYLOAD_MAX);
    int err = give_ephemeral(h, draft->rng);
    if (!err) {
        err = noise_write(&h->noise, last, w);
    }
    if (!err) {
        err = noise_write_payload(&h->noise, draft->payload, draft->payload_len, w);
    }
    if (!err && !write_space(w, COOKIE_MACS_LEN)) {
        err = ERR_NO_ROOM;
    }
    if (err) {
        return fail(h, err);
    }
    cookie_jar_stamp(draft->jar, w->start, writer_len(w), draft->now);
    h->local_index = draft->index;
    return (int)writer_len(w);
}

/* ---- Initiator ---- */

static struct noise_setup setup_of(const struct key_pair *self, const struct public_key *peer)
{
    return (struct noise_setup){
        .pattern = NOISE_IKPSK2,
        .self = self,
        .peer = peer,
        .prologue = HANDSHAKE_PROLOGUE,
        .prologue_len = strlen(HANDSHAKE_PROLOGUE),
    };
}

void handshake_start(struct handshake *h, const struct key_pair *self,
                     const struct public_key *peer, const uint8_t psk[NOISE_PSK_LEN])
{
    struct noise_setup setup = setup_of(self, peer);
    handshake_wipe(h);
    noise_init(&h->noise, &setup);
    noise_set_psk(&h->noise, psk);
    h->peer = *peer;
    h->state = HANDSHAKE_STARTED;
}

int handshake_write_initiation(struct handshake *h, const struct handshake_draft *draft,
                               uint8_t *out, size_t cap)
{
    CHECK(h->state == HANDSHAKE_STARTED);
    struct writer w = writer_of(out, cap);
    write_type(&w, PACKET_INITIATION);
    write_u32(&w, draft->index);
    int len = write_rest(h, NOISE_SS, draft, &w);
    if (len > 0) {
        h->state = HANDSHAKE_INITIATED;
    }
    return len;
}

int handshake_read_response(struct handshake *h, const uint8_t *data, size_t len,
                            uint8_t payload[HANDSHAKE_PAYLOAD_MAX], size_t *payload_len)
{
    struct reader r = noise_body_of(data, len, PACKET_RESPONSE);
    uint32_t sender = read_u32(&r);
    uint32_t receiver = read_u32(&r);
    if (r.failed) {
        return ERR_MALFORMED;
    }
    if (h->state != HANDSHAKE_INITIATED) {
        return ERR_STATE;
    }
    if (receiver != h->local_index) {
        return ERR_NOT_FOUND;
    }
    struct noise noise = h->noise; /* a forged response must not spoil the true one */
    size_t opened_len = 0;
    int err = noise_read(&noise, NOISE_PSK, &r);
    if (!err) {
        opened_len = reader_left(&r) - NOISE_TAG_LEN;
        err = noise_read_payload(&noise, &r, payload);
    }
    if (!err) {
        h->noise = noise;
        h->remote_index = sender;
        h->state = HANDSHAKE_DONE;
        *payload_len = opened_len;
    }
    noise_wipe(&noise);
    return err;
}

/* ---- Responder ---- */

int handshake_read_initiation(struct handshake *h, const struct key_pair *self, const uint8_t *data,
                              size_t len)
{
    struct noise_setup setup = setup_of(self, NULL);
    struct reader r = noise_body_of(data, len, PACKET_INITIATION);
    uint32_t sender = read_u32(&r);
    handshake_wipe(h);
    if (r.failed) {
        return ERR_MALFORMED;
    }
    noise_init(&h->noise, &setup);
    int err = noise_read(&h->noise, NOISE_S, &r);
    if (err) {
        return fail(h, err);
    }
    h->peer = h->noise.rs;
    h->remote_index = sender;
    h->sealed_len = reader_left(&r);
    read_copy(&r, h->sealed, h->sealed_len);
    h->state = HANDSHAKE_READ;
    return 0;
}

int handshake_accept_initiation(struct handshake *h, const uint8_t psk[NOISE_PSK_LEN],
                                uint8_t payload[HANDSHAKE_PAYLOAD_MAX], size_t *payload_len)
{
    CHECK(h->state == HANDSHAKE_READ);
    struct reader r = reader_of(h->sealed, h->sealed_len);
    noise_set_psk(&h->noise, psk);
    int err = noise_read(&h->noise, NOISE_SS, &r);
    if (!err) {
        err = noise_read_payload(&h->noise, &r, payload);
    }
    if (err) {
        return fail(h, err);
    }
    *payload_len = h->sealed_len - NOISE_TAG_LEN;
    h->state = HANDSHAKE_ACCEPTED;
    return 0;
}

int handshake_write_response(struct handshake *h, const struct handshake_draft *draft, uint8_t *out,
                             size_t cap)
{
    CHECK(h->state == HANDSHAKE_ACCEPTED);
    struct writer w = writer_of(out, cap);
    write_type(&w, PACKET_RESPONSE);
    write_u32(&w, draft->index);
    write_u32(&w, h->remote_index);
    int len = write_rest(h, NOISE_PSK, draft, &w);
    if (len > 0) {
        h->state = HANDSHAKE_DONE;
    }
    return len;
}

/* ---- The end ---- */

void handshake_keys(struct handshake *h, uint8_t send[NOISE_KEY_LEN], uint8_t recv[NOISE_KEY_LEN])
{
    CHECK(h->state == HANDSHAKE_DONE);
    noise_split(&h->noise, send, recv);
    noise_wipe(&h->noise);
    h->state = HANDSHAKE_IDLE;
}

void handshake_wipe(struct handshake *h)
{
    sodium_memzero(h, sizeof(*h));
}

/* ---- Cookies ---- */

void handshake_write_cookie(struct cookie_checker *checker, const struct handshake_mail *mail,
                            struct rng rng, uint8_t out[HANDSHAKE_COOKIE_LEN])
{
    CHECK(mail->len >= HANDSHAKE_RESPONSE_LEN);
    struct cookie_reply reply;
    struct writer w = writer_of(out, HANDSHAKE_COOKIE_LEN);
    cookie_bake(checker, &reply, mail->data + mail->len - COOKIE_MACS_LEN, &mail->source, rng,
                mail->now);
    write_type(&w, PACKET_COOKIE);
    write_bytes(&w, mail->data + TYPE_LEN, 4); /* the sender's index */
    write_bytes(&w, reply.nonce, sizeof(reply.nonce));
    write_bytes(&w, reply.sealed, sizeof(reply.sealed));
    CHECK(!w.failed && writer_len(&w) == HANDSHAKE_COOKIE_LEN);
}

int handshake_read_cookie(struct cookie_jar *jar, const uint8_t *data, size_t len, uint64_t now)
{
    struct cookie_reply reply;
    struct reader r = body_of(data, len, PACKET_COOKIE);
    (void)read_u32(&r); /* handshake_receiver has found the jar */
    read_copy(&r, reply.nonce, sizeof(reply.nonce));
    read_copy(&r, reply.sealed, sizeof(reply.sealed));
    return r.failed ? ERR_MALFORMED : cookie_jar_accept(jar, &reply, now);
}
