#include "wire/params.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

static const struct params typical = {
    .timestamp_ns = UINT64_C(1763869000123456789),
    .epoch = UINT64_C(0xfedcba9876543210),
    .peer_epoch = 7,
    .version = PARAMS_VERSION,
    .aead = PARAMS_AEAD_CHACHA20POLY1305 | PARAMS_AEAD_AES256GCM,
    .session_window = 16 << 20,
    .stream_window = 4 << 20,
    .streams_max = 4096,
    .max_ack_delay_us = 25000,
    .candidate_count = 2,
    .candidates = {
        {.source = 2, .addr = {.family = ADDR_IPV4, .port = 41741, .ip = {203, 0, 113, 7}}},
        {.source = 1, .addr = {.family = ADDR_IPV6, .port = 41741, .ip = {0x20, 0x01, 0x0d}}}}};

static void assert_same(const struct params *a, const struct params *b)
{
    assert_int_equal(a->timestamp_ns, b->timestamp_ns);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->peer_epoch, b->peer_epoch);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->aead, b->aead);
    assert_int_equal(a->session_window, b->session_window);
    assert_int_equal(a->stream_window, b->stream_window);
    assert_int_equal(a->streams_max, b->streams_max);
    assert_int_equal(a->max_ack_delay_us, b->max_ack_delay_us);
    assert_int_equal(a->candidate_count, b->candidate_count);
    for (size_t i = 0; i < a->candidate_count; i++) {
        assert_int_equal(a->candidates[i].source, b->candidates[i].source);
        assert_true(addr_equal(&a->candidates[i].addr, &b->candidates[i].addr));
    }
}

static void come_back_as_they_were(void **state)
{
    (void)state;
    const struct params least = {.epoch = 1, .version = PARAMS_VERSION};
    struct params most = {.timestamp_ns = UINT64_MAX,
                          .epoch = UINT64_MAX,
                          .peer_epoch = UINT64_MAX,
                          .version = PARAMS_VERSION,
                          .aead = VARINT_MAX,
                          .session_window = VARINT_MAX,
                          .stream_window = VARINT_MAX,
                          .streams_max = PARAMS_STREAMS_MAX,
                          .max_ack_delay_us = PARAMS_ACK_DELAY_END_US - 1,
                          .candidate_count = PARAMS_CANDIDATES_MAX};
    for (size_t i = 0; i < PARAMS_CANDIDATES_MAX; i++) {
        most.candidates[i] = typical.candidates[1];
    }
    const struct params *all[] = {&least, &typical, &most};
    for (size_t i = 0; i < 3; i++) {
        uint8_t out[PARAMS_LEN_MAX];
        struct params back;
        size_t len = params_encode(out, all[i]);
        assert_true(len <= PARAMS_LEN_MAX);
        assert_int_equal(params_decode(&back, out, len), 0);
        assert_same(&back, all[i]);
    }
}

static void have_the_form_that_the_header_says(void **state)
{
    (void)state;
    uint8_t out[PARAMS_LEN_MAX];
    const struct params p = {.timestamp_ns = 1,
                             .epoch = 2,
                             .peer_epoch = 3,
                             .version = 1,
                             .aead = 3,
                             .session_window = 64,
                             .stream_window = 5,
                             .streams_max = 6,
                             .max_ack_delay_us = 7,
                             .candidate_count = 1,
                             .candidates = {typical.candidates[0]}};
    static const uint8_t expected[] = {0, 0, 0, 0, 0, 0, 0,    1,    0,   0, 0,   0, 0,    0,
                                       0, 2, 0, 0, 0, 0, 0,    0,    0,   3, 1,   3, 0x40, 64,
                                       5, 6, 7, 1, 2, 4, 0xa3, 0x0d, 203, 0, 113, 7};
    assert_int_equal(params_encode(out, &p), sizeof(expected));
    assert_memory_equal(out, expected, sizeof(expected));
}

static void end_early_at_any_byte_and_are_refused(void **state)
{
    (void)state;
    uint8_t out[PARAMS_LEN_MAX];
    size_t len = params_encode(out, &typical);
    size_t list = 1 + 8 + 20; /* the candidates, which need not be there */
    for (size_t i = 0; i < len; i++) {
        struct params back = {.epoch = 99};
        if (i == len - list) {
            assert_int_equal(params_decode(&back, out, i), 0);
            assert_int_equal(back.candidate_count, 0);
            continue;
        }
        assert_int_equal(params_decode(&back, out, i), ERR_MALFORMED);
        assert_int_equal(back.epoch, 99);
    }
    assert_int_equal(params_decode(&(struct params){0}, NULL, 0), ERR_MALFORMED);
}

static void may_be_followed_by_what_a_newer_version_adds(void **state)
{
    (void)state;
    uint8_t out[PARAMS_LEN_MAX + 64];
    size_t len = params_encode(out, &typical);
    memset(out + len, 0xff, sizeof(out) - len);
    for (size_t more = 1; more <= sizeof(out) - len; more += 9) {
        struct params back;
        assert_int_equal(params_decode(&back, out, len + more), 0);
        assert_same(&back, &typical);
    }
}

static void limits_that_cannot_be_are_refused(void **state)
{
    (void)state;
    uint8_t out[PARAMS_LEN_MAX];
    struct params back = {.epoch = 99};
    struct params p = typical;
    p.max_ack_delay_us = PARAMS_ACK_DELAY_END_US;
    assert_int_equal(params_decode(&back, out, params_encode(out, &p)), ERR_MALFORMED);
    p = typical;
    p.streams_max = PARAMS_STREAMS_MAX + 1;
    assert_int_equal(params_decode(&back, out, params_encode(out, &p)), ERR_MALFORMED);
    assert_int_equal(back.epoch, 99);
}

static void need_our_version_and_an_epoch(void **state)
{
    (void)state;
    uint8_t out[PARAMS_LEN_MAX];
    struct params p = typical;
    struct params back = {.epoch = 99};
    p.version = PARAMS_VERSION + 1;
    assert_int_equal(params_decode(&back, out, params_encode(out, &p)), ERR_VERSION);
    p.version = 0;
    assert_int_equal(params_decode(&back, out, params_encode(out, &p)), ERR_VERSION);
    p = typical;
    p.epoch = 0;
    assert_int_equal(params_decode(&back, out, params_encode(out, &p)), ERR_MALFORMED);
    assert_int_equal(back.epoch, 99);
}

static void name_no_more_candidates_than_there_is_room_for(void **state)
{
    (void)state;
    uint8_t out[PARAMS_LEN_MAX + 64] = {0};
    struct params p = typical;
    struct params back = {.epoch = 99};
    p.candidate_count = 0;
    size_t len = params_encode(out, &p);
    out[len - 1] = PARAMS_CANDIDATES_MAX + 1;
    assert_int_equal(params_decode(&back, out, sizeof(out)), ERR_MALFORMED);
    assert_int_equal(back.epoch, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back_as_they_were),
        cmocka_unit_test(have_the_form_that_the_header_says),
        cmocka_unit_test(end_early_at_any_byte_and_are_refused),
        cmocka_unit_test(may_be_followed_by_what_a_newer_version_adds),
        cmocka_unit_test(name_no_more_candidates_than_there_is_room_for),
        cmocka_unit_test(limits_that_cannot_be_are_refused),
        cmocka_unit_test(need_our_version_and_an_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
