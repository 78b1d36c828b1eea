#include "relay/relay_pool.h"

#include "wire/derp.h"

#include <base/check.h>
#include <base/mem.h>

static const struct {
    size_t size;
    size_t spare_max; /* how many are kept */
} classes[RELAY_POOL_CLASSES] = {
    {256, 1024},
    {2048, 1024},
    {16384, 128},
    {DERP_PACKET_OVERHEAD + DERP_PACKET_MAX, 64},
};

static size_t block_size(unsigned size_class)
{
    return sizeof(struct relay_packet) + classes[size_class].size;
}

void relay_pool_init(struct relay_pool *p, size_t bytes_max)
{
    *p = (struct relay_pool){.bytes_max = bytes_max};
    for (unsigned i = 0; i < RELAY_POOL_CLASSES; i++) {
        STAILQ_INIT(&p->spare[i]);
    }
}

static struct relay_packet *take_spare(struct relay_pool *p, unsigned size_class)
{
    struct relay_packet *packet = STAILQ_FIRST(&p->spare[size_class]);
    if (packet) {
        STAILQ_REMOVE_HEAD(&p->spare[size_class], link);
        p->spare_count[size_class]--;
    }
    return packet;
}

static void release(struct relay_pool *p, struct relay_packet *packet)
{
    p->bytes -= block_size(packet->size_class);
    mem_free(packet);
}

static void release_spares(struct relay_pool *p)
{
    for (unsigned i = 0; i < RELAY_POOL_CLASSES; i++) {
        struct relay_packet *packet;
        while ((packet = take_spare(p, i))) {
            release(p, packet);
        }
    }
}

void relay_pool_deinit(struct relay_pool *p)
{
    CHECK(p->used == 0);
    release_spares(p);
    CHECK(p->bytes == 0);
}

static struct relay_packet *make(struct relay_pool *p, unsigned size_class)
{
    size_t size = block_size(size_class);
    if (size > p->bytes_max - p->bytes) {
        release_spares(p);
    }
    if (size > p->bytes_max - p->bytes) {
        return NULL;
    }
    struct relay_packet *packet = mem_new(1, size);
    if (packet) {
        p->bytes += size;
        packet->size_class = (uint8_t)size_class;
    }
    return packet;
}

struct relay_packet *relay_pool_take(struct relay_pool *p, size_t len)
{
    unsigned size_class = 0;
    while (size_class < RELAY_POOL_CLASSES && classes[size_class].size < len) {
        size_class++;
    }
    if (size_class == RELAY_POOL_CLASSES) {
        return NULL;
    }
    struct relay_packet *packet = take_spare(p, size_class);
    if (!packet) {
        packet = make(p, size_class);
    }
    if (packet) {
        packet->len = (uint32_t)len;
        packet->done = 0;
        packet->kind = 0;
        p->used++;
    }
    return packet;
}

void relay_pool_give(struct relay_pool *p, struct relay_packet *packet)
{
    unsigned i = packet->size_class;
    CHECK(p->used > 0);
    p->used--;
    if (p->spare_count[i] >= classes[i].spare_max) {
        release(p, packet);
        return;
    }
    STAILQ_INSERT_HEAD(&p->spare[i], packet, link);
    p->spare_count[i]++;
}
