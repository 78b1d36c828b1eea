#include "relay/stun_server.h"

#include "wire/stun.h"

#include <base/check.h>

#include <string.h>

enum { OTHER_PORT = 1, OTHER_IP = 2 }; /* bits of a socket's index */
enum { ATTR_CHANGE_REQUEST = 0x0003, ATTR_PADDING = 0x0026, ATTR_RESPONSE_PORT = 0x0027 };

void stun_server_init(struct stun_server *s, struct rng rng)
{
    *s = (struct stun_server){.hash_key = rng_u64(rng) | 1};
}

/* Keyed, so that nobody can choose addresses that share a slot with someone's. */
static size_t slot_of(const struct stun_server *s, const struct addr *from)
{
    uint64_t part;
    memcpy(&part, from->ip, sizeof(part)); /* all of IPv4, the /64 of IPv6 */
    return (size_t)(((part + from->family) * s->hash_key) >> 40) % STUN_SERVER_SLOTS;
}

static bool within_rate(struct stun_server *s, const struct addr *asker, uint64_t now)
{
    struct addr from = addr_normalize(asker); /* else all of IPv4 were one /64 */
    if (now / NS_PER_S != s->second) {
        s->second = now / NS_PER_S;
        memset(s->counts, 0, sizeof(s->counts));
    }
    uint8_t *count = &s->counts[slot_of(s, &from)];
    if (*count >= STUN_SERVER_PER_S) {
        return false;
    }
    (*count)++;
    return true;
}

static void add_unknown(struct stun_message *answer, uint16_t type)
{
    if (answer->unknown_count < STUN_UNKNOWN_MAX) {
        answer->unknown[answer->unknown_count++] = type;
    }
}

/* What is not done here counts as not known: RFC 5780 7.2 says so of CHANGE-REQUEST where there is
 * no second address; the other two would make us a tool against others. */
static void find_unknown(const struct stun_site *site, const struct stun_message *request,
                         struct stun_message *answer)
{
    memcpy(answer->unknown, request->unknown, sizeof(answer->unknown));
    answer->unknown_count = request->unknown_count;
    if (request->has_change && !site->whole) {
        add_unknown(answer, ATTR_CHANGE_REQUEST);
    }
    if (request->has_padding) {
        add_unknown(answer, ATTR_PADDING);
    }
    if (request->response_port != 0) {
        add_unknown(answer, ATTR_RESPONSE_PORT);
    }
}

static unsigned way_of(const struct stun_message *request, unsigned at)
{
    unsigned port = request->change & STUN_CHANGE_PORT ? OTHER_PORT : 0;
    unsigned ip = request->change & STUN_CHANGE_IP ? OTHER_IP : 0;
    return at ^ port ^ ip;
}

/* RFC 5780 7.2: which of our addresses this comes from, and which other one there is.
 * MAPPED-ADDRESS is for finding routers that rewrite what they take for addresses. */
static void describe(const struct stun_site *site, unsigned at, unsigned via,
                     const struct addr *from, struct stun_message *answer)
{
    answer->mapped = *from;
    answer->response_origin = site->at[via];
    answer->other_address = site->at[at ^ OTHER_IP ^ OTHER_PORT];
}

void stun_server_input(struct stun_server *s, const struct stun_site *site, unsigned at,
                       const struct addr *from, const void *data, size_t len, uint64_t now,
                       struct stun_reply *reply)
{
    struct stun_message request;
    struct stun_message answer = {.type = STUN_SUCCESS};
    CHECK(at < STUN_SITE_SOCKETS && (at == 0 || site->whole));
    reply->len = 0;
    reply->via = at;
    if (!stun_is_message(data, len) || stun_read(&request, data, len) != 0 ||
        request.type != STUN_REQUEST) {
        s->stats.ignored++;
        return;
    }
    if (!within_rate(s, from, now)) {
        s->stats.limited++;
        return;
    }
    memcpy(answer.txid, request.txid, sizeof(answer.txid));
    answer.has_fingerprint = request.has_fingerprint;
    find_unknown(site, &request, &answer);
    if (answer.unknown_count > 0) {
        answer.type = STUN_ERROR;
        answer.error = STUN_UNKNOWN_ATTRIBUTE;
        s->stats.refused++;
    } else {
        answer.xor_mapped = *from;
        reply->via = request.has_change ? way_of(&request, at) : at;
        if (site->whole && !request.is_tailnode) {
            describe(site, at, reply->via, from, &answer);
        }
        s->stats.answered++;
    }
    reply->len = stun_write(reply->data, sizeof(reply->data), &answer);
}
