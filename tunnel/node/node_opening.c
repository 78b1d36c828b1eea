/* What comes in by way of somebody else who opens packets, another thread for example.
 *
 * Only the AEAD is done there. Whether there is a session, whether its keys are still good and
 * whether the packet has been seen before is asked when it comes back, in the order of arrival, so
 * it cannot matter how much happened meanwhile. That the same was asked before only spares work.
 */
#include "node/node_internal.h"

/* NULL: there are too many already. */
static struct lentkey *lend(struct node_opening *o, struct lentkey *key)
{
    for (size_t i = 0; i < o->key_count; i++) {
        if (o->keys[i] == key) {
            return key;
        }
    }
    if (!key || o->key_count == NODE_OPENING_KEYS) {
        return NULL;
    }
    return o->keys[o->key_count++] = lentkey_hold(key);
}

void node_opening_add(struct node *n, struct node_opening *o, const struct addr *from,
                      uint8_t *data, size_t len, uint64_t now)
{
    CHECK(o->count < NODE_OPENING_MAX);
    struct node_arrival *a = &o->arrivals[o->count++];
    *a = (struct node_arrival){.from = *from, .data = data, .len = len};
    struct sealed s;
    if (!node_expect(n, NULL, data, len, now, &s)) {
        a->key = lend(o, s.keys->lent_recv);
        o->sealed += a->key ? len : 0;
    }
}

void node_opening_open(struct node_opening *o)
{
    for (size_t i = 0; i < o->count; i++) {
        struct node_arrival *a = &o->arrivals[i];
        a->authentic = a->key && lentkey_open(a->key, a->data, a->len);
    }
}

/* A key that the peer has no more is no key of another packet: nothing is opened under one key and
 * believed under another. */
static void take_opened(struct node *n, const struct where *from, const struct node_arrival *a,
                        uint64_t now)
{
    struct sealed s;
    uint64_t *refused = node_expect(n, NULL, a->data, a->len, now, &s);
    n->counters.packets_in++;
    if (refused) {
        (*refused)++;
    } else if (s.keys->lent_recv != a->key) {
        n->counters.packets_no_session++;
    } else if (!a->authentic) {
        n->counters.packets_unauthentic++;
    } else {
        node_accept(&s, from, a->data, a->len, now);
    }
}

void node_opening_input(struct node *n, struct node_opening *o, uint64_t now)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct node_arrival *a = &o->arrivals[i];
        if (!a->key) {
            node_input(n, o->socket, &a->from, a->data, a->len, now);
        } else if (!node_intercept(n, o->socket, &a->from, a->data, a->len, now)) {
            struct where where = where_direct_by((uint16_t)o->socket, &a->from);
            take_opened(n, &where, a, now);
        }
    }
    node_opening_drop(o);
}

void node_opening_drop(struct node_opening *o)
{
    for (size_t i = 0; i < o->key_count; i++) {
        lentkey_release(o->keys[i]);
    }
    o->count = o->key_count = o->sealed = 0;
}
