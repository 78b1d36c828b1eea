#include "proto/udphead.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

int udphead_read(struct udphead *out, bool socks, const void *data, size_t len)
{
    struct udphead h = {0};
    struct reader r = reader_of(data, len);
    if (socks) {
        (void)read_u16(&r); /* reserved; some clients leave rubbish there */
        h.frag = read_u8(&r);
    }
    if (socksaddr_read(&r, &h.target) != 0) {
        return ERR_MALFORMED;
    }
    h.len = len - reader_left(&r);
    *out = h;
    return 0;
}

uint8_t *udphead_put(uint8_t *data, bool socks, const struct target *t)
{
    uint8_t head[UDPHEAD_MAX];
    struct writer w = writer_of(head, sizeof(head));
    if (socks) {
        write_be(&w, 0, UDPHEAD_PREFIX);
    }
    socksaddr_write(&w, t);
    CHECK(!w.failed);
    size_t len = writer_len(&w);
    memcpy(data - len, head, len);
    return data - len;
}
