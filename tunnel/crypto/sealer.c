#include "crypto/sealer.h"

#include "wire/packet.h"

#include <base/check.h>
#include <base/mem.h>

struct sealer {
    struct aead_key key; /* first: 16-aligned as memory is */
    unsigned holders;
};

struct sealer *sealer_new(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN])
{
    struct sealer *s = mem_new(1, sizeof(*s));
    if (s && aead_key_init(&s->key, kind, bytes) != 0) {
        mem_free(s);
        return NULL;
    }
    if (s) {
        s->holders = 1;
    }
    return s;
}

struct sealer *sealer_hold(struct sealer *s)
{
    s->holders++;
    return s;
}

void sealer_release(struct sealer *s)
{
    if (!s) {
        return;
    }
    CHECK(s->holders > 0);
    if (--s->holders == 0) {
        aead_key_wipe(&s->key);
        mem_free(s);
    }
}

void sealer_seal(struct sealer *s, uint8_t *packet, size_t len)
{
    struct packet_data_header h;
    CHECK(len >= PACKET_DATA_OVERHEAD && packet_read_data(&h, packet, len) == 0);
    (void)aead_seal(&s->key, h.path, h.number, packet, PACKET_DATA_HEADER_LEN,
                    packet + PACKET_DATA_HEADER_LEN, len - PACKET_DATA_OVERHEAD);
}
