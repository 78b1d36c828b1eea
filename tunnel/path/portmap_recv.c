/* What a gateway's answers do to the mapping. */
#include "path/portmap_internal.h"

#include <base/err.h>

#include <string.h>

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

/* --- answers --- */

static void on_pcp_refusal(struct portmap *m, const struct pcp_answer *a, uint64_t now)
{
    m->stats.refused++;
    if (m->state == PORTMAP_PCP &&
        (a->result == PCP_UNSUPP_VERSION || a->result == PCP_UNSUPP_OPCODE)) {
        portmap_begin_natpmp(m, now);
    } else if (m->state == PORTMAP_PCP || m->state == PORTMAP_MAPPED) {
        portmap_rest(m, a->lifetime_s * NS_PER_S, now);
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
        portmap_set_state(m, PORTMAP_OFF, TIME_NEVER);
    } else if (a->result != PCP_SUCCESS || a->lifetime_s == 0) {
        on_pcp_refusal(m, a, now);
    } else if (m->state != PORTMAP_MAPPED || !m->natpmp) {
        /* Also a late answer, given while NAT-PMP was tried or while resting. */
        m->natpmp = false;
        m->external = a->map.external;
        (void)take_epoch(m, a->epoch_s, now); /* restarted or not: the mapping is there now */
        portmap_granted(m, a->lifetime_s, now);
    }
}

static void on_pcp(struct portmap *m, const struct pcp_answer *a, uint64_t now)
{
    if (a->op == PCP_MAP) {
        on_pcp_map(m, a, now);
    } else if (a->op == PCP_ANNOUNCE && m->state == PORTMAP_MAPPED && !m->natpmp) {
        m->stats.answered++;
        portmap_checked(m, now);
        if (take_epoch(m, a->epoch_s, now)) {
            portmap_repair(m, now);
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
        portmap_begin_natpmp(m, now);
        return;
    }
    m->stats.refused++;
    if (m->natpmp && (m->state == PORTMAP_NATPMP || m->state == PORTMAP_MAPPED)) {
        portmap_rest(m, PORTMAP_REST_NS, now);
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
            portmap_granted(m, (uint32_t)(m->lifetime_ns / NS_PER_S), now);
        }
    } else if (a->op == NATPMP_MAP_UDP) {
        portmap_granted(m, a->lifetime_s, now);
    } else {
        portmap_checked(m, now);
        if (addr_is_unspecified(&m->external)) {
            portmap_rest(m, PORTMAP_REST_NS, now);
        } else if (restarted) {
            portmap_repair(m, now);
        }
    }
}

static void on_natpmp(struct portmap *m, const struct natpmp_answer *a, uint64_t now)
{
    bool map = a->op == NATPMP_MAP_UDP;
    if (a->result != NATPMP_SUCCESS) {
        m->stats.answered++;
        if (m->state == PORTMAP_RELEASING) {
            portmap_set_state(m, PORTMAP_OFF, TIME_NEVER);
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
        portmap_set_state(m, PORTMAP_OFF, TIME_NEVER);
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
