#include "crypto/aead_internal.h"
#include "crypto/keys.h"

#include "support/hex.h"

#include <base/err.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Who does what; NULL = libsodium, which can do both. In the order in which they are preferred. */
static const struct way {
    enum aead_kind kind;
    const struct aead_library *by;
} ways[] = {
    {AEAD_CHACHA20POLY1305, &aead_openssl},
    {AEAD_CHACHA20POLY1305, NULL},
    {AEAD_AES256GCM, &aead_ipsecmb},
    {AEAD_AES256GCM, &aead_openssl},
    {AEAD_AES256GCM, NULL},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static const uint8_t key_bytes[AEAD_KEY_LEN] = "thirty-two bytes of test key....";
static const uint8_t ad[12] = "header bytes";
static const char text[] = "what is in the packet";

/* Wiped where it goes out of scope. */
#define TEST_KEY __attribute__((cleanup(aead_key_wipe))) struct aead_key

enum { TEXT_LEN = sizeof(text), SEALED_LEN = TEXT_LEN + AEAD_TAG_LEN };

static void drop_library(struct aead_key *key)
{
    if (key->by) {
        key->by->drop(key->context);
    }
    key->by = NULL;
    key->context = NULL;
}

/* False if that is not to be had here. */
static bool init_way(struct aead_key *key, const struct way *way, const uint8_t *bytes)
{
    if (aead_key_init(key, way->kind, bytes) != 0) {
        return false;
    }
    drop_library(key);
    key->context = way->by ? way->by->make(way->kind, bytes) : NULL;
    key->by = key->context ? way->by : NULL;
    return key->by == way->by;
}

/* The vector's nonce, 000000000102030405060708, is path 0 and this number. */
static void chacha_agrees_with_rfc8439_a5(void **state)
{
    (void)state;
    static const uint64_t number = UINT64_C(0x0102030405060708);
    uint8_t bytes[AEAD_KEY_LEN], header[12], sealed[512], plain[512], data[512];
    hex_decode(bytes, sizeof(bytes),
               "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    hex_decode(header, sizeof(header), "f33388860000000000004e91");
    size_t sealed_len = hex_decode(
        sealed, sizeof(sealed),
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43ee"
        "a09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b9481"
        "14ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0"
        "f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
        "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa7699"
        "1955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130"
        "305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f"
        "38");
    memcpy(plain,
           "Internet-Drafts are draft documents valid for a maximum of six months and may be "
           "updated, replaced, or obsoleted by other documents at any time. It is inappropriate "
           "to use Internet-Drafts as reference material or to cite them other than as "
           "/\xe2\x80\x9cwork in progress./\xe2\x80\x9d",
           265);
    assert_int_equal(sealed_len, 265 + AEAD_TAG_LEN);
    for (size_t k = 0; k < WAYS; k++) {
        TEST_KEY key = {.kind = AEAD_NONE};
        if (ways[k].kind != AEAD_CHACHA20POLY1305 || !init_way(&key, &ways[k], bytes)) {
            continue;
        }
        memcpy(data, plain, 265);
        assert_int_equal(aead_seal(&key, 0, number, header, 12, data, 265), sealed_len);
        assert_memory_equal(data, sealed, sealed_len);
        assert_int_equal(aead_open(&key, 0, number, header, 12, data, sealed_len), 265);
        assert_memory_equal(data, plain, 265);
    }
}

/* Test case 14 of the GCM submission (McGrew, Viega): key and nonce of zeros. */
static void aes_agrees_with_the_gcm_submission(void **state)
{
    (void)state;
    static const uint8_t zeros[AEAD_KEY_LEN];
    uint8_t expected[32];
    if (!aead_available(AEAD_AES256GCM)) {
        skip();
    }
    hex_decode(expected, sizeof(expected),
               "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    for (size_t k = 0; k < WAYS; k++) {
        TEST_KEY key = {.kind = AEAD_NONE};
        uint8_t data[32] = {0};
        if (ways[k].kind == AEAD_AES256GCM && init_way(&key, &ways[k], zeros)) {
            assert_int_equal(aead_seal(&key, 0, 0, NULL, 0, data, 16), sizeof(expected));
            assert_memory_equal(data, expected, sizeof(expected));
        }
    }
}

/* The nonce of each packet, against the primitive with the nonce spelled out. */
static void nonce_is_path_then_number(void **state)
{
    (void)state;
    static const uint8_t nonce[AEAD_NONCE_LEN] = {0, 0, 0, 0xa5, 0, 0, 1, 2, 3, 4, 5, 6};
    uint8_t data[SEALED_LEN], expected[SEALED_LEN];
    TEST_KEY key = {.kind = AEAD_NONE};
    memcpy(data, text, TEXT_LEN);
    assert_int_equal(aead_key_init(&key, AEAD_CHACHA20POLY1305, key_bytes), 0);
    aead_seal(&key, 0xa5, UINT64_C(0x010203040506), ad, sizeof(ad), data, TEXT_LEN);
    crypto_aead_chacha20poly1305_ietf_encrypt(expected, NULL, (const uint8_t *)text, TEXT_LEN, ad,
                                              sizeof(ad), NULL, nonce, key_bytes);
    assert_memory_equal(data, expected, SEALED_LEN);
}

/* Sealed zeros show the key stream: it differs wherever the path or the number does. */
static void no_two_packets_share_a_key_stream(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 2, 255, 256, UINT64_C(1) << 32, UINT64_MAX};
    enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]), PATHS = 4 };
    for (size_t k = 0; k < WAYS; k++) {
        uint8_t streams[NUMBERS * PATHS][16 + AEAD_TAG_LEN] = {0};
        TEST_KEY key = {.kind = AEAD_NONE};
        if (!init_way(&key, &ways[k], key_bytes)) {
            continue;
        }
        for (size_t i = 0; i < NUMBERS * PATHS; i++) {
            aead_seal(&key, (uint8_t)(i % PATHS), numbers[i / PATHS], NULL, 0, streams[i], 16);
            for (size_t j = 0; j < i; j++) {
                assert_memory_not_equal(streams[i], streams[j], 16);
            }
        }
    }
}

static int open_bent(const struct aead_key *key, const uint8_t *sealed, size_t at, uint8_t bits)
{
    uint8_t data[SEALED_LEN], header[sizeof(ad)];
    memcpy(data, sealed, SEALED_LEN);
    memcpy(header, ad, sizeof(ad));
    if (at < sizeof(ad)) {
        header[at] ^= bits;
    } else {
        data[at - sizeof(ad)] ^= bits;
    }
    return aead_open(key, 3, 77, header, sizeof(header), data, SEALED_LEN);
}

static void any_tampering_is_found(void **state)
{
    (void)state;
    for (size_t k = 0; k < WAYS; k++) {
        uint8_t sealed[SEALED_LEN], data[SEALED_LEN];
        TEST_KEY key = {.kind = AEAD_NONE};
        if (!init_way(&key, &ways[k], key_bytes)) {
            continue;
        }
        memcpy(sealed, text, TEXT_LEN);
        aead_seal(&key, 3, 77, ad, sizeof(ad), sealed, TEXT_LEN);
        assert_int_equal(open_bent(&key, sealed, 0, 0), TEXT_LEN);
        for (size_t i = 0; i < sizeof(ad) + SEALED_LEN; i++) {
            assert_int_equal(open_bent(&key, sealed, i, 1), ERR_CRYPTO);
            assert_int_equal(open_bent(&key, sealed, i, 0x80), ERR_CRYPTO);
        }
        for (size_t len = 0; len < SEALED_LEN; len++) {
            memcpy(data, sealed, SEALED_LEN);
            assert_int_equal(aead_open(&key, 3, 77, ad, sizeof(ad), data, len), ERR_CRYPTO);
        }
        memcpy(data, sealed, SEALED_LEN);
        assert_int_equal(aead_open(&key, 4, 77, ad, sizeof(ad), data, SEALED_LEN), ERR_CRYPTO);
        memcpy(data, sealed, SEALED_LEN);
        assert_int_equal(aead_open(&key, 3, 78, ad, sizeof(ad), data, SEALED_LEN), ERR_CRYPTO);
        memcpy(data, sealed, SEALED_LEN);
        assert_int_equal(aead_open(&key, 3, 77, ad, sizeof(ad), data, SEALED_LEN), TEXT_LEN);
        assert_memory_equal(data, text, TEXT_LEN);
    }
}

static void empty_packets_pass(void **state)
{
    (void)state;
    for (size_t k = 0; k < WAYS; k++) {
        uint8_t data[AEAD_TAG_LEN];
        TEST_KEY key = {.kind = AEAD_NONE};
        if (init_way(&key, &ways[k], key_bytes)) {
            assert_int_equal(aead_seal(&key, 1, 0, ad, sizeof(ad), data, 0), AEAD_TAG_LEN);
            assert_int_equal(aead_open(&key, 1, 0, ad, sizeof(ad), data, AEAD_TAG_LEN), 0);
        }
    }
}

static void only_known_kinds_are_available(void **state)
{
    (void)state;
    TEST_KEY key = {.kind = AEAD_NONE};
    assert_true(aead_available(AEAD_CHACHA20POLY1305));
    assert_int_equal(aead_available(AEAD_AES256GCM), crypto_aead_aes256gcm_is_available());
    assert_false(aead_available(AEAD_NONE));
    assert_int_equal(aead_key_init(&key, AEAD_NONE, key_bytes), ERR_VERSION);
    assert_int_equal(aead_key_init(&key, (enum aead_kind)3, key_bytes), ERR_VERSION);
    assert_int_equal(key.kind, AEAD_NONE);
}

static void wiped_means_zero(void **state)
{
    (void)state;
    static const struct aead_key zero;
    for (size_t k = 0; k < WAYS; k++) {
        TEST_KEY key = {.kind = AEAD_NONE};
        (void)init_way(&key, &ways[k], key_bytes);
        aead_key_wipe(&key);
        assert_memory_equal(&key, &zero, sizeof(key));
    }
}

/* What one library sealed libsodium opens, and the other way about. */
static void all_libraries_make_the_same_packets(void **state)
{
    (void)state;
    enum { MOST = 16384 };
    static const size_t lens[] = {0,   1,   15,  16,  17,   63,   64,  255,
                                  256, 257, 767, 768, 1200, 1444, MOST};
    static uint8_t one[MOST + AEAD_TAG_LEN] = "text", two[MOST + AEAD_TAG_LEN] = "text";
    for (size_t k = 0; k < WAYS; k++) {
        TEST_KEY fast = {.kind = AEAD_NONE}, plain = {.kind = AEAD_NONE};
        const struct way sodium = {ways[k].kind, NULL};
        if (!init_way(&fast, &ways[k], key_bytes) || !init_way(&plain, &sodium, key_bytes)) {
            continue;
        }
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            size_t len = aead_seal(&fast, 9, i, ad, sizeof(ad), one, lens[i]);
            assert_int_equal(aead_seal(&plain, 9, i, ad, sizeof(ad), two, lens[i]), len);
            assert_memory_equal(one, two, len);
            assert_int_equal(aead_open(&plain, 9, i, ad, sizeof(ad), one, len), lens[i]);
            assert_int_equal(aead_open(&fast, 9, i, ad, sizeof(ad), two, len), lens[i]);
            assert_memory_equal(one, two, lens[i]);
        }
    }
}

/* A library that is built in and stays
 * unused would go unnoticed. */
static void the_first_library_that_is_here_does_it(void **state)
{
    (void)state;
    for (size_t k = 0; k < WAYS; k++) {
        TEST_KEY way = {.kind = AEAD_NONE}, key = {.kind = AEAD_NONE};
        bool first = k == 0 || ways[k].kind != ways[k - 1].kind;
        while (first && !init_way(&way, &ways[k], key_bytes) && ways[k].by) {
            aead_key_wipe(&way);
            k++;
        }
        if (first && aead_key_init(&key, ways[k].kind, key_bytes) == 0) {
            assert_ptr_equal(key.by, ways[k].by);
        }
    }
}

/* One key serves both directions in turn, and a packet that is not authentic leaves no trace. */
static void a_key_survives_what_it_refuses(void **state)
{
    (void)state;
    for (size_t k = 0; k < WAYS; k++) {
        TEST_KEY key = {.kind = AEAD_NONE};
        if (!init_way(&key, &ways[k], key_bytes)) {
            continue;
        }
        for (uint64_t number = 0; number < 50; number++) {
            uint8_t good[SEALED_LEN], bad[SEALED_LEN];
            memcpy(good, text, TEXT_LEN);
            (void)aead_seal(&key, 1, number, ad, sizeof(ad), good, TEXT_LEN);
            memcpy(bad, good, SEALED_LEN);
            bad[number % SEALED_LEN] ^= 1;
            assert_int_equal(aead_open(&key, 1, number, ad, sizeof(ad), bad, SEALED_LEN),
                             ERR_CRYPTO);
            assert_int_equal(aead_open(&key, 1, number, ad, sizeof(ad), good, SEALED_LEN),
                             TEXT_LEN);
            assert_memory_equal(good, text, TEXT_LEN);
        }
    }
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chacha_agrees_with_rfc8439_a5),
        cmocka_unit_test(aes_agrees_with_the_gcm_submission),
        cmocka_unit_test(nonce_is_path_then_number),
        cmocka_unit_test(no_two_packets_share_a_key_stream),
        cmocka_unit_test(any_tampering_is_found),
        cmocka_unit_test(empty_packets_pass),
        cmocka_unit_test(only_known_kinds_are_available),
        cmocka_unit_test(wiped_means_zero),
        cmocka_unit_test(all_libraries_make_the_same_packets),
        cmocka_unit_test(the_first_library_that_is_here_does_it),
        cmocka_unit_test(a_key_survives_what_it_refuses),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
