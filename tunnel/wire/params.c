#include "wire/params.h"

#include <base/check.h>
#include <base/err.h>

#include "wire/varint.h"

size_t params_encode(uint8_t out[PARAMS_LEN_MAX], const struct params *p)
{
    struct writer w = writer_of(out, PARAMS_LEN_MAX);
    write_u64(&w, p->timestamp_ns);
    write_u64(&w, p->epoch);
    write_u64(&w, p->peer_epoch);
    varint_write(&w, p->version);
    varint_write(&w, p->aead);
    varint_write(&w, p->session_window);
    varint_write(&w, p->stream_window);
    varint_write(&w, p->streams_max);
    varint_write(&w, p->max_ack_delay_us);
    frame_write_list(&w, p->candidates, p->candidate_count);
    CHECK(!w.failed);
    return writer_len(&w);
}

int params_decode(struct params *out, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    struct params p = {.timestamp_ns = read_u64(&r)};
    p.epoch = read_u64(&r);
    p.peer_epoch = read_u64(&r);
    p.version = varint_read(&r);
    p.aead = varint_read(&r);
    p.session_window = varint_read(&r);
    p.stream_window = varint_read(&r);
    p.streams_max = varint_read(&r);
    p.max_ack_delay_us = varint_read(&r);
    if (r.failed || p.epoch == 0) {
        return ERR_MALFORMED;
    }
    if (p.version != PARAMS_VERSION) {
        return ERR_VERSION;
    }
    if (p.max_ack_delay_us >= PARAMS_ACK_DELAY_END_US || p.streams_max > PARAMS_STREAMS_MAX) {
        return ERR_MALFORMED;
    }
    if (reader_left(&r) > 0) { /* early builds of this version told none */
        p.candidate_count = frame_read_list(&r, p.candidates, PARAMS_CANDIDATES_MAX);
    }
    if (r.failed) {
        return ERR_MALFORMED;
    }
    *out = p;
    return 0;
}
