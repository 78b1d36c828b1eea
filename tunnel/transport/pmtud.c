#include "transport/pmtud.h"

#include <base/check.h>

/* Payloads of datagrams: an interface's MTU less 28 (IPv4) or 48 (IPv6). The first stands for the
 * base. Tunnels and mobile networks, PPPoE, Ethernet, jumbo frames, loopback up to our ceiling. */
static const size_t sizes[] = {0,    1332, 1352, 1372, 1392, 1412, 1432, 1444,
                               1452, 1464, 1472, 4052, 8952, 8972, 16384};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), FIRST = 10 /* Ethernet */ };

void pmtud_init(struct pmtud *m, size_t size)
{
    *m = (struct pmtud){.base = size, .size = size, .quiet_ns = TIME_NEVER};
}

/* The largest size of the table that is known to pass. */
static size_t passing(const struct pmtud *m)
{
    size_t i = 0;
    while (i + 1 < SIZES && sizes[i + 1] <= m->size) {
        i++;
    }
    return i;
}

static void choose(struct pmtud *m, uint64_t now)
{
    m->passes = passing(m);
    m->lost = 0;
    if (m->passes + 1 >= m->fails) {
        m->quiet_ns = time_add(now, PMTUD_RAISE_NS);
        return;
    }
    bool first = m->passes < FIRST && m->fails > FIRST;
    m->trying = first ? FIRST : (m->passes + m->fails) / 2;
}

static size_t end_of(size_t most)
{
    size_t end = SIZES;
    while (end > 1 && sizes[end - 1] > most) {
        end--;
    }
    return end;
}

void pmtud_search(struct pmtud *m, size_t most, uint64_t now)
{
    m->most = most;
    m->fails = end_of(most);
    m->quiet_ns = now;
    m->pause_ns = PMTUD_PAUSE_NS;
    choose(m, now);
}

size_t pmtud_wants(struct pmtud *m, uint64_t now)
{
    if (m->flying || now < m->quiet_ns) {
        return 0;
    }
    if (m->passes + 1 >= m->fails) { /* the raise timer has run out */
        m->fails = end_of(m->most);
        choose(m, now);
    }
    return now < m->quiet_ns ? 0 : sizes[m->trying];
}

void pmtud_on_sent(struct pmtud *m, uint64_t number)
{
    CHECK(!m->flying);
    m->flying = true;
    m->probe = number;
}

bool pmtud_on_acked(struct pmtud *m, uint64_t number, size_t bytes, uint64_t now)
{
    bool mine = m->flying && number == m->probe;
    m->flying = m->flying && !mine;
    if (number < m->from || bytes <= m->base) {
        return false;
    }
    if (number >= m->proof) {
        m->proof = number + 1;
        m->bad = 0;
    }
    if (bytes <= m->size) {
        return false;
    }
    /* A probe that was only late proves its size as well. */
    m->size = bytes;
    if (m->fails <= passing(m)) {
        m->fails = passing(m) + 1;
    }
    choose(m, now);
    return true;
}

void pmtud_on_probe_lost(struct pmtud *m, uint64_t number, uint64_t now)
{
    if (!m->flying || number != m->probe) {
        return;
    }
    m->flying = false;
    if (++m->lost >= PMTUD_PROBES_MAX) {
        m->fails = m->trying;
        choose(m, now);
    }
}

/* RFC 8899 4.4 and 5.2: back to the base, and another search after a while. */
static bool fall_back(struct pmtud *m, uint64_t next, uint64_t now)
{
    if (m->size == m->base) {
        return false;
    }
    m->size = m->base;
    m->bad = 0;
    m->flying = false;
    m->from = next;
    m->fails = end_of(m->most);
    choose(m, now);
    bool again = m->fell_ns > 0 && time_since(m->fell_ns, now) < 2 * PMTUD_PAUSE_MAX_NS;
    uint64_t longer = m->pause_ns < PMTUD_PAUSE_MAX_NS ? 2 * m->pause_ns : m->pause_ns;
    m->pause_ns = again ? longer : PMTUD_PAUSE_NS;
    m->fell_ns = now;
    m->quiet_ns = time_add(now, m->pause_ns);
    return true;
}

bool pmtud_on_lost(struct pmtud *m, uint64_t number, size_t bytes, uint64_t next, uint64_t now)
{
    if (number < m->from || number < m->proof || bytes <= m->base) {
        return false;
    }
    return ++m->bad >= PMTUD_LOST_MAX && fall_back(m, next, now);
}

bool pmtud_on_doubt(struct pmtud *m, uint64_t next, uint64_t now)
{
    return fall_back(m, next, now);
}
