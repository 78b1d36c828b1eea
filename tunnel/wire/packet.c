#include "wire/packet.h"

#include <base/bytes.h>
#include <base/err.h>

uint8_t packet_type(const uint8_t *data, size_t len)
{
    if (len == 0 || data[0] < PACKET_INITIATION || data[0] > PACKET_DATA) {
        return 0;
    }
    return data[0];
}

void packet_write_data(uint8_t out[PACKET_DATA_HEADER_LEN], const struct packet_data_header *h)
{
    struct writer w = writer_of(out, PACKET_DATA_HEADER_LEN);
    write_u8(&w, PACKET_DATA);
    write_u8(&w, h->path);
    write_u32(&w, h->receiver);
    write_u16(&w, (uint16_t)(h->number >> 32));
    write_u32(&w, (uint32_t)h->number);
}

int packet_read_data(struct packet_data_header *out, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    uint8_t type = read_u8(&r);
    struct packet_data_header h = {.path = read_u8(&r), .receiver = read_u32(&r)};
    uint64_t high = read_u16(&r);
    h.number = high << 32 | read_u32(&r);
    if (r.failed || type != PACKET_DATA || reader_left(&r) < PACKET_TAG_LEN ||
        h.path >= PACKET_PATHS_MAX) {
        return ERR_MALFORMED;
    }
    *out = h;
    return 0;
}
