/* The way through an HTTP proxy: CONNECT (RFC 9110 9.3.6) with Basic credentials (RFC 7617).
 *
 * A core: the owner carries the bytes. What a proxy answers is read up to the end of its header;
 * whatever stands behind it belongs to the target.
 */
#ifndef RELAY_PROXY_CONNECT_H
#define RELAY_PROXY_CONNECT_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROXY_CONNECT_REQUEST_MAX = 2048,
    PROXY_CONNECT_LOGIN_MAX = 511,
    PROXY_CONNECT_ANSWER_MAX = 16 << 10, /* bytes of header */
    PROXY_CONNECT_WHY_MAX = 128,
};

struct proxy_connect {
    http_parser http;
    size_t bytes;
    bool complete;
    bool with_login;
    char why[PROXY_CONNECT_WHY_MAX]; /* once it was refused */
};

/* Writes the request; `login` is NAME:PASSWORD or NULL. Its length, or ERR_TOO_LARGE. Whoever has
 * the text wipes it: the password stands in it. */
int proxy_connect_start(struct proxy_connect *p, const char *host, uint16_t port, const char *login,
                        char out[PROXY_CONNECT_REQUEST_MAX]);

/* Reads some of the answer. 1: through, and the first *used bytes were the proxy's; 0: there is
 * more to come; ERR_REFUSED or ERR_MALFORMED with p->why. */
int proxy_connect_input(struct proxy_connect *p, const void *data, size_t len, size_t *used);

#endif
