/* JSON of GET /ping/PEER, /why/PEER, /bench/... and /route/TARGET, and lines for people made of it.
 * A core: the caller takes the snapshot. As with /status, fields are added, never renamed or
 * removed, and what is not known is null.
 *
 *   ping   {"peer","rtt_us","path":{"kind":"direct|relay","address","relay"}}
 *   why    {"peer","state","text","searching","searching_s","our_mapping","their_nat",
 *           "birthday","birthday_wait_s",
 *           "paths":[{"kind","address","relay","used","answered","trusted","extra_socket","rtt_us",
 *                     "last_answer_s","bytes_sent","packets_sent","packets_lost","reason"}],
 *           "candidates":[{"kind","address","answered","probes","last_probe_s","rtt_us","reason"}],
 *           "our_candidates":[{"kind","address"}]}
 *   bench  {"peer","direction":"up|down","bytes","took_us","bits_per_s","path_changes","aead",
 *           "path":{"kind","address","relay"},"round_trips":{"count","min_us","median_us","max_us"}}
 *   route  {"target","goes":"peer|direct|refuse","peer","rule","text","exit_target",
 *           "state","path":{"kind","address","relay"}}; state and path are null if no node runs
 */
#ifndef CONTROL_WHY_H
#define CONTROL_WHY_H

#include "control/control.h"

#include <stdbool.h>

/* Texts are borrowed; NULL becomes null. */
struct control_where {
    const char *kind, *address, *relay;
};

struct control_pong {
    const char *peer;
    uint64_t rtt_us;
    struct control_where path;
};

struct control_why_path {
    struct control_where where;
    bool used, answered, trusted, extra_socket;
    uint64_t rtt_us, last_answer_s;
    uint64_t bytes_sent, packets_sent, packets_lost;
    const char *reason;
};

struct control_why_candidate {
    const char *kind, *address;
    bool answered;
    uint64_t probes, last_probe_s, rtt_us;
    const char *reason;
};

struct control_why {
    const char *peer, *state, *text;
    bool searching;
    uint64_t searching_s;
    const char *our_mapping, *their_nat, *birthday;
    uint64_t birthday_wait_s;
    const struct control_why_path *paths;
    size_t path_count;
    const struct control_why_candidate *candidates, *own;
    size_t candidate_count, own_count;
};

struct control_route {
    const char *target;
    const char *goes;        /* "peer", "direct", "refuse" */
    const char *peer;        /* its name, NULL if it goes to none */
    const char *rule;        /* "home.test = peer home", NULL if none of [route] matched */
    const char *text;        /* the whole in one sentence */
    const char *exit_target; /* what the exit is asked for */
    const char *state;       /* of the peer, NULL if that is not known */
    struct control_where path;
};

struct control_bench {
    const char *peer, *direction, *aead;
    uint64_t bytes, took_us, bits_per_s;
    uint64_t path_changes; /* while it went on */
    struct control_where path;
    uint64_t trips, trip_min_us, trip_median_us, trip_max_us;
};

/* To be freed with control_free. NULL: out of memory. */
char *control_ping_json(const struct control_pong *p);
char *control_why_json(const struct control_why *w);
char *control_route_json(const struct control_route *r);
char *control_bench_json(const struct control_bench *m);

/* To be freed with mem_free. NULL if `json` is not such JSON. */
char *control_describe_why(const char *json, size_t len);
char *control_describe_route(const char *json, size_t len);

#endif
