#include "path/portmap.h"

#include <base/check.h>
#include <base/err.h>

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
    RELEASE_TRIES = 3,
    REPAIR_TRIES = 4,
    CHECK_TRIES = 3,
};

static const char *const state_names[] = {
    [PORTMAP_OFF] = "off",       [PORTMAP_PCP] = "pcp",         [PORTMAP_NATPMP] = "natpmp",
    [PORTMAP_MAPPED] = "mapped", [PORTMAP_RESTING] = "resting", [PORTMAP_RELEASING] = "releasing",
};

/* Enters a state; its first action is due at `at`. */
static void set_state(struct portmap *m, enum portmap_state state, uint64_t at)
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
    rng_fill(m->rng, m->nonce, sizeof(m->nonce));
    set_state(m, PORTMAP_PCP, now);
}

void portmap_stop(struct portmap *m, uint64_t now)
{
    if (m->state == PORTMAP_MAPPED) {
        set_state(m, PORTMAP_RELEASING, now);
    } else if (m->state != PORTMAP_RELEASING) {
        set_state(m, PORTMAP_OFF, TIME_NEVER);
    }
}

bool portmap_is_off(const struct portmap *m)
{
    return m->state == PORTMAP_OFF;
}

static void rest(struct portmap *m, uint64_t ns, uint64_t now)
{
    uint64_t least = ns > PORTMAP_REST_MIN_NS ? ns : PORTMAP_REST_MIN_NS;
    set_state(m, PORTMAP_RESTING, now + time_min(least, PORTMAP_REST_MAX_NS));
}

static void begin_natpmp(struct portmap *m, uint64_t now)
{
    if (m->client.family != ADDR_IPV4) { /* it knows no other */
        rest(m, PORTMAP_REST_NS, now);
        return;
    }
    m->natpmp = true;
    m->has_address = false;
    m->has_port = false;
    m->epoch_known = false;
    set_state(m, PORTMAP_NATPMP, now);
}

static void begin_pcp(struct portmap *m, uint64_t now)
{
    m->natpmp = false;
    m->epoch_known = false;
    set_state(m, PORTMAP_PCP, now);
}

void portmap_check(struct portmap *m, uint64_t now)
{
    if (m->state == PORTMAP_MAPPED) {
        m->check_ns = now;
        m->check_tries = 0;
    } else if (m->state == PORTMAP_RESTING) {
        begin_pcp(m, now);
    }
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

static void granted(struct portmap *m, uint32_t lifetime_s, uint64_t now)
{
    uint32_t s = lifetime_s < PORTMAP_LIFETIME_MAX_S ? lifetime_s : PORTMAP_LIFETIME_MAX_S;
    s = s > PORTMAP_LIFETIME_MIN_S ? s : PORTMAP_LIFETIME_MIN_S;
    if (addr_is_unspecified(&m->external) || addr_is_loopback(&m->external) ||
        m->external.port == 0) {
        m->stats.refused++;
        rest(m, PORTMAP_REST_NS, now);
        return;
    }
    if (m->state != PORTMAP_MAPPED) {
        m->check_ns = now + PORTMAP_CHECK_NS;
        m->check_tries = 0;
    }
    m->granted_ns = now;
    m->lifetime_ns = s * NS_PER_S;
    set_state(m, PORTMAP_MAPPED, TIME_NEVER);
    m->next_ns = renewal_time(m, 1, now);
}

/* Asks again for what the gateway has probably forgotten. The mapping counts until the gateway
 * itself denies it or keeps silent, for an announcement is easily forged. */
static void repair(struct portmap *m, uint64_t now)
{
    m->stats.restarts++;
    if (m->state == PORTMAP_MAPPED && !m->repairing) {
        m->repairing = true;
        m->tries = 0;
        m->next_ns = time_min(m->next_ns, now + rng_below(m->rng, REPAIR_SPREAD_NS));
    }
}

/* --- epochs: whether the gateway has restarted since it last spoke --- */

/* RFC 6887 8.5 */
static bool pcp_restarted(const struct portmap *m, uint32_t epoch_s, uint64_t elapsed_s)
{
    if ((uint64_t)epoch_s + 1 < m->epoch_s) {
        return true;
    }
    uint64_t server = epoch_s > m->epoch_s ? epoch_s - m->epoch_s : 0;
    return elapsed_s + 2 < server - server / 16 || server + 2 < elapsed_s - elapsed_s / 16;
}

/* RFC 6886 3.6 */
static bool natpmp_restarted(const struct portmap *m, uint32_t epoch_s, uint64_t elapsed_s)
{
    return (uint64_t)epoch_s + 2 < m->epoch_s + elapsed_s * 7 / 8;
}

static bool take_epoch(struct portmap *m, uint32_t epoch_s, uint64_t now)
{
    uint64_t elapsed_s = time_since(m->epoch_ns, now) / NS_PER_S;
    bool restarted = m->epoch_known && (m->natpmp ? natpmp_restarted(m, epoch_s, elapsed_s)
                                                  : pcp_restarted(m, epoch_s, elapsed_s));
    m->epoch_known = true;
    m->epoch_s = epoch_s;
    m->epoch_ns = now;
    return restarted;
}

static void checked(struct portmap *m, uint64_t now)
{
    m->check_ns = now + PORTMAP_CHECK_NS;
    m->check_tries = 0;
}

/* --- answers --- */

static void on_pcp_refusal(struct portmap *m, const struct pcp_answer *a, uint64_t now)
{
    m->stats.refused++;
    if (m->state == PORTMAP_PCP &&
        (a->result == PCP_UNSUPP_VERSION || a->result == PCP_UNSUPP_OPCODE)) {
        begin_natpmp(m, now);
    } else if (m->state == PORTMAP_PCP || m->state == PORTMAP_MAPPED) {
        rest(m, a->lifetime_s * NS_PER_S, now);
    }
}

static void on_pcp_map(struct portmap *m, const struct pcp_answer *a, uint64_t now)
{
    bool about_ours = a->has_map && a->map.internal_port == m->client.port &&
                      memcmp(a->map.nonce, m->nonce, PCP_NONCE_LEN) == 0;
    /* An error to what could not even be read bears no body; only the first question gets those. */
    bool bare_error = !a->has_map && m->state == PORTMAP_PCP;
    if (!about_ours && !bare_error) {
        m->stats.strangers++;
        return;
    }
    m->stats.answered++;
    if (m->state == PORTMAP_RELEASING) {
        set_state(m, PORTMAP_OFF, TIME_NEVER);
    } else if (a->result != PCP_SUCCESS || a->lifetime_s == 0) {
        on_pcp_refusal(m, a, now);
    } else if (m->state != PORTMAP_MAPPED || !m->natpmp) {
        /* Also a late answer, given while NAT-PMP was tried or while resting. */
        m->natpmp = false;
        m->external = a->map.external;
        (void)take_epoch(m, a->epoch_s, now); /* restarted or not: the mapping is there now */
        granted(m, a->lifetime_s, now);
    }
}

static void on_pcp(struct portmap *m, const struct pcp_answer *a, uint64_t now)
{
    if (a->op == PCP_MAP) {
        on_pcp_map(m, a, now);
    } else if (a->op == PCP_ANNOUNCE && m->state == PORTMAP_MAPPED && !m->natpmp) {
        m->stats.answered++;
        checked(m, now);
        if (take_epoch(m, a->epoch_s, now)) {
            repair(m, now);
        }
    }
}

/* The two halves of a NAT-PMP mapping come in two answers. */
static void take_natpmp(struct portmap *m, const struct natpmp_answer *a)
{
    if (a->op == NATPMP_ADDRESS) {
        uint16_t port = m->external.port;
        m->external = a->external;
        m->external.port = port;
        m->has_address = true;
    } else {
        m->external.port = a->external_port;
        m->has_port = true;
    }
}

static void on_natpmp_refusal(struct portmap *m, const struct natpmp_answer *a, uint64_t now)
{
    if (m->state == PORTMAP_PCP && a->result == NATPMP_UNSUPP_VERSION) {
        begin_natpmp(m, now);
        return;
    }
    m->stats.refused++;
    if (m->natpmp && (m->state == PORTMAP_NATPMP || m->state == PORTMAP_MAPPED)) {
        rest(m, PORTMAP_REST_NS, now);
    }
}

static void on_natpmp_success(struct portmap *m, const struct natpmp_answer *a, uint64_t now)
{
    bool restarted = take_epoch(m, a->epoch_s, now);
    take_natpmp(m, a);
    if (a->op == NATPMP_MAP_UDP) {
        m->granted_ns = now;
        m->lifetime_ns = a->lifetime_s * NS_PER_S;
    }
    if (m->state == PORTMAP_NATPMP) {
        if (m->has_address && m->has_port) {
            granted(m, (uint32_t)(m->lifetime_ns / NS_PER_S), now);
        }
    } else if (a->op == NATPMP_MAP_UDP) {
        granted(m, a->lifetime_s, now);
    } else {
        checked(m, now);
        if (addr_is_unspecified(&m->external)) {
            rest(m, PORTMAP_REST_NS, now);
        } else if (restarted) {
            repair(m, now);
        }
    }
}

static void on_natpmp(struct portmap *m, const struct natpmp_answer *a, uint64_t now)
{
    bool map = a->op == NATPMP_MAP_UDP;
    if (a->result != NATPMP_SUCCESS) {
        m->stats.answered++;
        if (m->state == PORTMAP_RELEASING) {
            set_state(m, PORTMAP_OFF, TIME_NEVER);
        } else {
            on_natpmp_refusal(m, a, now);
        }
        return;
    }
    bool known = map || a->op == NATPMP_ADDRESS;
    if (!m->natpmp || !known || (map && a->internal_port != m->client.port)) {
        m->stats.strangers++;
        return;
    }
    m->stats.answered++;
    if (m->state == PORTMAP_RELEASING && map) {
        set_state(m, PORTMAP_OFF, TIME_NEVER);
    } else if (map && a->lifetime_s == 0) {
        on_natpmp_refusal(m, a, now);
    } else if (m->state == PORTMAP_NATPMP || m->state == PORTMAP_MAPPED) {
        on_natpmp_success(m, a, now);
    }
}

bool portmap_input(struct portmap *m, const struct addr *from, const void *data, size_t len,
                   uint64_t now)
{
    struct addr source = addr_normalize(from);
    if (m->state == PORTMAP_OFF || !addr_equal(&source, &m->gateway)) {
        m->stats.strangers++;
        return false;
    }
    struct pcp_answer pcp;
    struct natpmp_answer natpmp;
    int err = pcp_read_answer(&pcp, data, len);
    if (err == 0) {
        on_pcp(m, &pcp, now);
    } else if (err == ERR_VERSION && natpmp_read_answer(&natpmp, data, len) == 0) {
        on_natpmp(m, &natpmp, now);
    } else {
        m->stats.malformed++;
    }
    return true;
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
        checked(m, now);
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
        begin_pcp(m, now);
    }
}

void portmap_tick(struct portmap *m, uint64_t now)
{
    bool due = m->next_ns <= now;
    if (m->state == PORTMAP_MAPPED) {
        tick_mapped(m, now);
    } else if (m->state == PORTMAP_PCP && due && m->tries == PCP_TRIES) {
        begin_natpmp(m, now);
    } else if (m->state == PORTMAP_NATPMP && due && m->tries == NATPMP_TRIES) {
        rest(m, PORTMAP_REST_NS, now);
    } else if (m->state == PORTMAP_RELEASING && due && m->tries == RELEASE_TRIES) {
        set_state(m, PORTMAP_OFF, TIME_NEVER);
    } else if (m->state == PORTMAP_RESTING && due) {
        begin_pcp(m, now);
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
