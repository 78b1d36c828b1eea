/* SOCKS4 and 4a server side of one connection: CONNECT and BIND.
 *
 * A sans-I/O machine like proto/socks5.h: any split of the input gives the same result, and bytes
 * behind the request are never taken. 4a is told by an address 0.0.0.x with x other than 0: then a
 * name follows the user id. The user id proves nothing. BIND is answered twice: socks4_bound once
 * somebody can connect, socks4_reply when somebody has.
 *
 * Layouts: the SOCKS4 memo of Ying-Da Lee and its 4a extension.
 */
#ifndef PROTO_SOCKS4_H
#define PROTO_SOCKS4_H

#include "proto/target.h"

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum socks4_command { SOCKS4_CONNECT = 1, SOCKS4_BIND = 2 };

enum socks4_state {
    SOCKS4_READING, /* needs more input */
    SOCKS4_REQUEST, /* socks4_target is set; waits for socks4_reply */
    SOCKS4_OPEN,    /* success replied; all further bytes are the tunnel's */
    SOCKS4_FAILED,  /* refused or malformed: send the output, then close */
};

enum {
    SOCKS4_HEAD_LEN = 8, /* version, command, port, address */
    SOCKS4_USER_MAX = 255,
    SOCKS4_REPLY_LEN = 8,
};

struct socks4 {
    enum socks4_state state;
    bool in_name; /* 4a: the user id is over */
    uint8_t head[SOCKS4_HEAD_LEN];
    uint16_t head_len, user_len, name_len;
    char user[SOCKS4_USER_MAX];
    char name[TARGET_NAME_MAX + 1];
    uint8_t out[2 * SOCKS4_REPLY_LEN];
    uint8_t out_len;
    struct target target;
    const char *why; /* what was wrong, static; NULL if nothing */
};

void socks4_init(struct socks4 *s);

/* As the functions of the same name in proto/socks5.h. */
size_t socks4_input(struct socks4 *s, const void *data, size_t len);
size_t socks4_output(struct socks4 *s, void *out, size_t cap);
enum socks4_state socks4_state(const struct socks4 *s);
const struct target *socks4_target(const struct socks4 *s);
enum socks4_command socks4_command(const struct socks4 *s);
const char *socks4_why(const struct socks4 *s);

/* BIND's first reply: where it is listened. Only in SOCKS4_REQUEST, before socks4_reply, whose
 * `bound` is then the address of who connected. False if SOCKS4 has no words for the address,
 * which is not IPv4: nothing was said then. */
bool socks4_bound(struct socks4 *s, const struct addr *at);
/* Answers the request; only in SOCKS4_REQUEST. Always 8 bytes; `bound` NULL and IPv6 are zeros.
 * There is one code for every failure. */
void socks4_reply(struct socks4 *s, bool granted, const struct addr *bound);

const char *socks4_state_name(enum socks4_state state);

#endif
