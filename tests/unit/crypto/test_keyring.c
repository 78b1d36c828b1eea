#include "crypto/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define START_NS (1000 * NS_PER_S)

enum { INITIATOR = true, RESPONDER = false };

static void clear(struct keyring *ring)
{
    keyring_clear_except(ring, NULL);
}

/* Wiped where it goes out of scope. */
#define TEST_RING __attribute__((cleanup(clear))) struct keyring

static struct keyring_offer offer_of(bool initiator, uint32_t index)
{
    struct keyring_offer offer = {
        .kind = AEAD_CHACHA20POLY1305,
        .initiator = initiator,
        .local_index = index,
        .remote_index = index + 1000,
        .tag = index * 7,
    };
    memset(offer.send, (int)index, sizeof(offer.send));
    memset(offer.recv, (int)index + 1, sizeof(offer.recv));
    return offer;
}

static struct keyset *install(struct keyring *ring, bool initiator, uint32_t index, uint64_t now)
{
    struct keyring_offer offer = offer_of(initiator, index);
    struct keyset *keys = keyring_install(ring, &offer, now);
    assert_non_null(keys);
    return keys;
}

/* Index of the keys in a role, 0 if there are none; and the slots hold those and nothing else. */
static void check_roles(struct keyring *ring, uint32_t previous, uint32_t current, uint32_t next)
{
    static const struct keyset empty;
    const struct keyset *roles[] = {ring->previous, ring->current, ring->next};
    const uint32_t expected[] = {previous, current, next};
    int held = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(roles[i] ? roles[i]->local_index : 0, expected[i]);
        if (expected[i]) {
            assert_ptr_equal(keyring_find(ring, expected[i]), roles[i]);
            held++;
        }
    }
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        held -= ring->slots[i].valid;
        if (!ring->slots[i].valid) {
            assert_memory_equal(&ring->slots[i], &empty, sizeof(empty)); /* wiped, not forgotten */
        }
    }
    assert_int_equal(held, 0);
}

static void initiator_uses_new_keys_at_once(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    assert_null(keyring_sender(&ring, START_NS));
    struct keyset *first = install(&ring, INITIATOR, 1, START_NS);
    assert_ptr_equal(keyring_sender(&ring, START_NS), first);
    check_roles(&ring, 0, 1, 0);
    install(&ring, INITIATOR, 2, START_NS);
    check_roles(&ring, 1, 2, 0);
    install(&ring, INITIATOR, 3, START_NS);
    check_roles(&ring, 2, 3, 0);
    assert_null(keyring_find(&ring, 1));
}

static void responder_waits_for_the_first_packet(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    struct keyset *first = install(&ring, RESPONDER, 1, START_NS);
    check_roles(&ring, 0, 0, 1);
    assert_null(keyring_sender(&ring, START_NS));
    assert_true(keyring_confirm(&ring, first));
    check_roles(&ring, 0, 1, 0);
    assert_ptr_equal(keyring_sender(&ring, START_NS), first);
    assert_false(keyring_confirm(&ring, first)); /* the second packet changes nothing */

    struct keyset *second = install(&ring, RESPONDER, 2, START_NS);
    check_roles(&ring, 0, 1, 2);
    assert_false(keyring_confirm(&ring, first)); /* old keys confirm nothing */
    assert_ptr_equal(keyring_sender(&ring, START_NS), first);
    assert_true(keyring_confirm(&ring, second));
    check_roles(&ring, 1, 2, 0);

    install(&ring, RESPONDER, 3, START_NS); /* its response was lost */
    install(&ring, RESPONDER, 4, START_NS);
    check_roles(&ring, 1, 2, 4);
}

static void both_sides_at_once_keep_both_keys(void **state)
{
    (void)state;
    TEST_RING a = {0}, b = {0};
    install(&a, INITIATOR, 9, START_NS);
    install(&b, RESPONDER, 9, START_NS);
    assert_true(keyring_confirm(&b, b.next));
    install(&a, RESPONDER, 1, START_NS); /* the handshake b began */
    install(&b, RESPONDER, 2, START_NS); /* the handshake a began */
    install(&a, INITIATOR, 2, START_NS);
    install(&b, INITIATOR, 1, START_NS);
    check_roles(&a, 1, 2, 0);
    check_roles(&b, 2, 1, 0);
    /* Each sends under its own and opens the other's. */
    assert_non_null(keyring_find(&b, keyring_sender(&a, START_NS)->local_index));
    assert_non_null(keyring_find(&a, keyring_sender(&b, START_NS)->local_index));
}

static void keysets_stay_where_they_are(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    install(&ring, INITIATOR, 1, START_NS);
    install(&ring, INITIATOR, 2, START_NS);
    struct keyset *keys = install(&ring, RESPONDER, 3, START_NS);
    assert_true(keyring_confirm(&ring, keys));
    assert_ptr_equal(ring.current, keys);
    install(&ring, INITIATOR, 4, START_NS);
    assert_ptr_equal(ring.previous, keys);
    assert_int_equal(keys->local_index, 3);
    assert_int_equal(keys->remote_index, 1003);
    assert_int_equal(keys->tag, 21);
    assert_int_equal(keys->created_ns, START_NS);
}

/* What one side seals the other opens: the offer's keys went where they belong. */
static void keys_meet_their_counterpart(void **state)
{
    (void)state;
    static const enum aead_kind kinds[] = {AEAD_CHACHA20POLY1305, AEAD_AES256GCM};
    for (size_t i = 0; i < 2; i++) {
        TEST_RING a = {0}, b = {0};
        struct keyring_offer offer = offer_of(INITIATOR, 5);
        uint8_t data[8 + AEAD_TAG_LEN] = "letters";
        offer.kind = kinds[i];
        struct keyset *sender = keyring_install(&a, &offer, START_NS);
        if (!aead_available(kinds[i])) {
            assert_null(sender);
            continue;
        }
        offer.initiator = RESPONDER;
        memset(offer.recv, 5, AEAD_KEY_LEN);
        memset(offer.send, 6, AEAD_KEY_LEN);
        struct keyset *receiver = keyring_install(&b, &offer, START_NS);
        aead_seal(&sender->send, 1, 2, NULL, 0, data, 8);
        assert_int_equal(aead_open(&receiver->recv, 1, 2, NULL, 0, data, sizeof(data)), 8);
        assert_string_equal((char *)data, "letters");
    }
}

static void unknown_kinds_change_nothing(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    install(&ring, INITIATOR, 1, START_NS);
    install(&ring, INITIATOR, 2, START_NS);
    struct keyring_offer offer = offer_of(INITIATOR, 3);
    offer.kind = AEAD_NONE;
    assert_null(keyring_install(&ring, &offer, START_NS));
    check_roles(&ring, 1, 2, 0);
}

static void keys_age(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    struct keyset *keys = install(&ring, INITIATOR, 1, START_NS);
    assert_false(keyring_wants_rekey(&ring, START_NS + REKEY_AFTER_TIME_NS - 1));
    assert_true(keyring_wants_rekey(&ring, START_NS + REKEY_AFTER_TIME_NS));
    assert_ptr_equal(keyring_sender(&ring, START_NS + REJECT_AFTER_TIME_NS - 1), keys);
    assert_true(keyring_usable(keys, START_NS + REJECT_AFTER_TIME_NS - 1));
    assert_null(keyring_sender(&ring, START_NS + REJECT_AFTER_TIME_NS));
    assert_false(keyring_usable(keys, START_NS + REJECT_AFTER_TIME_NS));
}

static void responder_leaves_the_time_to_the_initiator(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    assert_false(keyring_wants_rekey(&ring, START_NS));
    struct keyset *keys = install(&ring, RESPONDER, 1, START_NS);
    assert_true(keyring_confirm(&ring, keys));
    assert_false(keyring_wants_rekey(&ring, START_NS + REJECT_AFTER_TIME_NS));
}

static void keys_wear_out(void **state)
{
    (void)state;
    for (int initiator = 0; initiator < 2; initiator++) {
        TEST_RING ring = {0};
        struct keyset *keys = install(&ring, initiator, 1, START_NS);
        (void)keyring_confirm(&ring, keys);
        keys->sent_packets = REKEY_AFTER_MESSAGES - 1;
        assert_false(keyring_wants_rekey(&ring, START_NS));
        keys->sent_packets++;
        assert_true(keyring_wants_rekey(&ring, START_NS));
        assert_ptr_equal(keyring_sender(&ring, START_NS), keys);
        keys->sent_packets = REJECT_AFTER_MESSAGES;
        assert_null(keyring_sender(&ring, START_NS));
        assert_true(keyring_usable(keys, START_NS)); /* what comes in is not counted */
        install(&ring, INITIATOR, 2, START_NS);
        assert_non_null(keyring_sender(&ring, START_NS));
    }
}

static void expired_keys_are_wiped_on_time(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    assert_int_equal(keyring_next_ns(&ring), TIME_NEVER);
    install(&ring, INITIATOR, 1, START_NS);
    install(&ring, INITIATOR, 2, START_NS + 100);
    install(&ring, RESPONDER, 3, START_NS + 200);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t at = START_NS + 100 * i + REJECT_AFTER_TIME_NS;
        assert_int_equal(keyring_next_ns(&ring), at);
        keyring_expire(&ring, at - 1);
        check_roles(&ring, i < 1 ? 1 : 0, i < 2 ? 2 : 0, 3);
        keyring_expire(&ring, at);
        check_roles(&ring, 0, i < 1 ? 2 : 0, i < 2 ? 3 : 0);
    }
    assert_int_equal(keyring_next_ns(&ring), TIME_NEVER);
}

static void a_new_epoch_leaves_one_keyset(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    install(&ring, INITIATOR, 1, START_NS);
    install(&ring, INITIATOR, 2, START_NS);
    struct keyset *keep = install(&ring, RESPONDER, 3, START_NS);
    TEST_RING other = {0};
    install(&other, INITIATOR, 4, START_NS);
    keyring_clear_except(&other, NULL);
    check_roles(&other, 0, 0, 0);
    assert_null(keyring_sender(&other, START_NS));

    assert_true(keyring_confirm(&ring, keep));
    keyring_clear_except(&ring, keep);
    check_roles(&ring, 0, 3, 0);
    assert_ptr_equal(keyring_sender(&ring, START_NS), keep);
}

static void keys_of_one_epoch_stay_together(void **state)
{
    (void)state;
    TEST_RING ring = {0};
    install(&ring, INITIATOR, 1, START_NS)->tag = 7;
    install(&ring, INITIATOR, 2, START_NS)->tag = 8;
    install(&ring, RESPONDER, 3, START_NS)->tag = 8;
    check_roles(&ring, 1, 2, 3);
    keyring_clear_except_tag(&ring, 8);
    check_roles(&ring, 0, 2, 3);
    keyring_clear_except_tag(&ring, 9);
    check_roles(&ring, 0, 0, 0);
}

static int init(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initiator_uses_new_keys_at_once),
        cmocka_unit_test(responder_waits_for_the_first_packet),
        cmocka_unit_test(both_sides_at_once_keep_both_keys),
        cmocka_unit_test(keysets_stay_where_they_are),
        cmocka_unit_test(keys_meet_their_counterpart),
        cmocka_unit_test(unknown_kinds_change_nothing),
        cmocka_unit_test(keys_age),
        cmocka_unit_test(responder_leaves_the_time_to_the_initiator),
        cmocka_unit_test(keys_wear_out),
        cmocka_unit_test(expired_keys_are_wiped_on_time),
        cmocka_unit_test(a_new_epoch_leaves_one_keyset),
        cmocka_unit_test(keys_of_one_epoch_stay_together),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
