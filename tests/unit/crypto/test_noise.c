/* The published IK and IKpsk2 vectors of cacophony, snow and noise-c, token by token, and what a
 * stranger can do to a handshake. */
#include "crypto/noise.h"

#include "support/hex.h"

#include <base/err.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <sodium.h>

enum { MESSAGE_MAX = 512 };

/* ---- Vectors ---- */

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    assert_int_equal(fclose(file), 0);
    return text;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    assert_non_null(text);
    return text;
}

static size_t bytes_of(uint8_t *out, size_t cap, const cJSON *object, const char *name)
{
    return hex_decode(out, cap, text_of(object, name));
}

static struct key_pair pair_of(const cJSON *object, const char *name)
{
    struct secret_key secret;
    struct key_pair pair;
    assert_int_equal(bytes_of(secret.bytes, KEY_LEN, object, name), KEY_LEN);
    assert_int_equal(key_pair_of(&pair, &secret), 0);
    return pair;
}

/* One published handshake, both of its ends, and the derived states along the way. */
struct vector {
    const cJSON *published;
    const cJSON *derived;
    struct key_pair is, ie, rs, re;
    struct noise initiator, responder;
};

static enum noise_pattern pattern_of(const cJSON *published)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(published, "protocol_name"));
    name = name ? name : text_of(published, "name"); /* noise-c */
    return strstr(name, "psk2") ? NOISE_IKPSK2 : NOISE_IK;
}

static void set_psk(struct noise *n, const cJSON *published, const char *name)
{
    const cJSON *list = cJSON_GetObjectItem(published, name);
    uint8_t psk[NOISE_PSK_LEN];
    if (cJSON_GetArraySize(list) > 0) {
        assert_int_equal(
            hex_decode(psk, sizeof(psk), cJSON_GetStringValue(cJSON_GetArrayItem(list, 0))),
            NOISE_PSK_LEN);
        noise_set_psk(n, psk);
    }
}

static void vector_load(struct vector *v, const cJSON *entry)
{
    v->published = cJSON_GetObjectItem(entry, "published");
    v->derived = cJSON_GetObjectItem(entry, "derived");
    v->is = pair_of(v->published, "init_static");
    v->ie = pair_of(v->published, "init_ephemeral");
    v->rs = pair_of(v->published, "resp_static");
    v->re = pair_of(v->published, "resp_ephemeral");

    uint8_t prologue[128];
    struct public_key peer;
    bytes_of(peer.bytes, KEY_LEN, v->published, "init_remote_static");
    struct noise_setup setup = {
        .pattern = pattern_of(v->published),
        .self = &v->is,
        .peer = &peer,
        .prologue = prologue,
        .prologue_len = bytes_of(prologue, sizeof(prologue), v->published, "init_prologue"),
    };
    noise_init(&v->initiator, &setup);
    setup.self = &v->rs;
    setup.peer = NULL;
    setup.prologue_len = bytes_of(prologue, sizeof(prologue), v->published, "resp_prologue");
    noise_init(&v->responder, &setup);
    noise_set_ephemeral(&v->initiator, &v->ie);
    noise_set_ephemeral(&v->responder, &v->re);
    set_psk(&v->initiator, v->published, "init_psks");
    set_psk(&v->responder, v->published, "resp_psks");
}

static void check_state(const struct noise *n, const cJSON *expected)
{
    uint8_t h[NOISE_HASH_LEN], ck[NOISE_HASH_LEN], k[NOISE_KEY_LEN] = {0};
    bytes_of(h, sizeof(h), expected, "h");
    bytes_of(ck, sizeof(ck), expected, "ck");
    if (cJSON_IsString(cJSON_GetObjectItem(expected, "k"))) {
        bytes_of(k, sizeof(k), expected, "k");
    }
    assert_memory_equal(n->h, h, sizeof(h));
    assert_memory_equal(n->ck, ck, sizeof(ck));
    assert_memory_equal(n->k, k, sizeof(k));
    assert_int_equal(n->n, cJSON_GetObjectItem(expected, "n")->valueint);
}

/* The derived state after `token` of message 1 or 2. "e" has two entries where a PSK is used: after
 * MixHash and after MixKey; the later one is the state after the token. */
static const cJSON *state_after(const struct vector *v, int message, enum noise_token token)
{
    static const char *const names[] = {
        [NOISE_E] = "e:",   [NOISE_S] = "s:",   [NOISE_EE] = "ee:",   [NOISE_ES] = "es:",
        [NOISE_SE] = "se:", [NOISE_SS] = "ss:", [NOISE_PSK] = "psk:", [NOISE_PAYLOAD] = "payload",
    };
    char step[16];
    const cJSON *found = NULL;
    const cJSON *entry;
    (void)snprintf(step, sizeof(step), "m%d %s", message, names[token]);
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(v->derived, "trace"))
    {
        if (strncmp(text_of(entry, "step"), step, strlen(step)) == 0) {
            found = entry;
        }
    }
    assert_non_null(found);
    return found;
}

/* Writes message 1 or 2 at one end and reads it at the other, looking at both after each token. */
static size_t pass_message(struct vector *v, int message, struct noise *from, struct noise *to)
{
    const cJSON *entry =
        cJSON_GetArrayItem(cJSON_GetObjectItem(v->published, "messages"), message - 1);
    uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX], data[MESSAGE_MAX], opened[MESSAGE_MAX];
    size_t len = bytes_of(payload, sizeof(payload), entry, "payload");
    size_t expected_len = bytes_of(expected, sizeof(expected), entry, "ciphertext");
    struct writer w = writer_of(data, sizeof(data));
    size_t tokens = 0;

    for (enum noise_token t; (t = noise_next(from)) != NOISE_PAYLOAD; tokens++) {
        assert_int_equal(noise_write(from, t, &w), 0);
        check_state(from, state_after(v, message, t));
    }
    assert_int_equal(noise_write_payload(from, payload, len, &w), 0);
    check_state(from, state_after(v, message, NOISE_PAYLOAD));
    assert_int_equal(writer_len(&w), expected_len);
    assert_memory_equal(data, expected, expected_len);

    struct reader r = reader_of(expected, expected_len);
    for (enum noise_token t; (t = noise_next(to)) != NOISE_PAYLOAD;) {
        assert_int_equal(noise_read(to, t, &r), 0);
        check_state(to, state_after(v, message, t));
    }
    assert_int_equal(noise_read_payload(to, &r, opened), 0);
    check_state(to, state_after(v, message, NOISE_PAYLOAD));
    assert_memory_equal(opened, payload, len);
    return tokens;
}

struct transport {
    uint8_t initiator_send[32], initiator_recv[32];
    uint8_t responder_send[32], responder_recv[32];
};

static void check_transport(const struct vector *v, const struct transport *keys)
{
    const cJSON *messages = cJSON_GetObjectItem(v->published, "messages");
    int count = cJSON_GetArraySize(messages);
    assert_true(count == 4 || count == 6);
    for (int i = 2; i < count; i++) {
        const cJSON *entry = cJSON_GetArrayItem(messages, i);
        uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX], data[MESSAGE_MAX];
        uint8_t nonce[12] = {[4] = (uint8_t)(i / 2 - 1)};
        size_t len = bytes_of(payload, sizeof(payload), entry, "payload");
        size_t expected_len = bytes_of(expected, sizeof(expected), entry, "ciphertext");
        assert_int_equal(expected_len, len + NOISE_TAG_LEN);
        crypto_aead_chacha20poly1305_ietf_encrypt(data, NULL, payload, len, NULL, 0, NULL, nonce,
                                                  i % 2 == 0 ? keys->initiator_send
                                                             : keys->responder_send);
        assert_memory_equal(data, expected, expected_len);
        assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(
                             data, NULL, NULL, expected, expected_len, NULL, 0, nonce,
                             i % 2 == 0 ? keys->responder_recv : keys->initiator_recv),
                         0);
        assert_memory_equal(data, payload, len);
    }
}

static void check_vector(const cJSON *entry)
{
    struct vector v;
    struct transport keys;
    uint8_t hash[NOISE_HASH_LEN], key[NOISE_KEY_LEN];
    vector_load(&v, entry);
    check_state(&v.initiator,
                cJSON_GetArrayItem(cJSON_GetObjectItem(v.derived, "trace"), 2)); /* pre-message */
    check_state(&v.responder, cJSON_GetArrayItem(cJSON_GetObjectItem(v.derived, "trace"), 2));

    assert_int_equal(pass_message(&v, 1, &v.initiator, &v.responder), 4);
    assert_true(public_key_equal(&v.responder.rs, &v.is.public));
    assert_int_equal(pass_message(&v, 2, &v.responder, &v.initiator),
                     v.initiator.pattern == NOISE_IKPSK2 ? 4 : 3);

    bytes_of(hash, sizeof(hash), v.derived, "handshake_hash");
    assert_memory_equal(v.initiator.h, hash, sizeof(hash));
    assert_memory_equal(v.responder.h, hash, sizeof(hash));
    if (cJSON_GetObjectItem(v.published, "handshake_hash")) {
        bytes_of(hash, sizeof(hash), v.published, "handshake_hash");
        assert_memory_equal(v.initiator.h, hash, sizeof(hash));
    }
    noise_split(&v.initiator, keys.initiator_send, keys.initiator_recv);
    noise_split(&v.responder, keys.responder_send, keys.responder_recv);
    bytes_of(key, sizeof(key), v.derived, "split_i_to_r_key");
    assert_memory_equal(keys.initiator_send, key, sizeof(key));
    assert_memory_equal(keys.responder_recv, key, sizeof(key));
    bytes_of(key, sizeof(key), v.derived, "split_r_to_i_key");
    assert_memory_equal(keys.initiator_recv, key, sizeof(key));
    assert_memory_equal(keys.responder_send, key, sizeof(key));
    check_transport(&v, &keys);
}

static void agrees_with_published_handshakes(void **state)
{
    (void)state;
    char *text = slurp(TEST_VECTORS "/noise_ik.json");
    cJSON *json = cJSON_Parse(text);
    const cJSON *entry;
    int psk = 0, plain = 0;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(json, "vectors"))
    {
        check_vector(entry);
        *(pattern_of(cJSON_GetObjectItem(entry, "published")) == NOISE_IKPSK2 ? &psk : &plain) += 1;
    }
    assert_int_equal(psk, 1);
    assert_int_equal(plain, 3);
    cJSON_Delete(json);
    free(text);
}

/* ---- Strangers ---- */

static const uint8_t psk_right[NOISE_PSK_LEN] = "This is my Austrian perspective!";
static const uint8_t psk_wrong[NOISE_PSK_LEN] = "This is your Austrian standpoint";

enum { PAYLOAD_LEN = 16, M1_LEN = 96 + PAYLOAD_LEN, M2_LEN = 48 + PAYLOAD_LEN };

/* Both ends of a handshake with keys from a seed; each test bends one thing. */
struct ends {
    struct key_pair is, rs, stranger;
    struct noise initiator, responder;
    uint8_t m1[M1_LEN], m2[M2_LEN];
};

static const uint8_t payload_sent[PAYLOAD_LEN] = "sixteen letters";

static struct noise_setup setup_of(const struct key_pair *self, const struct public_key *peer)
{
    return (struct noise_setup){NOISE_IKPSK2, self, peer, "adit test", 9};
}

static void ends_init(struct ends *e)
{
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 42);
    struct key_pair ie, re;
    assert_int_equal(key_pair_generate(&e->is, rng) + key_pair_generate(&e->rs, rng) +
                         key_pair_generate(&e->stranger, rng) + key_pair_generate(&ie, rng) +
                         key_pair_generate(&re, rng),
                     0);
    struct noise_setup setup = setup_of(&e->is, &e->rs.public);
    noise_init(&e->initiator, &setup);
    setup = setup_of(&e->rs, NULL);
    noise_init(&e->responder, &setup);
    noise_set_ephemeral(&e->initiator, &ie);
    noise_set_ephemeral(&e->responder, &re);
    noise_set_psk(&e->initiator, psk_right);
    noise_set_psk(&e->responder, psk_right);
}

static int send_message(struct noise *n, enum noise_token last, uint8_t *out, size_t cap)
{
    struct writer w = writer_of(out, cap);
    int err = noise_write(n, last, &w);
    return err ? err : noise_write_payload(n, payload_sent, PAYLOAD_LEN, &w);
}

/* Reads on a copy, as who wants to survive a forgery does. */
static int receive(const struct noise *n, enum noise_token last, const uint8_t *data, size_t len)
{
    static const struct noise wiped;
    uint8_t payload[M1_LEN];
    struct noise copy = *n;
    struct reader r = reader_of(data, len);
    int err = noise_read(&copy, last, &r);
    err = err ? err : noise_read_payload(&copy, &r, payload);
    if (err) {
        assert_memory_equal(&copy, &wiped, sizeof(copy));
    }
    return err;
}

static void run_m1(struct ends *e)
{
    ends_init(e);
    assert_int_equal(send_message(&e->initiator, NOISE_SS, e->m1, M1_LEN), 0);
}

/* Up to the second message written and not yet read. */
static void run_m2(struct ends *e)
{
    uint8_t payload[PAYLOAD_LEN];
    run_m1(e);
    struct reader r = reader_of(e->m1, M1_LEN);
    assert_int_equal(noise_read(&e->responder, NOISE_SS, &r), 0);
    assert_int_equal(noise_read_payload(&e->responder, &r, payload), 0);
    assert_memory_equal(payload, payload_sent, PAYLOAD_LEN);
    assert_int_equal(send_message(&e->responder, NOISE_PSK, e->m2, M2_LEN), 0);
}

/* Every byte counts, but for one bit: X25519 ignores the top bit of a public key (RFC 7748 section
 * 5). The transcript hash does not, so that even this flip is found. */
static void any_changed_byte_is_found(void **state)
{
    (void)state;
    struct ends e;
    run_m2(&e);
    struct ends fresh;
    ends_init(&fresh);
    assert_int_equal(receive(&fresh.responder, NOISE_SS, e.m1, M1_LEN), 0);
    for (size_t i = 0; i < M1_LEN; i++) {
        for (int bit = 1; bit <= 0x80; bit <<= 7) {
            e.m1[i] ^= (uint8_t)bit;
            assert_int_equal(receive(&fresh.responder, NOISE_SS, e.m1, M1_LEN), ERR_CRYPTO);
            e.m1[i] ^= (uint8_t)bit;
        }
    }
    for (size_t i = 0; i < M2_LEN; i++) {
        for (int bit = 1; bit <= 0x80; bit <<= 7) {
            e.m2[i] ^= (uint8_t)bit;
            assert_int_equal(receive(&e.initiator, NOISE_PSK, e.m2, M2_LEN), ERR_CRYPTO);
            e.m2[i] ^= (uint8_t)bit;
        }
    }
    assert_int_equal(receive(&e.initiator, NOISE_PSK, e.m2, M2_LEN), 0);
}

static void any_truncation_is_found(void **state)
{
    (void)state;
    struct ends e;
    run_m2(&e);
    struct ends fresh;
    ends_init(&fresh);
    for (size_t len = 0; len < M1_LEN; len++) {
        int expected = len < M1_LEN - PAYLOAD_LEN ? ERR_TRUNCATED : ERR_CRYPTO;
        assert_int_equal(receive(&fresh.responder, NOISE_SS, e.m1, len), expected);
    }
    for (size_t len = 0; len < M2_LEN; len++) {
        int expected = len < M2_LEN - PAYLOAD_LEN ? ERR_TRUNCATED : ERR_CRYPTO;
        assert_int_equal(receive(&e.initiator, NOISE_PSK, e.m2, len), expected);
    }
}

static void low_order_keys_are_refused(void **state)
{
    (void)state;
    /* 0, 1, -1 and a point of order 8: shared secrets that everybody knows. */
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    };
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        struct ends e;
        run_m2(&e);
        struct ends fresh;
        ends_init(&fresh);
        hex_decode(e.m1, KEY_LEN, points[i]);
        hex_decode(e.m2, KEY_LEN, points[i]);
        assert_int_equal(receive(&fresh.responder, NOISE_ES, e.m1, M1_LEN), ERR_CRYPTO);
        assert_int_equal(receive(&e.initiator, NOISE_EE, e.m2, M2_LEN), ERR_CRYPTO);

        struct public_key peer;
        struct key_pair ephemeral = e.stranger;
        hex_decode(peer.bytes, KEY_LEN, points[i]);
        struct noise_setup setup = setup_of(&e.is, &peer);
        noise_init(&e.initiator, &setup);
        noise_set_ephemeral(&e.initiator, &ephemeral);
        assert_int_equal(send_message(&e.initiator, NOISE_SS, e.m1, M1_LEN), ERR_CRYPTO);
    }
}

static void wrong_prologue_is_found(void **state)
{
    (void)state;
    struct ends e;
    run_m1(&e);
    struct noise_setup setup = setup_of(&e.rs, NULL);
    setup.prologue = "adit tesT";
    noise_init(&e.responder, &setup);
    assert_int_equal(receive(&e.responder, NOISE_SS, e.m1, M1_LEN), ERR_CRYPTO);
    setup.prologue_len = 0;
    noise_init(&e.responder, &setup);
    assert_int_equal(receive(&e.responder, NOISE_SS, e.m1, M1_LEN), ERR_CRYPTO);
}

static void wrong_pattern_is_found(void **state)
{
    (void)state;
    struct ends e;
    run_m1(&e);
    struct noise_setup setup = setup_of(&e.rs, NULL);
    setup.pattern = NOISE_IK;
    noise_init(&e.responder, &setup);
    assert_int_equal(receive(&e.responder, NOISE_SS, e.m1, M1_LEN), ERR_CRYPTO);
}

static void message_for_another_is_not_ours(void **state)
{
    (void)state;
    struct ends e;
    run_m1(&e);
    struct noise_setup setup = setup_of(&e.stranger, NULL);
    noise_init(&e.responder, &setup);
    assert_int_equal(receive(&e.responder, NOISE_SS, e.m1, M1_LEN), ERR_CRYPTO);
}

/* Who knows the responder's key can claim any static key up to `s`, and fails at the payload. */
static void claimed_key_needs_its_secret(void **state)
{
    (void)state;
    struct ends e;
    ends_init(&e);
    struct key_pair claim = {e.stranger.secret, e.is.public};
    e.initiator.s = &claim;
    assert_int_equal(send_message(&e.initiator, NOISE_SS, e.m1, M1_LEN), 0);
    struct reader r = reader_of(e.m1, M1_LEN);
    uint8_t payload[PAYLOAD_LEN];
    assert_int_equal(noise_read(&e.responder, NOISE_S, &r), 0);
    assert_true(public_key_equal(&e.responder.rs, &e.is.public));
    assert_int_equal(noise_read(&e.responder, NOISE_SS, &r), 0);
    assert_int_equal(noise_read_payload(&e.responder, &r, payload), ERR_CRYPTO);
}

static void wrong_psk_is_found(void **state)
{
    (void)state;
    struct ends e;
    run_m2(&e);
    noise_set_psk(&e.initiator, psk_wrong);
    assert_int_equal(receive(&e.initiator, NOISE_PSK, e.m2, M2_LEN), ERR_CRYPTO);
    noise_set_psk(&e.initiator, psk_right);
    assert_int_equal(receive(&e.initiator, NOISE_PSK, e.m2, M2_LEN), 0);
}

static void no_room_is_an_error_and_wipes(void **state)
{
    (void)state;
    static const struct noise wiped;
    for (size_t cap = 0; cap < M1_LEN; cap++) {
        struct ends e;
        ends_init(&e);
        assert_int_equal(send_message(&e.initiator, NOISE_SS, e.m1, cap), ERR_NO_ROOM);
        assert_memory_equal(&e.initiator, &wiped, sizeof(wiped));
    }
}

static void empty_payloads_pass(void **state)
{
    (void)state;
    struct ends e;
    uint8_t data[96], nothing;
    ends_init(&e);
    struct writer w = writer_of(data, sizeof(data));
    assert_int_equal(noise_write(&e.initiator, NOISE_SS, &w), 0);
    assert_int_equal(noise_write_payload(&e.initiator, NULL, 0, &w), 0);
    assert_int_equal(writer_len(&w), sizeof(data));
    struct reader r = reader_of(data, sizeof(data));
    assert_int_equal(noise_read(&e.responder, NOISE_SS, &r), 0);
    assert_int_equal(noise_read_payload(&e.responder, &r, &nothing), 0);
    assert_memory_equal(e.initiator.h, e.responder.h, NOISE_HASH_LEN);
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_published_handshakes),
        cmocka_unit_test(any_changed_byte_is_found),
        cmocka_unit_test(any_truncation_is_found),
        cmocka_unit_test(low_order_keys_are_refused),
        cmocka_unit_test(wrong_prologue_is_found),
        cmocka_unit_test(wrong_pattern_is_found),
        cmocka_unit_test(message_for_another_is_not_ours),
        cmocka_unit_test(claimed_key_needs_its_secret),
        cmocka_unit_test(wrong_psk_is_found),
        cmocka_unit_test(no_room_is_an_error_and_wipes),
        cmocka_unit_test(empty_payloads_pass),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
