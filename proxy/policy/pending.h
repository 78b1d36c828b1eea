/* Invitations that wait for their answer: a small file, one in each line, as
 *
 *     EXPIRES TOKEN RELAY
 *
 * with EXPIRES in seconds since 1970 and RELAY the name of a [relay], or `-`. At most PENDING_MAX;
 * each is taken once; those that are too old are as if they were not there.
 */
#ifndef POLICY_PENDING_H
#define POLICY_PENDING_H

#include "policy/invite.h"

enum {
    PENDING_MAX = 16,
    PENDING_LINE_MAX = 20 + 1 + INVITE_KEY_TEXT + 1 + CONFIG_NAME_MAX + 1,
    PENDING_TEXT_MAX = PENDING_MAX * PENDING_LINE_MAX + 1,
};

struct pending_item {
    uint64_t expires_s;
    uint8_t token[INVITE_SECRET_LEN];
    char relay[CONFIG_NAME_MAX + 1]; /* "" = none */
};

struct pending {
    struct pending_item items[PENDING_MAX];
    size_t count;
};

/* 0 or ERR_MALFORMED, and *p is empty then. What has expired by `now_s` is left out. */
int pending_parse(struct pending *p, const char *text, size_t len, uint64_t now_s);
/* Returns `out`. */
const char *pending_format(const struct pending *p, char out[PENDING_TEXT_MAX]);
/* 0, or ERR_NO_ROOM: there are PENDING_MAX of them. */
int pending_add(struct pending *p, const struct pending_item *item);
/* The invitation that this answers, or NULL. */
const struct pending_item *pending_find(const struct pending *p, const struct invite *answer,
                                        const struct config_public_key *self);
/* `item` is one of them; it is wiped. */
void pending_remove(struct pending *p, const struct pending_item *item);
void pending_wipe(struct pending *p);

#endif
