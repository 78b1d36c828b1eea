/* A relay server on a libuv loop: DERP over HTTP/1.1 (see tunnel/relay/relay_server.h), and a STUN
 * server beside it (tunnel/relay/stun_server.h). */
#ifndef ADIT_RELAY_H
#define ADIT_RELAY_H

#include <base/addr.h>
#include <base/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/key.h>

struct adit_relay;
struct uv_loop_s;

enum { ADIT_RELAY_STUN_MAX = 4 };

struct adit_relay_server_config {
    uint8_t secret[ADIT_KEY_LEN];
    const struct addr *listen; /* at least one; port 0 = any */
    size_t listen_count;
    const struct addr *listen_tls; /* with TLS; may be none */
    size_t listen_tls_count;
    const char *cert, *cert_key; /* PEM files; NULL without listen_tls */
    /* UDP sockets of the STUN server; none = no such server. Two of one family that differ in IP
     * and port make four sockets, and the server knows RFC 5780. */
    const struct addr *stun;
    size_t stun_count;                    /* up to ADIT_RELAY_STUN_MAX */
    const uint8_t (*allow)[ADIT_KEY_LEN]; /* keys that are admitted */
    size_t allow_count;
    bool open;                    /* admit every key */
    const struct prefix *metrics; /* who may read /metrics, besides loopback */
    size_t metrics_count;
    /* 0 = default */
    uint32_t clients_max, clients_per_address_max, queue_packets_max;
    uint64_t rate_bytes_per_s; /* per client; 0 = no limit */
    uint64_t burst_bytes;      /* what may come at once; 0 = a second's worth */
    /* NATS servers by which this and other relays share their clients; none = alone. */
    const char *const *cluster;
    size_t cluster_count;
    const char *cluster_credentials, *cluster_ca; /* files; may be NULL */
    const uint8_t *cluster_secret; /* of ADIT_KEY_LEN, which all share; may be NULL */
    const struct log *log;
};

/* Copies the configuration. 0 or a negative error with a log line. */
int adit_relay_start(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                     struct adit_relay **out);
/* Address of the i-th listener, with the port it got, those with TLS last; false past the last. */
bool adit_relay_address(const struct adit_relay *r, size_t i, struct addr *out);
/* Address of the i-th STUN socket in the order of the configuration; false past the last. */
bool adit_relay_stun_address(const struct adit_relay *r, size_t i, struct addr *out);

/* Takes keys, `open`, readers of /metrics and limits from the configuration, and reads the
 * certificate and its key again, for connections that come from now on; if those cannot be used the
 * old ones stay, and the log says so. Whoever is still admitted does not notice, also when there
 * are more than clients_max now. 0 or ERR_NO_MEMORY: then all is as it was. */
int adit_relay_reload(struct adit_relay *r, const struct adit_relay_server_config *config);
/* Stops gently: accepts no one any more, tells the clients to go elsewhere, and stops when all have
 * left, after wait_ns at the latest. */
void adit_relay_drain(struct adit_relay *r, uint64_t wait_ns, void (*stopped)(void *user),
                      void *user);
void adit_relay_stop(struct adit_relay *r, void (*stopped)(void *user), void *user);

#endif
