/* SOCKS5: whatever the bytes, whole and in pieces must end the same, and a target that is accepted
 * must survive its text form. The first byte is the size of the pieces. */
#include "proto/sniff.h"
#include "proto/socks5.h"

#include <base/check.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct socks5 s;
    uint8_t out[64];
    size_t out_len;
    size_t taken;
};

static void run_in_steps(struct run *r, const uint8_t *data, size_t size, size_t step,
                         bool password)
{
    memset(r, 0, sizeof(*r));
    socks5_init(&r->s, password);
    while (r->taken < size) {
        size_t piece = step < size - r->taken ? step : size - r->taken;
        size_t taken = socks5_input(&r->s, data + r->taken, piece);
        CHECK(taken <= piece);
        r->taken += taken;
        if (socks5_state(&r->s) == SOCKS5_LOGIN) {
            struct socks5_login l = socks5_login(&r->s);
            socks5_authorize(&r->s, l.user_len == l.password_len);
            piece = taken;
        }
        r->out_len += socks5_output(&r->s, r->out + r->out_len, sizeof(r->out) - r->out_len);
        if (taken < piece) {
            break;
        }
    }
    CHECK(r->taken == size || socks5_state(&r->s) >= SOCKS5_REQUEST);
}

static void check_target(const struct target *t)
{
    char text[TARGET_TEXT_MAX];
    char peer[TARGET_PEER_MAX + 1];
    struct target again;
    target_format(t, text);
    CHECK(target_parse(&again, text, strlen(text)) == 0);
    CHECK(target_equal(t, &again));
    CHECK(!target_is_peer_name(t, peer) || t->kind == TARGET_NAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole;
    struct run pieces;
    struct target t;
    if (size < 2) {
        return 0;
    }
    run_in_steps(&whole, data + 1, size - 1, size, data[0] >= 128);
    run_in_steps(&pieces, data + 1, size - 1, 1 + data[0] % 16u, data[0] >= 128);
    CHECK(whole.taken == pieces.taken && whole.out_len == pieces.out_len);
    CHECK(memcmp(whole.out, pieces.out, whole.out_len) == 0);
    CHECK(socks5_state(&whole.s) == socks5_state(&pieces.s));
    CHECK(sniff_byte(data[1]) == SNIFF_SOCKS5 || socks5_state(&whole.s) == SOCKS5_FAILED);
    if (socks5_state(&whole.s) == SOCKS5_REQUEST) {
        check_target(socks5_target(&whole.s));
        socks5_reply(&whole.s, SOCKS5_REP_OK, NULL);
        CHECK(socks5_output(&whole.s, whole.out, sizeof(whole.out)) == SOCKS5_REPLY_LEN);
    }
    if (target_parse(&t, (const char *)data, size) == 0) {
        check_target(&t);
    }
    return 0;
}
