#include "crypto/keys.h"

#include "support/hex.h"

#include <base/err.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct secret_key secret_of(const char *hex)
{
    struct secret_key key;
    assert_int_equal(hex_decode(key.bytes, sizeof(key.bytes), hex), KEY_LEN);
    return key;
}

/* RFC 7748 section 6.1 */
static void public_half_is_x25519(void **state)
{
    (void)state;
    struct secret_key alice =
        secret_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    struct secret_key bob =
        secret_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct public_key expected, public;
    hex_decode(expected.bytes, KEY_LEN,
               "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_int_equal(key_public(&public, &alice), 0);
    assert_true(public_key_equal(&public, &expected));
    hex_decode(expected.bytes, KEY_LEN,
               "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_int_equal(key_public(&public, &bob), 0);
    assert_true(public_key_equal(&public, &expected));
}

static void text_and_key_turn_into_each_other(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 7);
    for (int i = 0; i < 50; i++) {
        struct key_pair pair;
        struct secret_key back;
        char text[KEY_TEXT_MAX];
        assert_int_equal(key_pair_generate(&pair, rng), 0);
        assert_int_equal(strlen(public_key_format(&pair.public, text)), KEY_TEXT_LEN);
        assert_int_equal(secret_key_parse(&back, text), 0);
        assert_memory_equal(back.bytes, pair.public.bytes, KEY_LEN);
    }
}

static void text_is_base64url_without_padding(void **state)
{
    (void)state;
    struct public_key key;
    char text[KEY_TEXT_MAX];
    memset(&key, 0xff, sizeof(key));
    key.bytes[0] = 0xfb;
    assert_string_equal(public_key_format(&key, text),
                        "-_________________________________________8");
}

static void refuses_every_other_text(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  /* zero */
        "-_________________________________________8=", /* padded */
        "-_________________________________________9",  /* bits past the end */
        "+/////////////////////////////////////////8",  /* the other alphabet */
        "-________________________________________8",   /* short */
        "-__________________________________________8", /* long */
        "-____________________ ____________________8",
        "-_________________________________________8\n",
        "-____________________________________________________________________________8",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct secret_key key = {{1}};
        assert_int_equal(secret_key_parse(&key, wrong[i]), ERR_MALFORMED);
        assert_int_equal(key.bytes[0], 1); /* untouched */
    }
}

static void keys_come_from_the_given_randomness(void **state)
{
    (void)state;
    struct pcg pcg;
    struct key_pair a, b, c;
    assert_int_equal(key_pair_generate(&a, pcg_rng(&pcg, 1)), 0);
    assert_int_equal(key_pair_generate(&b, pcg_rng(&pcg, 1)), 0);
    assert_int_equal(key_pair_generate(&c, pcg_rng(&pcg, 2)), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_false(public_key_equal(&a.public, &c.public));
}

static void wiped_means_zero(void **state)
{
    (void)state;
    static const struct key_pair zero;
    struct key_pair pair;
    struct pcg pcg;
    assert_int_equal(key_pair_generate(&pair, pcg_rng(&pcg, 3)), 0);
    struct secret_key secret = pair.secret;
    secret_key_wipe(&secret);
    key_pair_wipe(&pair);
    assert_memory_equal(&pair, &zero, sizeof(pair));
    assert_memory_equal(&secret, &zero.secret, sizeof(secret));
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_half_is_x25519),
        cmocka_unit_test(text_and_key_turn_into_each_other),
        cmocka_unit_test(text_is_base64url_without_padding),
        cmocka_unit_test(refuses_every_other_text),
        cmocka_unit_test(keys_come_from_the_given_randomness),
        cmocka_unit_test(wiped_means_zero),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
