#include "relay/stun_server.h"

#include "wire/stun.h"

#include <string.h>

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

static bool within_rate(struct stun_server *s, const struct addr *from, uint64_t now)
{
    if (now / NS_PER_S != s->second) {
        s->second = now / NS_PER_S;
        memset(s->counts, 0, sizeof(s->counts));
    }
    uint8_t *count = &s->counts[slot_of(s, from)];
    if (*count >= STUN_SERVER_PER_S) {
        return false;
    }
    (*count)++;
    return true;
}

size_t stun_server_input(struct stun_server *s, const struct addr *from, const void *data,
                         size_t len, uint8_t reply[STUN_SERVER_REPLY_MAX], uint64_t now)
{
    struct stun_message request;
    if (!stun_is_message(data, len) || stun_read(&request, data, len) != 0 ||
        request.type != STUN_REQUEST) {
        s->ignored++;
        return 0;
    }
    if (!within_rate(s, from, now)) {
        s->limited++;
        return 0;
    }
    struct stun_message answer = {.type = STUN_SUCCESS};
    memcpy(answer.txid, request.txid, sizeof(answer.txid));
    if (request.unknown_count > 0 || request.has_change) {
        /* One address cannot answer from another: RFC 5780 asks that to be said (7.2). */
        answer.type = STUN_ERROR;
        answer.error = STUN_UNKNOWN_ATTRIBUTE;
        memcpy(answer.unknown, request.unknown, sizeof(answer.unknown));
        answer.unknown_count = request.unknown_count;
        s->refused++;
    } else {
        answer.xor_mapped = *from;
        answer.has_fingerprint = request.has_fingerprint;
        s->answered++;
    }
    return stun_write(reply, STUN_SERVER_REPLY_MAX, &answer);
}
