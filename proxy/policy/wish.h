/* What a user name at the front asks for: NAME[@PEER][+PATH], in this order or the other.
 *
 *     ann@home            exit at the peer home
 *     ann+relay-only      whatever the route says, but over a relay: any, direct-only, relay-only
 *     +direct-only@home   without a name
 *
 * It is read from the end, as long as the last part is a known one; the rest is the name. Of each
 * kind there is one at most. So "ann@example.org" is a name like any other, as long as no peer is
 * called "example.org".
 */
#ifndef POLICY_WISH_H
#define POLICY_WISH_H

#include "policy/config.h"

#include <stdbool.h>
#include <stddef.h>

struct wish {
    size_t name_len; /* the name is the first bytes of the text */
    bool exit;       /* `peer` is asked for */
    bool path_given; /* `path` is */
    enum config_path path;
    size_t peer;
    /* There is a @ or + left in the name: fine if it is somebody's name, else it is a wish that
     * cannot be granted, and not to be passed over in silence. */
    bool unclear;
};

struct wish wish_parse(const struct config *config, const char *user, size_t len);
bool wish_equal(const struct wish *a, const struct wish *b);

#endif
