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

struct adit_relay_server_config {
    uint8_t secret[ADIT_KEY_LEN];
    const struct addr *listen; /* at least one; port 0 = any */
    size_t listen_count;
    const struct addr *listen_tls; /* with TLS; may be none */
    size_t listen_tls_count;
    const char *cert, *cert_key;          /* PEM files; NULL without listen_tls */
    struct addr stun;                     /* UDP; family ADDR_NONE = no STUN server */
    const uint8_t (*allow)[ADIT_KEY_LEN]; /* keys that are admitted */
    size_t allow_count;
    bool open; /* admit every key */
    /* 0 = default */
    uint32_t clients_max, clients_per_address_max, queue_packets_max;
    uint64_t rate_bytes_per_s; /* per client; 0 = no limit */
    const struct log *log;
};

/* Copies the configuration. 0 or a negative error with a log line. */
int adit_relay_start(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                     struct adit_relay **out);
/* Reads the certificate and its key again, for connections that come from now on; when they cannot
 * be used the old ones stay. Says in the log what came of it. 0 (also without TLS) or a negative
 * error. */
int adit_relay_reload_tls(struct adit_relay *r);
/* Address of the i-th listener, with the port it got, those with TLS last; false past the last. */
bool adit_relay_address(const struct adit_relay *r, size_t i, struct addr *out);
/* False if there is no STUN server. */
bool adit_relay_stun_address(const struct adit_relay *r, struct addr *out);
void adit_relay_stop(struct adit_relay *r, void (*stopped)(void *user), void *user);

#endif
