#include "transport/sentmap.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

enum { PACKETS_MIN = 64, RECORDS_MIN = 128, KEEP_PACKETS = 1024 };

void sentmap_init(struct sentmap *m, uint64_t next)
{
    *m = (struct sentmap){.first = next, .next = next};
}

void sentmap_clear(struct sentmap *m)
{
    mem_free(m->packets);
    mem_free(m->records);
    sentmap_init(m, m->next);
}

static struct sent_packet *packet_slot(const struct sentmap *m, uint64_t number)
{
    return &m->packets[number & (m->packets_size - 1)];
}

static struct sent_record *record_slot(const struct sentmap *m, uint64_t index)
{
    return &m->records[index & (m->records_size - 1)];
}

static int grow_packets(struct sentmap *m)
{
    struct sentmap bigger = {.packets_size = m->packets ? 2 * m->packets_size : PACKETS_MIN};
    if (bigger.packets_size > SENTMAP_PACKETS_MAX) {
        return ERR_NO_ROOM;
    }
    bigger.packets = mem_new(bigger.packets_size, sizeof(*bigger.packets));
    if (!bigger.packets) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t n = m->first; n < m->next; n++) {
        *packet_slot(&bigger, n) = *packet_slot(m, n);
    }
    mem_free(m->packets);
    m->packets = bigger.packets;
    m->packets_size = bigger.packets_size;
    return 0;
}

static int grow_records(struct sentmap *m)
{
    struct sentmap bigger = {.records_size = m->records ? 2 * m->records_size : RECORDS_MIN};
    if (bigger.records_size > SENTMAP_RECORDS_MAX) {
        return ERR_NO_ROOM;
    }
    bigger.records = mem_new(bigger.records_size, sizeof(*bigger.records));
    if (!bigger.records) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t i = m->records_first; i < m->records_next; i++) {
        *record_slot(&bigger, i) = *record_slot(m, i);
    }
    mem_free(m->records);
    m->records = bigger.records;
    m->records_size = bigger.records_size;
    return 0;
}

static bool is_full(const struct sentmap *m)
{
    return m->next - m->first == m->packets_size ||
           m->records_next - m->records_first + SENTMAP_PER_PACKET_MAX > m->records_size;
}

static int grow(struct sentmap *m)
{
    if (m->next - m->first == m->packets_size) {
        int err = grow_packets(m);
        if (err < 0) {
            return err;
        }
    }
    if (m->records_next - m->records_first + SENTMAP_PER_PACKET_MAX > m->records_size) {
        return grow_records(m);
    }
    return 0;
}

int sentmap_reserve(struct sentmap *m)
{
    while (is_full(m)) {
        int err = grow(m);
        if (err < 0) {
            /* What is already settled may go early: its late acknowledgement is then ignored. */
            uint64_t first = m->first;
            sentmap_trim(m, TIME_NEVER);
            if (m->first == first) {
                return err;
            }
        }
    }
    return 0;
}

void sentmap_note(struct sentmap *m, const struct sent_record *record)
{
    CHECK(m->records_next - m->records_first < m->records_size);
    *record_slot(m, m->records_next++) = *record;
}

/* Where the records of the packet being built start. */
static uint64_t records_open(const struct sentmap *m)
{
    if (m->next == m->first) {
        return m->records_first;
    }
    const struct sent_packet *last = packet_slot(m, m->next - 1);
    return last->records_at + last->records;
}

size_t sentmap_noted(const struct sentmap *m)
{
    return (size_t)(m->records_next - records_open(m));
}

uint64_t sentmap_commit(struct sentmap *m, size_t bytes, bool eliciting, uint64_t now)
{
    CHECK(m->next - m->first < m->packets_size);
    struct sent_packet p = {.sent_ns = now,
                            .records_at = records_open(m),
                            .bytes = (uint32_t)bytes,
                            .records = (uint16_t)sentmap_noted(m),
                            .state = SENT_FLYING,
                            .eliciting = eliciting};
    *packet_slot(m, m->next) = p;
    return m->next++;
}

struct sent_packet *sentmap_find(const struct sentmap *m, uint64_t number)
{
    return number >= m->first && number < m->next ? packet_slot(m, number) : NULL;
}

const struct sent_record *sentmap_record(const struct sentmap *m, const struct sent_packet *p,
                                         size_t i)
{
    CHECK(i < p->records);
    return record_slot(m, p->records_at + i);
}

void sentmap_set_acked(struct sent_packet *p)
{
    p->state = SENT_ACKED;
    p->skip = 1;
}

/* Each packet on the way learns to skip as far as the one that it skips to. */
uint64_t sentmap_skip_acked(const struct sentmap *m, uint64_t number)
{
    struct sent_packet *p;
    while ((p = sentmap_find(m, number)) != NULL && p->state == SENT_ACKED) {
        const struct sent_packet *far = sentmap_find(m, number + p->skip);
        if (far && far->state == SENT_ACKED) {
            p->skip += far->skip;
        }
        number += p->skip;
    }
    return number;
}

static bool may_go(const struct sent_packet *p, uint64_t horizon_ns)
{
    bool settled = p->state != SENT_FLYING || !p->eliciting;
    return p->state == SENT_ACKED || (settled && p->sent_ns < horizon_ns);
}

void sentmap_trim(struct sentmap *m, uint64_t horizon_ns)
{
    while (m->first < m->next && may_go(packet_slot(m, m->first), horizon_ns)) {
        m->records_first += packet_slot(m, m->first)->records;
        m->first++;
    }
    if (m->first == m->next && m->packets_size > KEEP_PACKETS) {
        sentmap_clear(m);
    }
}
