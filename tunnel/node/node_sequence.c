/* Two hard NATs that both give out their ports in sequence (path/sequence.h has the machine): when
 * it is tried, what is said, and what becomes of the sockets. PROTOCOL.md section 6 has the rules.
 *
 * Both sides do the same, so it does not matter who begins, nor that both do: who wants it finds
 * out its numbers and tells them; who is told does so too, and then both send. Nothing is ever sent
 * to an IP that is not one of the peer's own reflexive candidates, and no more than path/guess.h
 * allows.
 */
#include "node/node_internal.h"

#include <string.h>

/* It is for us: IPv4 only, and not where guessing ports is switched off. */
static bool is_ours(const struct node *n)
{
    return n->birthday.budget > 0 && n->birthday.state == BIRTHDAY_IDLE &&
           netcheck_is_sequence(&n->netcheck, ADDR_IPV4);
}

uint64_t node_sequence_ask_ns(const struct peer *p)
{
    const struct node *n = p->node;
    if (!p->punching || !p->hard || n->sequence.state != SEQUENCE_IDLE || !is_ours(n)) {
        return TIME_NEVER;
    }
    uint64_t at = time_add(p->punch_ns, NODE_BIRTHDAY_AFTER_NS);
    at = at > p->sequence_ns ? at : p->sequence_ns;
    return at > n->sequence.ready_ns ? at : n->sequence.ready_ns;
}

static void log_step(const struct peer *p, const char *step)
{
    LOG_AT(p->node->log, LOG_INFO, "sequence", "state", "peer=%s to=%s", p->name, step);
}

/* --- sockets --- */

static bool carries_path(const struct peer *p, uint16_t socket)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &p->paths.paths[id];
        if (path->id != 0 && path->where.kind == WHERE_DIRECT && path->where.socket == socket) {
            return true;
        }
    }
    return false;
}

/* One by which the peer was heard outlives the run. */
static void give_back(struct node *n)
{
    for (size_t i = 0; i < SEQUENCE_SOCKETS; i++) {
        uint16_t socket = n->sequence_sockets[i];
        n->sequence_sockets[i] = 0;
        if (socket != 0 && carries_path(&n->peers[n->sequence.who], socket)) {
            birthday_hand(&n->birthday, socket, n->sequence.who);
        } else if (socket != 0) {
            birthday_release(&n->birthday, socket);
        }
    }
}

static bool take_sockets(struct node *n)
{
    bool all = true;
    for (size_t i = 0; i < SEQUENCE_SOCKETS; i++) {
        n->sequence_sockets[i] = birthday_spare(&n->birthday);
        all = all && n->sequence_sockets[i] != 0;
    }
    return all;
}

/* --- the run --- */

static bool start(struct peer *p, uint64_t now)
{
    struct node *n = p->node;
    const struct stunclient_server *server = stunclient_best(&n->stun, ADDR_IPV4);
    bool wide = memcmp(n->self.public.bytes, p->key.bytes, KEY_LEN) < 0;
    if (!server ||
        !sequence_start(&n->sequence, p->index, wide, &server->addr, server->form, now)) {
        return false;
    }
    if (!take_sockets(n)) {
        sequence_stop(&n->sequence, false, now);
        give_back(n);
        return false;
    }
    log_step(p, "asking");
    return true;
}

/* After a question that was not answered it is put again soon, and ever less often; after a run
 * that failed later, and ever later. */
static void back_off(struct peer *p, bool sent, uint64_t now)
{
    if (sent) {
        p->sequence_wait_ns = p->sequence_wait_ns == 0
                                  ? SEQUENCE_REST_NS
                                  : time_min(2 * p->sequence_wait_ns, NODE_BIRTHDAY_WAIT_MAX_NS);
        p->sequence_ns = now + p->sequence_wait_ns;
        p->sequence_asks = 0;
    } else {
        unsigned doublings = p->sequence_asks < 6 ? p->sequence_asks : 6;
        p->sequence_ns = now + (NODE_BIRTHDAY_AFTER_NS << doublings);
        p->sequence_asks++;
    }
}

/* The machine has stopped, or is stopped. */
static void end(struct node *n, enum sequence_state from, bool won, uint64_t now)
{
    struct peer *p = &n->peers[n->sequence.who];
    sequence_stop(&n->sequence, won, now);
    give_back(n);
    log_step(p, won ? "won" : from == SEQUENCE_SENDING ? "missed" : "not_answered");
    if (won) {
        p->sequence_wait_ns = 0;
    } else {
        back_off(p, from == SEQUENCE_SENDING, now);
    }
    node_wake(p);
}

void node_sequence_reset(struct node *n, uint64_t now)
{
    if (n->sequence.state != SEQUENCE_IDLE) {
        end(n, n->sequence.state, false, now);
    }
    n->sequence.ready_ns = 0;
}

/* What follows from a step of the machine. */
static void follow(struct node *n, enum sequence_state from, uint64_t now)
{
    struct peer *p = &n->peers[n->sequence.who];
    if (n->sequence.state == from) {
        return;
    }
    if (n->sequence.state == SEQUENCE_IDLE) {
        end(n, from, false, now);
        return;
    }
    if (n->sequence.state == SEQUENCE_SENDING &&
        !peer_may_guess(p, &n->sequence.theirs.next, SEQUENCE_COUNT * SEQUENCE_ROUNDS, now)) {
        end(n, from, false, now);
        return;
    }
    if (from == SEQUENCE_ASKING) {
        p->told_version = 0;
    }
    log_step(p, n->sequence.state == SEQUENCE_SENDING ? "sending" : "told");
    node_wake(p);
}

void node_sequence_settle(struct peer *p, uint64_t now)
{
    struct sequence *s = &p->node->sequence;
    struct addr to;
    if (!sequence_is_with(s, p->index)) {
        if (node_sequence_ask_ns(p) <= now && !start(p, now)) {
            back_off(p, false, now);
        }
    } else if (!p->punching) {
        bool won = s->state == SEQUENCE_SENDING && p->started && peer_is_direct(p, now);
        end(p->node, s->state, won, now);
    } else {
        while (sequence_output(s, &to, now)) {
            struct where where = where_direct_by(p->node->sequence_sockets[0], &to);
            peer_send_guess(p, &where, s->hops, now);
        }
    }
}

/* --- what is said --- */

size_t node_sequence_tell(const struct peer *p, struct frame_candidate list[CAND_MAX], size_t count)
{
    const struct sequence *s = &p->node->sequence;
    if (!sequence_is_with(s, p->index) || s->state == SEQUENCE_ASKING) {
        return count;
    }
    count = count < CAND_MAX - 1 ? count : CAND_MAX - 2;
    sequence_list_tell(&s->ours, list + count);
    return count + 2;
}

/* A list may come again with the same numbers in it: they were good for one moment. */
void node_sequence_list(struct peer *p, const struct frame_candidate *list, size_t count,
                        uint64_t now)
{
    struct node *n = p->node;
    struct sequence_numbers theirs;
    if (!p->punching || !is_ours(n) || !sequence_list_numbers(list, count, &theirs) ||
        addr_equal(&theirs.next, &p->sequence_last) || !cand_is_worth(&theirs.next, &n->own)) {
        return;
    }
    if (sequence_is_with(&n->sequence, p->index) || start(p, now)) {
        enum sequence_state from = n->sequence.state;
        p->sequence_last = theirs.next;
        sequence_meet(&n->sequence, p->index, &theirs, now);
        follow(n, from, now);
    }
}

/* --- STUN, time --- */

bool node_sequence_input(struct node *n, unsigned socket, const struct addr *from,
                         const uint8_t *data, size_t len, uint64_t now)
{
    for (unsigned i = 0; i < SEQUENCE_SOCKETS && socket != 0; i++) {
        if (socket == n->sequence_sockets[i]) {
            enum sequence_state state = n->sequence.state;
            bool taken = sequence_input(&n->sequence, i, from, data, len, now);
            follow(n, state, now);
            return taken;
        }
    }
    return false;
}

bool node_sequence_output(struct node *n, struct node_batch *out, uint64_t now)
{
    unsigned i;
    size_t len = sequence_ask(&n->sequence, &i, n->batch, NODE_BATCH_BYTES, now);
    if (len > 0) {
        *out = (struct node_batch){.socket = n->sequence_sockets[i],
                                   .to = n->sequence.server,
                                   .data = n->batch,
                                   .len = len,
                                   .segment = len};
    }
    return len > 0;
}

void node_sequence_tick(struct node *n, uint64_t now)
{
    enum sequence_state from = n->sequence.state;
    (void)sequence_tick(&n->sequence, now);
    follow(n, from, now);
    if (n->sequence.state != SEQUENCE_IDLE && n->sequence.next_ns <= now) {
        node_wake(&n->peers[n->sequence.who]);
    }
}
