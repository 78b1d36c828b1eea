#include "crypto/lentkey.h"

#include "wire/packet.h"

#include <base/check.h>
#include <base/mem.h>

struct lentkey {
    struct aead_key key; /* first: 16-aligned as memory is */
    unsigned holders;
};

struct lentkey *lentkey_new(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN])
{
    struct lentkey *k = mem_new(1, sizeof(*k));
    if (k && aead_key_init(&k->key, kind, bytes) != 0) {
        mem_free(k);
        return NULL;
    }
    if (k) {
        k->holders = 1;
    }
    return k;
}

struct lentkey *lentkey_hold(struct lentkey *k)
{
    k->holders++;
    return k;
}

void lentkey_release(struct lentkey *k)
{
    if (!k) {
        return;
    }
    CHECK(k->holders > 0);
    if (--k->holders == 0) {
        aead_key_wipe(&k->key);
        mem_free(k);
    }
}

static struct packet_data_header header_of(const uint8_t *packet, size_t len)
{
    struct packet_data_header h;
    CHECK(packet_read_data(&h, packet, len) == 0);
    return h;
}

void lentkey_seal(struct lentkey *k, uint8_t *packet, size_t len)
{
    const struct packet_data_header h = header_of(packet, len);
    (void)aead_seal(&k->key, h.path, h.number, packet, PACKET_DATA_HEADER_LEN,
                    packet + PACKET_DATA_HEADER_LEN, len - PACKET_DATA_OVERHEAD);
}

bool lentkey_open(struct lentkey *k, uint8_t *packet, size_t len)
{
    const struct packet_data_header h = header_of(packet, len);
    return aead_open(&k->key, h.path, h.number, packet, PACKET_DATA_HEADER_LEN,
                     packet + PACKET_DATA_HEADER_LEN, len - PACKET_DATA_HEADER_LEN) >= 0;
}
