/* What `adit status` and scripts may ask of a running node, as HTTP paths and JSON. A core: the
 * caller takes the snapshot and moves the bytes.
 *
 * The JSON of /status is an interface; fields are added, never renamed or removed:
 *   {"node":{"name","key","listen",
 *            "nat":{"ipv4":{"mapping","address"},"ipv6":{...},"portmap":"none|pcp|natpmp|upnp",
 *            "captive_portal"}},
 *    "peers":[{"name","key","state":"idle|connecting|connected|lost",
 *              "path":{"kind":"direct|relay|none","address","relay","rtt_us","mtu",
 *                      "cwnd","in_flight","probe_timeouts"},
 *              "aead":"aes256gcm|chacha20poly1305","streams","bytes_in","bytes_out",
 *              "last_handshake_s","last_heard_s","home_relay"}],
 *    "relays":[{"name","url","state":"idle|connecting|connected","rtt_us","home","why"}],
 *    "counters":{...}}
 * What is not known is null: an address of a relay path, an rtt not measured, a peer never heard.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_UNKNOWN UINT64_MAX /* a number that becomes null */

/* Texts are borrowed; NULL becomes null. */
struct control_peer {
    const char *name, *key, *state;
    struct {
        const char *kind, *address, *relay;
        uint64_t rtt_us, mtu, cwnd, in_flight, probe_timeouts;
    } path;
    const char *aead; /* "aes256gcm", "chacha20poly1305" */
    uint64_t streams, bytes_in, bytes_out;
    uint64_t last_handshake_s, last_heard_s;
    uint64_t packets_lost, path_changes, restarts_seen;
    const char *home_relay; /* where the peer says that it is to be found, if we know that relay */
};

struct control_relay {
    const char *name, *url, *state;
    const char *why; /* it is not connected */
    uint64_t rtt_us, dropped;
    bool home; /* the fastest of those that the node listens on */
};

struct control_counter {
    const char *group; /* inside "counters": NULL = right there, else in an object of that name */
    const char *name;
    uint64_t value;
};

struct control_nat_family {
    const char *mapping, *address;
};

struct control_snapshot {
    const char *version;
    const char *name, *key, *listen;
    const char *const *front; /* addresses applications connect to */
    size_t front_count;
    uint64_t uptime_s;
    struct {
        struct control_nat_family ipv4, ipv6;
        const char *portmap;
        bool captive_portal;
    } nat;
    const struct control_peer *peers;
    size_t peer_count;
    const struct control_relay *relays;
    size_t relay_count;
    const struct control_counter *counters;
    size_t counter_count;
};

/* The JSON of /status, ended by a newline; to be freed with control_free. NULL: out of memory. */
char *control_status(const struct control_snapshot *s);
void control_free(char *text);

/* The lines people read, one per peer, made of /status's JSON: the command works with a node of
 * another version, whose fields it may not know. NULL if `json` is not such JSON. */
char *control_describe(const char *json, size_t len);

#endif
