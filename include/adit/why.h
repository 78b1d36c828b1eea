/* Why a peer is reached the way it is, and not a better one: a snapshot of what a node knows, with
 * reasons in plain words. For `adit why` and the tests.
 *
 * Texts are static, or live as long as the node. Times are ages in ns, TIME_NEVER = never.
 */
#ifndef ADIT_WHY_H
#define ADIT_WHY_H

#include <adit/stats.h>

enum {
    ADIT_WHY_CANDIDATES_MAX = 32, /* of each side */
    ADIT_WHY_PATHS_MAX = 8,
};

/* One of the peer's addresses. */
struct adit_why_candidate {
    const char *kind; /* "host", "server-reflexive", ... */
    struct addr address;
    bool answered;   /* since probing it began */
    unsigned probes; /* sent since then, at most 255 */
    uint64_t age_ns; /* since the last of them */
    uint64_t rtt_ns; /* 0 = not known */
    const char *reason;
};

/* One of ours, as the peer is told. */
struct adit_why_own {
    const char *kind;
    struct addr address;
};

/* A way to the peer that is there: relays, and addresses that were heard from. */
struct adit_why_path {
    enum adit_path_kind kind;
    struct addr address; /* direct */
    const char *relay;
    bool used;           /* what is sent takes it */
    bool answered;       /* once */
    bool trusted;        /* enough to be used alone */
    bool extra_socket;   /* it is bound to a socket that birthday probing opened */
    uint64_t rtt_ns;     /* 0 = not known */
    uint64_t proof_ns;   /* age of the last answer */
    uint64_t bytes_sent; /* in data packets */
    uint64_t packets_sent, packets_lost;
    const char *reason; /* why it is used, or not */
};

struct adit_why {
    const char *name; /* of the peer */
    enum adit_peer_state state;
    const char *text;          /* the whole of it in one sentence */
    bool searching;            /* direct paths are looked for */
    uint64_t search_ns;        /* since when; TIME_NEVER: they are not */
    const char *our_mapping;   /* of the NAT before us: "endpoint-independent", ... */
    const char *their_nat;     /* "hard", "easy or unknown" */
    const char *birthday;      /* "off", "none", "asking", "opening", "probing" */
    uint64_t birthday_wait_ns; /* until the next run that we ask for; TIME_NEVER: none */
    size_t candidate_count, own_count, path_count;
    struct adit_why_candidate candidates[ADIT_WHY_CANDIDATES_MAX]; /* the most useful first */
    struct adit_why_own own[ADIT_WHY_CANDIDATES_MAX];
    struct adit_why_path paths[ADIT_WHY_PATHS_MAX];
};

#endif
