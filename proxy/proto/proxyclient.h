/* What a client says to a proxy, to be connected with a target: SOCKS5 (RFC 1928, RFC 1929) or HTTP
 * CONNECT (RFC 9110 section 9.3.6); or, with SOCKS5, to have its datagrams carried (UDP ASSOCIATE).
 * Bytes in, bytes out; no socket.
 *
 * Names go as they are: the proxy resolves them. It takes no byte more than belongs to the proxy's
 * answer, so that what the target says first is left for whoever reads afterwards: read at most
 * proxyclient_wants bytes.
 *
 *     init, (output, input)... until the state is not TALKING
 */
#ifndef PROTO_PROXYCLIENT_H
#define PROTO_PROXYCLIENT_H

#include "proto/target.h"

#include <adit/cause.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROXYCLIENT_LOGIN_MAX = 255,
    PROXYCLIENT_OUT_MAX = 1280, /* CONNECT with the target twice and the login in base64 */
    PROXYCLIENT_HEAD_MAX = 8192,
};

enum proxyclient_state { PROXYCLIENT_TALKING, PROXYCLIENT_CONNECTED, PROXYCLIENT_FAILED };

enum proxyclient_step {
    PROXYCLIENT_CHOICE, /* SOCKS5: which way to log in */
    PROXYCLIENT_LOGIN,
    PROXYCLIENT_REPLY,
    PROXYCLIENT_ADDRESS, /* of the reply, all but its first byte */
    PROXYCLIENT_REST,    /* of the reply: a name that nobody needs */
    PROXYCLIENT_HEAD,    /* HTTP */
};

struct proxyclient {
    enum proxyclient_state state;
    enum proxyclient_step step;
    enum cause cause; /* FAILED */
    bool associate;
    struct target target;
    struct addr bound; /* CONNECTED: what the reply said; ADDR_NONE if that was a name, or HTTP */
    char login[PROXYCLIENT_LOGIN_MAX + 1]; /* "NAME:PASSWORD" or "" */
    uint8_t out[PROXYCLIENT_OUT_MAX];
    size_t out_len;
    uint8_t in[20]; /* the piece that is being read, or the start of the status line */
    size_t in_len, wants;
    size_t head_len;
    unsigned line_ends; /* HTTP: how far "\r\n\r\n" has come */
};

/* `login` as in httpproxy.h, at most PROXYCLIENT_LOGIN_MAX bytes. */
void proxyclient_init(struct proxyclient *c, bool socks5, const char *login,
                      const struct target *target);
/* SOCKS5's UDP ASSOCIATE: `bound` is then where datagrams are sent, as long as the connection
 * lives. */
void proxyclient_init_associate(struct proxyclient *c, const char *login);
/* Wipes the login. */
void proxyclient_deinit(struct proxyclient *c);
/* Moves what is to be sent to `out`, which has room for PROXYCLIENT_OUT_MAX. */
size_t proxyclient_output(struct proxyclient *c, uint8_t *out);
/* How many bytes it takes next; 0 when it is over. */
size_t proxyclient_wants(const struct proxyclient *c);
/* At most as many as it wants. */
void proxyclient_input(struct proxyclient *c, const uint8_t *data, size_t len);

#endif
