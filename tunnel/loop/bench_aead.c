#include <adit/bench.h>

#include <base/clock.h>
#include <base/mem.h>

#include "crypto/aead.h"
#include "os/sysclock.h"

enum {
    HEADER = 12,
    PACKET_MAX = 16384,
    ROUND = 64, /* packets between two looks at the clock */
};

static enum aead_kind kind_of(enum adit_aead aead)
{
    switch (aead) {
    case ADIT_AEAD_CHACHA20POLY1305:
        return AEAD_CHACHA20POLY1305;
    case ADIT_AEAD_AES256GCM:
        return AEAD_AES256GCM;
    case ADIT_AEAD_NONE:
        break;
    }
    return AEAD_NONE;
}

uint64_t adit_bench_aead(enum adit_aead aead, size_t packet, unsigned ms)
{
    static const uint8_t secret[AEAD_KEY_LEN] = {1};
    struct aead_key key = {.kind = AEAD_NONE};
    size_t len = packet < PACKET_MAX ? packet : PACKET_MAX;
    uint8_t *data = mem_new(1, HEADER + len + AEAD_TAG_LEN);
    uint64_t sealed = 0;
    if (!data || aead_key_init(&key, kind_of(aead), secret) != 0) {
        mem_free(data);
        return 0;
    }
    uint64_t start = sys_now_ns(), passed = 0;
    for (uint64_t number = 0; passed < ms * NS_PER_MS; passed = time_since(start, sys_now_ns())) {
        for (int i = 0; i < ROUND; i++) {
            (void)aead_seal(&key, 1, number++, data, HEADER, data + HEADER, len);
        }
        sealed += ROUND * (uint64_t)len;
    }
    aead_key_wipe(&key);
    mem_free(data);
    return passed == 0 ? 0 : (uint64_t)((double)sealed * 1e9 / (double)passed);
}
