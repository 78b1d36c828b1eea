/* STUN: any bytes are read or refused, and what was read is written and read again the same. */
#include <base/check.h>
#include <base/err.h>

#include "wire/stun.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 17 }; /* padding may be 64 KiB */

static void expect_same(const struct stun_message *a, const struct stun_message *b)
{
    CHECK(a->type == b->type && memcmp(a->txid, b->txid, STUN_TXID_LEN) == 0);
    CHECK(addr_equal(&a->xor_mapped, &b->xor_mapped) && addr_equal(&a->mapped, &b->mapped));
    CHECK(addr_equal(&a->response_origin, &b->response_origin));
    CHECK(addr_equal(&a->other_address, &b->other_address));
    CHECK(a->has_change == b->has_change && a->change == b->change);
    CHECK(a->response_port == b->response_port && a->error == b->error);
    CHECK(a->has_padding == b->has_padding && a->padding_len == b->padding_len);
    CHECK(a->software_len == b->software_len && a->reason_len == b->reason_len);
    CHECK(a->has_fingerprint == b->has_fingerprint);
    if (a->software_len > 0) {
        CHECK(memcmp(a->software, b->software, a->software_len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[ROOM];
    struct stun_message m, again;
    int err = stun_read(&m, data, size);
    if (err) {
        CHECK(err == ERR_MALFORMED);
        return 0;
    }
    CHECK(stun_is_message(data, size));
    struct addr mapped;
    CHECK(!stun_mapped(&m, &mapped) || mapped.port != 0);
    if (m.reason_len > STUN_SOFTWARE_MAX) {
        m.reason_len = STUN_SOFTWARE_MAX;
    }
    size_t len = stun_write(out, sizeof(out), &m);
    if (len > 0) { /* 0: attributes that came twice may leave no room in the 16-bit length */
        CHECK(stun_read(&again, out, len) == 0);
        expect_same(&m, &again);
    }
    return 0;
}
