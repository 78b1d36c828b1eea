/* What this node serves under names of its own: lines of [serve], and those of `adit serve`.
 *
 * A peer asks for "SERVICE.peer:PORT" (policy/route.h): a name that no resolver ever sees.
 */
#ifndef POLICY_SERVE_H
#define POLICY_SERVE_H

#include "policy/config.h"

#include <adit/cause.h>

#include <stdbool.h>
#include <stddef.h>

/* The name is in .peer, so one of ours is meant or nothing. */
bool serve_is_meant(const struct target *target);

bool serve_fits(const struct config_serve *serve, const struct target *target);
/* May this peer have it? */
bool serve_allows(const struct config_serve *serve, size_t peer);

/* The one of the list that fits, or NULL. */
const struct config_serve *serve_find(const struct config_serve *list, size_t count,
                                      const struct target *target);

#endif
