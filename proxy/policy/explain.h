/* Where a target would go, and by which line of the configuration: route_decide, in words. */
#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include "policy/config.h"
#include "policy/route.h"
#include "proto/target.h"

enum { EXPLAIN_TEXT_MAX = 448 };

struct explanation {
    struct route route;
    char target[TARGET_TEXT_MAX];
    const char *goes;                  /* "peer", "direct", "refuse"; static */
    const char *peer;                  /* name of the peer, NULL; lives as long as the config */
    char rule[EXPLAIN_TEXT_MAX];       /* "corp.example = peer home (line 19)"; "" = none fits */
    char exit_target[TARGET_TEXT_MAX]; /* what the exit is asked for; "" if it goes to none */
    char text[EXPLAIN_TEXT_MAX];       /* one sentence */
};

void explain_route(const struct config *config, const struct target *t, struct explanation *out);

#endif
