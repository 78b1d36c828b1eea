/* How a peer that asks gets keys: its initiation is weighed, answered, and answered again by the
 * other ways that it comes. What asks is peer_handshake.c.
 *
 * WireGuard's habits: silent to strangers (mac1), cookies under load, and a timestamp that must
 * rise before anything is answered.
 */
#include "node/node_internal.h"

/* More initiations in this second than a machine should do DHs for? */
static bool under_load(struct node *n, uint64_t now)
{
    if (time_since(n->load_from_ns, now) >= NS_PER_S) {
        n->load_from_ns = now;
        n->load = 0;
    }
    return ++n->load > NODE_HANDSHAKES_PER_S;
}

/* To an address that may be anyone's: the answer to a stranger who knows our public key. */
static void emit_stranger(struct node *n, const struct where *to, const uint8_t *data, size_t len)
{
    if (n->outbox_count < NODE_OUTBOX_MAX) {
        size_t slot = (n->outbox_first + n->outbox_count++) % NODE_OUTBOX_MAX;
        n->outbox[slot] = (struct outgoing){.to = to->addr, .len = len};
        memcpy(n->outbox[slot].data, data, len);
    }
}

/* True if the message may cost us DHs. `sender`: the peer that the relay names, or NULL. */
static bool admit(struct node *n, const struct handshake_mail *mail, const struct where *from,
                  struct peer *sender, uint64_t now)
{
    enum cookie_verdict verdict = handshake_check_mac(&n->checker, mail);
    if (verdict == COOKIE_BAD) {
        n->counters.handshakes_bad_mac++;
        return false;
    }
    if (!under_load(n, now) ||
        (verdict == COOKIE_MAC2 && throttle_allow(&n->throttle, &mail->source, now))) {
        return true;
    }
    n->counters.handshakes_limited++;
    if (verdict != COOKIE_MAC2) {
        uint8_t cookie[HANDSHAKE_COOKIE_LEN];
        handshake_write_cookie(&n->checker, mail, n->rng, cookie);
        if (sender) {
            node_emit(sender, from, cookie, sizeof(cookie), true);
        } else {
            emit_stranger(n, from, cookie, sizeof(cookie));
        }
    }
    return false;
}

static void respond(struct peer *p, struct handshake *h, const struct where *to, uint64_t now)
{
    struct node *n = p->node;
    enum aead_kind kind = peer_choose_aead(p->remote.aead & peer_aeads());
    struct params params = peer_params(p, (uint64_t)kind, now);
    uint8_t payload[PARAMS_LEN_MAX];
    uint8_t packet[HANDSHAKE_MAX];
    struct handshake_draft draft = {.index = node_new_index(p),
                                    .payload = payload,
                                    .payload_len = params_encode(payload, &params),
                                    .jar = peer_jar(p, to),
                                    .rng = n->rng,
                                    .now = now};
    int len = handshake_write_response(h, &draft, packet, sizeof(packet));
    if (len < 0) {
        n->counters.handshakes_invalid++;
        return;
    }
    if (peer_install(p, h, kind, false, now)) {
        node_emit(p, to, packet, (size_t)len, true);
        node_wake(p);
        CHECK((size_t)len <= sizeof(p->reply));
        memcpy(p->reply, packet, (size_t)len);
        p->reply_len = (size_t)len;
        p->reply_way = *to;
        p->replies_left = NODE_REPLIES_MAX;
    }
}

/* The response goes to the peer's candidates too when the initiation came over a relay: it opens
 * our NAT to what the peer will send there as soon as it has our candidates. */
static void open_ways(struct peer *p, const struct where *from, uint64_t now)
{
    struct addr to;
    node_wake(p);
    peer_candidates_hint(p, now);
    while (from->kind == WHERE_RELAY && p->replies_left > NODE_REPLIES_KEPT &&
           peer_candidates_early(p, &to, now)) {
        struct where way = where_direct(&to);
        p->replies_left--;
        cookie_jar_stamp(peer_jar(p, &way), p->reply, p->reply_len, now);
        node_emit(p, &way, p->reply, p->reply_len, true);
    }
}

/* The same initiation by another way: the answer goes that way too, because the one before may lead
 * nowhere, and nobody knows which of them is the good one. */
static void respond_again(struct peer *p, const struct where *to, uint64_t now)
{
    if (p->replies_left == 0 || where_equal(to, &p->reply_way) ||
        time_since(p->initiation_ns, now) > NODE_REPLY_NS) {
        p->node->counters.handshakes_replayed++;
        return;
    }
    p->replies_left--;
    cookie_jar_stamp(peer_jar(p, to), p->reply, p->reply_len, now);
    node_emit(p, to, p->reply, p->reply_len, true);
    node_wake(p);
}

static bool is_too_soon(const struct peer *p, uint64_t now)
{
    return (p->initiation_ns != 0 && time_since(p->initiation_ns, now) < INITIATION_INTERVAL_NS) ||
           (p->broken_ns != 0 && time_since(p->broken_ns, now) < NODE_BROKEN_NS);
}

/* The payload of an initiation that is authentic: is it new, and do we understand it? */
static bool accept_params(struct peer *p, const struct where *from, const uint8_t *payload,
                          size_t len, uint64_t now)
{
    struct node *n = p->node;
    struct params params;
    if (params_decode(&params, payload, len) != 0 ||
        (params.aead & PARAMS_AEAD_CHACHA20POLY1305) == 0) {
        n->counters.handshakes_invalid++;
        return false;
    }
    if (params.timestamp_ns == p->remote_timestamp) {
        respond_again(p, from, now);
        return false;
    }
    if (params.timestamp_ns < p->remote_timestamp) {
        n->counters.handshakes_replayed++;
        LOG_AT(n->log, LOG_WARN, "handshake", "replayed", "peer=%s", p->name);
        return false;
    }
    if (is_too_soon(p, now)) {
        n->counters.handshakes_limited++;
        return false;
    }
    p->remote_timestamp = params.timestamp_ns;
    p->initiation_ns = now;
    p->remote = params;
    return true;
}

void peer_on_initiation(struct node *n, const struct where *from,
                        const struct public_key *relay_key, const uint8_t *data, size_t len,
                        uint64_t now)
{
    struct handshake_mail mail = {.data = data,
                                  .len = len,
                                  .source = relay_key ? cookie_source_key(relay_key)
                                                      : cookie_source_addr(&from->addr),
                                  .now = now};
    struct peer *sender = relay_key ? node_find_key(n, relay_key) : NULL;
    if (relay_key && !sender) {
        n->counters.handshakes_unknown++;
        return;
    }
    if (n->stopping || !admit(n, &mail, from, sender, now)) {
        return;
    }
    struct handshake h = {0};
    if (handshake_read_initiation(&h, &n->self, data, len) != 0) {
        n->counters.handshakes_invalid++;
        return;
    }
    struct peer *p = node_find_key(n, &h.peer);
    if (!p || (sender && p != sender)) {
        n->counters.handshakes_unknown++;
        handshake_wipe(&h);
        return;
    }
    uint8_t payload[HANDSHAKE_PAYLOAD_MAX];
    size_t payload_len;
    if (handshake_accept_initiation(&h, p->psk, payload, &payload_len) != 0) {
        n->counters.handshakes_invalid++;
    } else if (accept_params(p, from, payload, payload_len, now)) {
        respond(p, &h, from, now);
        open_ways(p, from, now);
    }
    handshake_wipe(&h);
}
