/* What comes in by way of somebody else who opens packets, another thread for example.
 *
 * Only the AEAD is done there. Whether there is a session, whether its keys are still good and
 * whether the packet has been seen before is asked when it comes back, in the order of arrival, so
 * it cannot matter how much happened meanwhile. That the same was asked before only spares work.
 */
#include "node/node_internal.h"

/* NULL: there is none, or there are too many already. */
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
    a->key = lend(o, node_key_for(n, data, len, now));
    o->sealed += a->key ? len : 0;
}

void node_opening_open(struct node_opening *o)
{
    for (size_t i = 0; i < o->count; i++) {
        struct node_arrival *a = &o->arrivals[i];
        a->authentic = a->key && lentkey_open(a->key, a->data, a->len);
    }
}

void node_opening_input(struct node *n, struct node_opening *o, uint64_t now)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct node_arrival *a = &o->arrivals[i];
        if (!a->key) {
            node_input(n, o->socket, &a->from, a->data, a->len, now);
        } else {
            node_input_opened(n, o->socket, a, now);
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
