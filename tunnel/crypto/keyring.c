#include "crypto/keyring.h"

#include "wire/packet.h"

#include <base/check.h>

#include <stddef.h>

_Static_assert(PACKET_MTU_MAX <= 1 << 14, "the limits of messages count on it");

static void drop(struct keyset **role)
{
    if (*role) {
        aead_key_wipe(&(*role)->send);
        aead_key_wipe(&(*role)->recv);
        lentkey_release((*role)->lent_send);
        lentkey_release((*role)->lent_recv);
        sodium_memzero(*role, sizeof(**role));
        *role = NULL;
    }
}

static struct keyset *free_slot(struct keyring *ring)
{
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        if (!ring->slots[i].valid) {
            return &ring->slots[i];
        }
    }
    NEVER();
}

static int fill(struct keyset *keys, const struct keyring_offer *offer, uint64_t now)
{
    *keys = (struct keyset){
        .valid = true,
        .initiator = offer->initiator,
        .local_index = offer->local_index,
        .remote_index = offer->remote_index,
        .created_ns = now,
        .tag = offer->tag,
    };
    keys->lent_send = offer->lend_send ? lentkey_new(offer->kind, offer->send) : NULL;
    keys->lent_recv = offer->lend_recv ? lentkey_new(offer->kind, offer->recv) : NULL;
    int err = aead_key_init(&keys->send, offer->kind, offer->send);
    return err ? err : aead_key_init(&keys->recv, offer->kind, offer->recv);
}

/* When both sides began a handshake at once, each has the other's as next, and the other one uses
 * those keys already. So they stay, as previous, and it is the old current keys that go. */
static void make_way_for_current(struct keyring *ring)
{
    drop(&ring->previous);
    if (ring->next) {
        drop(&ring->current);
        ring->previous = ring->next;
        ring->next = NULL;
    } else {
        ring->previous = ring->current;
        ring->current = NULL;
    }
}

struct keyset *keyring_install(struct keyring *ring, const struct keyring_offer *offer,
                               uint64_t now)
{
    if (!aead_available(offer->kind)) {
        return NULL;
    }
    struct keyset **role = offer->initiator ? &ring->current : &ring->next;
    if (offer->initiator) {
        make_way_for_current(ring);
    } else {
        drop(&ring->next);
    }
    struct keyset *keys = free_slot(ring);
    CHECK(fill(keys, offer, now) == 0);
    *role = keys;
    return keys;
}

struct keyset *keyring_find(struct keyring *ring, uint32_t local_index)
{
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        if (ring->slots[i].valid && ring->slots[i].local_index == local_index) {
            return &ring->slots[i];
        }
    }
    return NULL;
}

bool keyring_usable(const struct keyset *keys, uint64_t now)
{
    return keys->valid && time_since(keys->created_ns, now) < REJECT_AFTER_TIME_NS;
}

bool keyring_confirm(struct keyring *ring, struct keyset *keys)
{
    if (!ring->next || keys != ring->next) {
        return false;
    }
    drop(&ring->previous);
    ring->previous = ring->current;
    ring->current = ring->next;
    ring->next = NULL;
    return true;
}

struct keyset *keyring_sender(const struct keyring *ring, uint64_t now)
{
    struct keyset *keys = ring->current;
    if (!keys || !keyring_usable(keys, now) || keys->sent_packets >= REJECT_AFTER_MESSAGES) {
        return NULL;
    }
    return keys;
}

/* By time only the initiator asks, lest both do at once; by count whoever has sent that much. */
bool keyring_wants_rekey(const struct keyring *ring, uint64_t now)
{
    const struct keyset *keys = ring->current;
    return keys && (keys->sent_packets >= REKEY_AFTER_MESSAGES ||
                    (keys->initiator && time_since(keys->created_ns, now) >= REKEY_AFTER_TIME_NS));
}

uint64_t keyring_rekey_ns(const struct keyring *ring)
{
    const struct keyset *keys = ring->current;
    return keys && keys->initiator ? time_add(keys->created_ns, REKEY_AFTER_TIME_NS) : TIME_NEVER;
}

uint64_t keyring_next_ns(const struct keyring *ring)
{
    uint64_t next = TIME_NEVER;
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        if (ring->slots[i].valid) {
            next = time_min(next, time_add(ring->slots[i].created_ns, REJECT_AFTER_TIME_NS));
        }
    }
    return next;
}

void keyring_expire(struct keyring *ring, uint64_t now)
{
    struct keyset **roles[] = {&ring->previous, &ring->current, &ring->next};
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        if (*roles[i] && !keyring_usable(*roles[i], now)) {
            drop(roles[i]);
        }
    }
}

void keyring_clear_except(struct keyring *ring, const struct keyset *keep)
{
    struct keyset **roles[] = {&ring->previous, &ring->current, &ring->next};
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        if (*roles[i] != keep) {
            drop(roles[i]);
        }
    }
}

void keyring_clear_except_tag(struct keyring *ring, uint64_t tag)
{
    struct keyset **roles[] = {&ring->previous, &ring->current, &ring->next};
    for (size_t i = 0; i < KEYRING_SLOTS; i++) {
        if (*roles[i] && (*roles[i])->tag != tag) {
            drop(roles[i]);
        }
    }
}
