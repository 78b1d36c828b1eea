#include "crypto/keyring.h"
#include "crypto/keys.h"
#include "wire/packet.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LEN = 100, PACKET = LEN + PACKET_DATA_OVERHEAD };

static const enum aead_kind kinds[] = {AEAD_CHACHA20POLY1305, AEAD_AES256GCM};

static struct keyring_offer offer_of(enum aead_kind kind, bool lent)
{
    struct keyring_offer offer = {.kind = kind,
                                  .initiator = true,
                                  .lend_send = lent,
                                  .lend_recv = lent,
                                  .local_index = 1,
                                  .remote_index = 2};
    memset(offer.send, 7, sizeof(offer.send));
    memset(offer.recv, 8, sizeof(offer.recv));
    return offer;
}

static void make_packet(uint8_t out[PACKET], uint64_t number)
{
    const struct packet_data_header h = {.path = 3, .receiver = 2, .number = number};
    memset(out, 0, PACKET);
    packet_write_data(out, &h);
    memset(out + PACKET_DATA_HEADER_LEN, (int)number, LEN);
}

static void seals_what_the_keys_themselves_would(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 && aead_available(kinds[i]); i++) {
        struct keyring ring = {0};
        struct keyring_offer offer = offer_of(kinds[i], true);
        struct keyset *keys = keyring_install(&ring, &offer, 0);
        assert_non_null(keys->lent_send);
        for (uint64_t number = 0; number < 3; number++) {
            uint8_t ours[PACKET];
            uint8_t theirs[PACKET];
            make_packet(ours, number);
            make_packet(theirs, number);
            lentkey_seal(keys->lent_send, ours, PACKET);
            (void)aead_seal(&keys->send, 3, number, theirs, PACKET_DATA_HEADER_LEN,
                            theirs + PACKET_DATA_HEADER_LEN, LEN);
            assert_memory_equal(ours, theirs, PACKET);
        }
        keyring_clear_except(&ring, NULL);
    }
}

/* What is under way when keys go is sealed with them all the same. */
static void outlives_its_keys_while_held(void **state)
{
    (void)state;
    struct keyring ring = {0};
    struct keyring_offer offer = offer_of(AEAD_CHACHA20POLY1305, true);
    struct lentkey *held = lentkey_hold(keyring_install(&ring, &offer, 0)->lent_send);
    keyring_clear_except(&ring, NULL);
    uint8_t packet[PACKET];
    uint8_t plain[PACKET];
    make_packet(packet, 9);
    make_packet(plain, 9);
    lentkey_seal(held, packet, PACKET);
    lentkey_release(held); /* the last: a leak would be reported */
    struct aead_key key;
    assert_int_equal(aead_key_init(&key, AEAD_CHACHA20POLY1305, offer.send), 0);
    assert_int_equal(aead_open(&key, 3, 9, packet, PACKET_DATA_HEADER_LEN,
                               packet + PACKET_DATA_HEADER_LEN, PACKET - PACKET_DATA_HEADER_LEN),
                     LEN);
    assert_memory_equal(packet + PACKET_DATA_HEADER_LEN, plain + PACKET_DATA_HEADER_LEN, LEN);
    aead_key_wipe(&key);
}

static void opens_what_the_keys_themselves_would(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 && aead_available(kinds[i]); i++) {
        struct keyring ring = {0};
        struct keyring_offer offer = offer_of(kinds[i], true);
        struct keyset *keys = keyring_install(&ring, &offer, 0);
        struct lentkey *far = lentkey_new(kinds[i], offer.recv);
        assert_non_null(far);
        uint8_t packet[PACKET];
        uint8_t plain[PACKET];
        make_packet(packet, 4);
        make_packet(plain, 4);
        lentkey_seal(far, packet, PACKET);
        uint8_t forged[PACKET];
        memcpy(forged, packet, PACKET);
        forged[1] ^= 1; /* in the header: the path */
        assert_false(lentkey_open(keys->lent_recv, forged, PACKET));
        assert_true(lentkey_open(keys->lent_recv, packet, PACKET));
        assert_memory_equal(packet, plain, PACKET - AEAD_TAG_LEN);
        lentkey_release(far);
        keyring_clear_except(&ring, NULL);
    }
}

static void is_there_only_if_asked_for(void **state)
{
    (void)state;
    struct keyring ring = {0};
    struct keyring_offer offer = offer_of(AEAD_CHACHA20POLY1305, false);
    const struct keyset *keys = keyring_install(&ring, &offer, 0);
    assert_null(keys->lent_send);
    assert_null(keys->lent_recv);
    keyring_clear_except(&ring, NULL);
    lentkey_release(NULL);
}

/* Keys without one serve as well: their packets are sealed by the node. */
static void may_be_missing_for_want_of_memory(void **state)
{
    (void)state;
    struct keyring ring = {0};
    struct keyring_offer offer = offer_of(AEAD_CHACHA20POLY1305, true);
    mem_fail_after(1);
    struct keyset *keys = keyring_install(&ring, &offer, 0);
    mem_fail_after(0);
    assert_non_null(keys);
    assert_null(keys->lent_send);
    keyring_clear_except(&ring, NULL);
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_what_the_keys_themselves_would),
        cmocka_unit_test(outlives_its_keys_while_held),
        cmocka_unit_test(opens_what_the_keys_themselves_would),
        cmocka_unit_test(is_there_only_if_asked_for),
        cmocka_unit_test(may_be_missing_for_want_of_memory),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
