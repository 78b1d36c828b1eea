#include "wire/clustermsg.h"

#include <base/check.h>
#include <base/err.h>

/* A list is not empty and has no broken item at its end. */
static int read_list(struct clustermsg *out, struct reader *r, size_t item)
{
    size_t left = reader_left(r);
    out->count = left / item;
    out->data = read_bytes(r, left);
    return left > 0 && left % item == 0 ? 0 : ERR_MALFORMED;
}

static int read_packet(struct clustermsg *out, struct reader *r)
{
    out->to = read_bytes(r, CLUSTERMSG_KEY);
    out->from = read_bytes(r, CLUSTERMSG_KEY);
    out->len = reader_left(r);
    out->data = read_bytes(r, out->len);
    return r->failed ? ERR_MALFORMED : 0;
}

static int read_body(struct clustermsg *out, uint8_t type, struct reader *r)
{
    out->type = (enum clustermsg_type)type;
    switch (type) {
    case CLUSTERMSG_PACKET:
    case CLUSTERMSG_ASKED_PACKET:
        return read_packet(out, r);
    case CLUSTERMSG_HERE:
        return reader_left(r) == CLUSTERMSG_KEY ? read_list(out, r, CLUSTERMSG_KEY) : ERR_MALFORMED;
    case CLUSTERMSG_ALIVE:
    case CLUSTERMSG_BYE:
        return 0;
    case CLUSTERMSG_CLAIM:
        return read_list(out, r, CLUSTERMSG_CLAIM_LEN);
    case CLUSTERMSG_LEFT:
        return read_list(out, r, CLUSTERMSG_KEY);
    default:
        return ERR_VERSION;
    }
}

int clustermsg_read(struct clustermsg *out, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    *out = (struct clustermsg){0};
    uint8_t version = read_u8(&r);
    uint8_t type = read_u8(&r);
    out->stamp = read_u64(&r);
    out->process = read_u64(&r);
    if (r.failed) {
        return ERR_MALFORMED;
    }
    return version == CLUSTERMSG_VERSION ? read_body(out, type, &r) : ERR_VERSION;
}

struct clustermsg_claim clustermsg_item(const struct clustermsg *m, size_t i)
{
    CHECK(i < m->count);
    if (m->type != CLUSTERMSG_CLAIM) {
        return (struct clustermsg_claim){.key = m->data + i * CLUSTERMSG_KEY};
    }
    const uint8_t *at = m->data + i * CLUSTERMSG_CLAIM_LEN;
    struct reader r = reader_of(at + CLUSTERMSG_KEY, 8);
    return (struct clustermsg_claim){.key = at, .stamp = read_u64(&r)};
}

void clustermsg_write_head(struct writer *w, enum clustermsg_type type, uint64_t stamp,
                           uint64_t process)
{
    write_u8(w, CLUSTERMSG_VERSION);
    write_u8(w, (uint8_t)type);
    write_u64(w, stamp);
    write_u64(w, process);
}
