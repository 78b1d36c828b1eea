#include "path/portmap_internal.h"

#include <base/check.h>

#include <string.h>

/* The gateway is one hop away, so a lost datagram is made good sooner than RFC 6887 8.1.1's 3 s. */
#define PCP_FIRST_WAIT_NS (1 * NS_PER_S)
#define NATPMP_FIRST_WAIT_NS (250 * NS_PER_MS) /* RFC 6886 3.1 */
#define RELEASE_FIRST_WAIT_NS (250 * NS_PER_MS)
#define REPAIR_SPREAD_NS (5 * NS_PER_S) /* RFC 6887 14.1.3 */
#define REPAIR_FIRST_WAIT_NS (1 * NS_PER_S)
#define RENEW_APART_NS (4 * NS_PER_S) /* RFC 6887 11.2.1 */
#define CHECK_FIRST_WAIT_NS (500 * NS_PER_MS)

enum {
    PCP_TRIES = 2,
    NATPMP_TRIES = 5,
    NATPMP_PATIENCE = 3, /* without an answer: it goes on, but others may try too */
    RELEASE_TRIES = 3,
    REPAIR_TRIES = 4,
    CHECK_TRIES = 3,
};

static const char *const state_names[] = {
    [PORTMAP_OFF] = "off",       [PORTMAP_PCP] = "pcp",         [PORTMAP_NATPMP] = "natpmp",
    [PORTMAP_MAPPED] = "mapped", [PORTMAP_RESTING] = "resting", [PORTMAP_RELEASING] = "releasing",
};

void portmap_set_state(struct portmap *m, enum portmap_state state, uint64_t at)
{
    LOG_AT(m->log, LOG_DEBUG, "portmap", "state", "from=%s to=%s natpmp=%d", state_names[m->state],
           state_names[state], m->natpmp);
    m->state = state;
    m->next_ns = at;
    m->tries = 0;
    m->turn = false;
    m->repairing = false;
}

void portmap_init(struct portmap *m, struct rng rng, const struct log *log)
{
    *m = (struct portmap){.rng = rng, .log = log, .next_ns = TIME_NEVER};
}

void portmap_start(struct portmap *m, const struct addr *gateway, const struct addr *client,
                   uint64_t now)
{
    m->gateway = addr_normalize(gateway);
    m->gateway.port = PCP_PORT;
    m->client = addr_normalize(client);
    m->external = (struct addr){0};
    m->epoch_known = false;
    m->natpmp = false;
    m->silent = false;
    rng_fill(m->rng, m->nonce, sizeof(m->nonce));
    portmap_set_state(m, PORTMAP_PCP, now);
}

void portmap_stop(struct portmap *m, uint64_t now)
{
    if (m->state == PORTMAP_MAPPED) {
        portmap_set_state(m, PORTMAP_RELEASING, now);
    } else if (m->state != PORTMAP_RELEASING) {
        portmap_set_state(m, PORTMAP_OFF, TIME_NEVER);
    }
}

bool portmap_is_off(const struct portmap *m)
{
    return m->state == PORTMAP_OFF;
}

bool portmap_is_silent(const struct portmap *m)
{
    return m->silent;
}

void portmap_rest(struct portmap *m, uint64_t ns, uint64_t now)
{
    m->silent = true;
    uint64_t least = ns > PORTMAP_REST_MIN_NS ? ns : PORTMAP_REST_MIN_NS;
    portmap_set_state(m, PORTMAP_RESTING, now + time_min(least, PORTMAP_REST_MAX_NS));
}

void portmap_begin_natpmp(struct portmap *m, uint64_t now)
{
    if (m->client.family != ADDR_IPV4) { /* it knows no other */
        portmap_rest(m, PORTMAP_REST_NS, now);
        return;
    }
    m->natpmp = true;
    m->has_address = false;
    m->has_port = false;
    m->epoch_known = false;
    portmap_set_state(m, PORTMAP_NATPMP, now);
}

void portmap_begin_pcp(struct portmap *m, uint64_t now)
{
    m->natpmp = false;
    m->epoch_known = false;
    portmap_set_state(m, PORTMAP_PCP, now);
}

void portmap_check(struct portmap *m, uint64_t now)
{
    m->stats.checks++;
    if (m->state == PORTMAP_MAPPED) {
        m->check_ns = now;
        m->check_tries = 0;
    } else if (m->state == PORTMAP_RESTING) {
        portmap_begin_pcp(m, now);
    }
}

void portmap_renew(struct portmap *m, uint64_t now)
{
    if (m->state != PORTMAP_MAPPED) {
        portmap_check(m, now);
        return;
    }
    m->stats.checks++;
    m->tries = 0;
    m->next_ns = time_min(m->next_ns, now);
}

/* --- mapped --- */

static uint64_t expires_ns(const struct portmap *m)
{
    return m->granted_ns + m->lifetime_ns;
}

/* RFC 6887 11.2.1: at 1/2 to 5/8 of the lifetime, then 3/4 to 3/4 + 1/16, and so on. */
static uint64_t renewal_time(struct portmap *m, unsigned attempt, uint64_t now)
{
    unsigned k = attempt < 30 ? attempt : 30;
    uint64_t at = m->granted_ns + m->lifetime_ns - (m->lifetime_ns >> k) +
                  rng_below(m->rng, (m->lifetime_ns >> (k + 2)) + 1);
    uint64_t soonest = now + RENEW_APART_NS;
    return attempt > 1 && at < soonest ? soonest : at;
}

void portmap_checked(struct portmap *m, uint64_t now)
{
    m->check_ns = now + PORTMAP_CHECK_NS;
    m->check_tries = 0;
}

void portmap_granted(struct portmap *m, uint32_t lifetime_s, uint64_t now)
{
    uint32_t s = lifetime_s < PORTMAP_LIFETIME_MAX_S ? lifetime_s : PORTMAP_LIFETIME_MAX_S;
    s = s > PORTMAP_LIFETIME_MIN_S ? s : PORTMAP_LIFETIME_MIN_S;
    if (addr_is_unspecified(&m->external) || addr_is_loopback(&m->external) ||
        m->external.port == 0) {
        m->stats.refused++;
        portmap_rest(m, PORTMAP_REST_NS, now);
        return;
    }
    if (m->state != PORTMAP_MAPPED) {
        portmap_checked(m, now);
    }
    m->granted_ns = now;
    m->silent = false;
    m->lifetime_ns = s * NS_PER_S;
    portmap_set_state(m, PORTMAP_MAPPED, TIME_NEVER);
    m->next_ns = renewal_time(m, 1, now);
}

void portmap_repair(struct portmap *m, uint64_t now)
{
    m->stats.restarts++;
    if (m->state == PORTMAP_MAPPED && !m->repairing) {
        m->repairing = true;
        m->tries = 0;
        m->next_ns = time_min(m->next_ns, now + rng_below(m->rng, REPAIR_SPREAD_NS));
    }
}

/* --- questions --- */

static size_t write_map(struct portmap *m, uint8_t *buf, size_t cap, uint32_t lifetime_s)
{
    if (m->natpmp) {
        uint16_t suggested = m->external.port != 0 ? m->external.port : m->client.port;
        return natpmp_write_map(buf, cap, m->client.port, lifetime_s == 0 ? 0 : suggested,
                                lifetime_s);
    }
    struct pcp_map map = {.internal_port = m->client.port};
    memcpy(map.nonce, m->nonce, PCP_NONCE_LEN);
    if (lifetime_s != 0) {
        map.external = m->external;
        map.external.port = m->external.port != 0 ? m->external.port : m->client.port;
    }
    return pcp_write_map(buf, cap, &m->client, &map, lifetime_s);
}

static size_t output_pcp(struct portmap *m, uint8_t *buf, size_t cap, uint64_t now)
{
    if (m->tries == PCP_TRIES) {
        return 0;
    }
    m->next_ns = now + (PCP_FIRST_WAIT_NS << m->tries);
    m->tries++;
    return write_map(m, buf, cap, PORTMAP_LIFETIME_S);
}

/* A round asks for what is still unknown: the mapping, then the address. */
static size_t output_natpmp(struct portmap *m, uint8_t *buf, size_t cap, uint64_t now)
{
    if (m->tries == NATPMP_TRIES) {
        return 0;
    }
    if (!m->turn && !m->has_port && !m->has_address) {
        m->turn = true;
        return write_map(m, buf, cap, PORTMAP_LIFETIME_S);
    }
    m->turn = false;
    m->next_ns = now + (NATPMP_FIRST_WAIT_NS << m->tries);
    m->tries++;
    m->silent = m->silent || (m->tries >= NATPMP_PATIENCE && !m->has_address && !m->has_port);
    return m->has_address ? write_map(m, buf, cap, PORTMAP_LIFETIME_S)
                          : natpmp_write_address(buf, cap);
}

static size_t output_release(struct portmap *m, uint8_t *buf, size_t cap, uint64_t now)
{
    if (m->tries == RELEASE_TRIES) {
        return 0;
    }
    m->next_ns = now + (RELEASE_FIRST_WAIT_NS << m->tries);
    m->tries++;
    return write_map(m, buf, cap, 0);
}

static size_t output_renewal(struct portmap *m, uint8_t *buf, size_t cap, uint64_t now)
{
    m->tries = m->tries < UINT8_MAX ? (uint8_t)(m->tries + 1) : m->tries;
    if (m->repairing) {
        m->next_ns = now + (REPAIR_FIRST_WAIT_NS << m->tries);
    } else {
        m->next_ns = renewal_time(m, m->tries + 1U, now);
    }
    return write_map(m, buf, cap, PORTMAP_LIFETIME_S);
}

static size_t output_check(struct portmap *m, uint8_t *buf, size_t cap, uint64_t now)
{
    m->check_ns = now + (CHECK_FIRST_WAIT_NS << m->check_tries);
    m->check_tries++;
    if (m->check_tries == CHECK_TRIES) {
        portmap_checked(m, now);
    }
    return m->natpmp ? natpmp_write_address(buf, cap) : pcp_write_announce(buf, cap, &m->client);
}

static size_t output_state(struct portmap *m, uint8_t *buf, size_t cap, uint64_t now)
{
    if (m->state == PORTMAP_MAPPED && m->check_ns <= now) {
        return output_check(m, buf, cap, now);
    }
    if (m->next_ns > now) {
        return 0;
    }
    switch (m->state) {
    case PORTMAP_PCP:
        return output_pcp(m, buf, cap, now);
    case PORTMAP_NATPMP:
        return output_natpmp(m, buf, cap, now);
    case PORTMAP_MAPPED:
        return output_renewal(m, buf, cap, now);
    case PORTMAP_RELEASING:
        return output_release(m, buf, cap, now);
    case PORTMAP_OFF:
    case PORTMAP_RESTING:
        break;
    }
    return 0;
}

size_t portmap_output(struct portmap *m, struct addr *to, uint8_t *buf, size_t cap, uint64_t now)
{
    CHECK(cap >= PCP_REQUEST_MAX);
    portmap_tick(m, now);
    size_t len = output_state(m, buf, cap, now);
    if (len > 0) {
        m->stats.sent++;
        *to = m->gateway;
    }
    return len;
}

/* --- time --- */

static void tick_mapped(struct portmap *m, uint64_t now)
{
    bool gave_up = m->repairing && m->tries == REPAIR_TRIES && m->next_ns <= now;
    if (now >= expires_ns(m) || gave_up) {
        portmap_begin_pcp(m, now);
    }
}

void portmap_tick(struct portmap *m, uint64_t now)
{
    bool due = m->next_ns <= now;
    if (m->state == PORTMAP_MAPPED) {
        tick_mapped(m, now);
    } else if (m->state == PORTMAP_PCP && due && m->tries == PCP_TRIES) {
        portmap_begin_natpmp(m, now);
    } else if (m->state == PORTMAP_NATPMP && due && m->tries == NATPMP_TRIES) {
        portmap_rest(m, PORTMAP_REST_NS, now);
    } else if (m->state == PORTMAP_RELEASING && due && m->tries == RELEASE_TRIES) {
        portmap_set_state(m, PORTMAP_OFF, TIME_NEVER);
    } else if (m->state == PORTMAP_RESTING && due) {
        portmap_begin_pcp(m, now);
    }
}

uint64_t portmap_next_ns(const struct portmap *m)
{
    if (m->state != PORTMAP_MAPPED) {
        return m->next_ns;
    }
    return time_min(time_min(m->next_ns, m->check_ns), expires_ns(m));
}

bool portmap_event(struct portmap *m, struct portmap_event *ev)
{
    bool mapped = m->state == PORTMAP_MAPPED;
    if (mapped && (!m->told || !addr_equal(&m->told_addr, &m->external))) {
        *ev = (struct portmap_event){.type = PORTMAP_EV_MAPPED,
                                     .external = m->external,
                                     .behind_another_nat = addr_is_private(&m->external)};
        m->told = true;
        m->told_addr = m->external;
        return true;
    }
    if (!mapped && m->told) {
        *ev = (struct portmap_event){.type = PORTMAP_EV_LOST, .external = m->told_addr};
        m->told = false;
        return true;
    }
    return false;
}
