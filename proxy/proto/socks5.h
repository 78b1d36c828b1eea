/* SOCKS5 server side of one connection (RFC 1928): CONNECT, BIND and UDP ASSOCIATE, without
 * authentication or with user name and password (RFC 1929).
 *
 * A sans-I/O machine over bytes: any split of the input gives the same result, and greeting and
 * request may come in one piece. It never takes a byte that follows the request: those belong to
 * the tunnel (clients do send their TLS hello along).
 *
 *     socks5_input [until SOCKS5_LOGIN -> look at socks5_login -> socks5_authorize]
 *     until SOCKS5_REQUEST -> look at socks5_command and socks5_target, dial
 *     [BIND: socks5_bound, once somebody can connect] -> socks5_reply
 *     -> SOCKS5_OPEN (relay bytes) or SOCKS5_FAILED (close)
 *
 * Where no password is asked for, a client that offers nothing but a password (Firefox with a user
 * name set) is asked for it all the same, and so is every one that offers it if `name_wanted` is
 * set: its user name may say more than who it is.
 *
 * After every call send what socks5_output gives. In SOCKS5_FAILED close once that is sent.
 * A deadline for the whole negotiation is the caller's business.
 */
#ifndef PROTO_SOCKS5_H
#define PROTO_SOCKS5_H

#include "proto/target.h"

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 1928 section 6. */
enum socks5_rep {
    SOCKS5_REP_OK = 0,
    SOCKS5_REP_FAILURE = 1,
    SOCKS5_REP_NOT_ALLOWED = 2,
    SOCKS5_REP_NET_UNREACHABLE = 3,
    SOCKS5_REP_HOST_UNREACHABLE = 4,
    SOCKS5_REP_REFUSED = 5,
    SOCKS5_REP_TTL_EXPIRED = 6,
    SOCKS5_REP_BAD_COMMAND = 7,
    SOCKS5_REP_BAD_ADDRESS_TYPE = 8,
};

/* RFC 1928 section 4. */
enum socks5_command { SOCKS5_CONNECT = 1, SOCKS5_BIND = 2, SOCKS5_ASSOCIATE = 3 };

enum socks5_state {
    SOCKS5_GREETING, /* needs more input */
    SOCKS5_PASSWORD, /* the user name and password are awaited; needs more input */
    SOCKS5_LOGIN,    /* socks5_login is set; waits for socks5_authorize */
    SOCKS5_READING,  /* greeted and let in; needs more input */
    SOCKS5_REQUEST,  /* socks5_target is set; waits for socks5_reply */
    SOCKS5_OPEN,     /* success replied; all further bytes are the tunnel's */
    SOCKS5_FAILED,   /* refused or malformed: send the output, then close */
};

enum {
    SOCKS5_IN_MAX = 1 + 1 + 255 + 1 + 255, /* a password; the longest request is 262 */
    SOCKS5_REPLY_LEN = 10,                 /* with an IPv4 address */
    SOCKS5_REPLY_MAX = 22,                 /* with an IPv6 address */
    SOCKS5_OUT_MAX = 2 + 2 + 2 * SOCKS5_REPLY_MAX,
};

/* As the client sent them, not ended by NUL; empty ones are taken, since curl sends such. */
struct socks5_login {
    const char *user, *password;
    uint8_t user_len, password_len;
};

struct socks5 {
    enum socks5_state state;
    enum socks5_command command;
    bool password_needed;
    bool name_wanted; /* to be set after socks5_init */
    bool no_password; /* failed because the client had none to offer */
    uint16_t in_len;
    uint8_t out_len;
    uint8_t in[SOCKS5_IN_MAX];
    uint8_t out[SOCKS5_OUT_MAX];
    struct target target;
    const char *why; /* what was wrong, static text for the log; NULL if nothing */
};

/* `password_needed`: only clients that give a user name and a password are heard. */
void socks5_init(struct socks5 *s, bool password_needed);

/* Bytes taken, at most `len`; fewer once the request is complete or the state is final. */
size_t socks5_input(struct socks5 *s, const void *data, size_t len);
/* Moves up to `cap` bytes for the client into `out`; returns how many, 0 when there are none. */
size_t socks5_output(struct socks5 *s, void *out, size_t cap);

enum socks5_state socks5_state(const struct socks5 *s);
/* Valid from SOCKS5_REQUEST on. */
const struct target *socks5_target(const struct socks5 *s);
enum socks5_command socks5_command(const struct socks5 *s);
/* Why the state is SOCKS5_FAILED when the client was wrong, else NULL; static. */
const char *socks5_why(const struct socks5 *s);

/* What the client claims; only in SOCKS5_LOGIN. */
struct socks5_login socks5_login(const struct socks5 *s);
/* Whether that is right; only in SOCKS5_LOGIN. The password is wiped. */
void socks5_authorize(struct socks5 *s, bool right);

/* BIND's first reply: where it is listened. Only in SOCKS5_REQUEST, before socks5_reply, whose
 * `bound` is then the address of who connected. */
void socks5_bound(struct socks5 *s, const struct addr *at);
/* Answers the request; only in SOCKS5_REQUEST. To CONNECT always ATYP 1 and 10 bytes, since some
 * clients read just those. `bound` is the address that dialled (ASSOCIATE: that takes datagrams);
 * NULL, and to CONNECT an IPv6 address, is written as zeros. */
void socks5_reply(struct socks5 *s, enum socks5_rep rep, const struct addr *bound);

const char *socks5_state_name(enum socks5_state state);

#endif
