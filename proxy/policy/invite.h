/* Introductions: the two lines by which two nodes get to know each other, exchanged by hand.
 *
 *     adit://KEY@HOST[:PORT][/PATH]?name=NAME&token=TOKEN[&via=..][&pin=..][&endpoint=..]    offer
 *         [&stun=HOST:PORT].. [&stun_derper=HOST:PORT]..
 *     adit://KEY?name=NAME&proof=PROOF                                                       answer
 *
 * An offer names the inviting node: its public key, its relay (`via`: http, ws or wss instead of
 * https), the STUN servers that it asks, since who joins needs some as well, and a fresh secret
 * token, which it keeps until the answer comes (policy/pending.h). The answer names the joining
 * node; its proof is a keyed hash (BLAKE2b) under the token of both keys and the name, so only who
 * saw the offer can make one, it fits no other node, and it is no secret. Both sides derive the
 * pre-shared key of their sessions from the token in the same way. Who has seen an offer can answer
 * it: it must travel as a secret.
 */
#ifndef POLICY_INVITE_H
#define POLICY_INVITE_H

#include "policy/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INVITE_SECRET_LEN = 32,
    INVITE_KEY_TEXT = 44, /* 43 characters of base64url and the end */
    INVITE_STUN_MAX = 4,
    INVITE_TEXT_MAX = 2560,
};

enum invite_kind { INVITE_OFFER, INVITE_ANSWER };

struct invite {
    enum invite_kind kind;
    struct config_public_key key;
    char name[CONFIG_NAME_MAX + 1];
    uint8_t secret[INVITE_SECRET_LEN]; /* the token or the proof */
    /* Offers only, which have a relay or an endpoint or both. */
    bool has_relay;
    struct config_url relay;
    struct config_pin pins[CONFIG_PINS_MAX];
    size_t pins_count;
    struct config_endpoint endpoint; /* port 0: none */
    struct invite_stun {
        struct config_endpoint at;
        bool derper;
    } stun[INVITE_STUN_MAX];
    size_t stun_count;
};

/* NULL, or what is wrong with it, by part (static: no piece of the text is in it); *out is then
 * untouched. White space around it is fine. */
const char *invite_parse(struct invite *out, const char *text);
/* Returns `out`, which invite_parse reads. */
const char *invite_format(const struct invite *i, char out[INVITE_TEXT_MAX]);
/* Secrets and keys as text; returns `out`. */
const char *invite_format_key(const uint8_t key[INVITE_SECRET_LEN], char out[INVITE_KEY_TEXT]);
bool invite_parse_key(uint8_t out[INVITE_SECRET_LEN], const char *text, size_t len);

/* The answer of a node with this key and name. */
void invite_answer(struct invite *answer, const struct invite *offer,
                   const struct config_public_key *key, const char *name);
/* Was the answer made with the token that `inviter` gave out? In constant time. */
bool invite_is_answer(const struct invite *answer, const uint8_t token[INVITE_SECRET_LEN],
                      const struct config_public_key *inviter);
/* What both sides' `psk` is. */
void invite_psk(uint8_t out[INVITE_SECRET_LEN], const uint8_t token[INVITE_SECRET_LEN],
                const struct config_public_key *inviter, const struct config_public_key *joiner);

#endif
