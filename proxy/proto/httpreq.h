/* What a request to an HTTP proxy asks for (RFC 9110 section 7.1, RFC 9112 section 3.2).
 *
 *   CONNECT host:port        a tunnel
 *   GET http://host/path     plain proxying (absolute form)
 *   GET /path                something of the proxy's own (origin form)
 */
#ifndef PROTO_HTTPREQ_H
#define PROTO_HTTPREQ_H

#include "proto/httpmsg.h"
#include "proto/target.h"

#include <stdbool.h>
#include <stddef.h>

enum httpreq_form { HTTPREQ_CONNECT, HTTPREQ_ABSOLUTE, HTTPREQ_ORIGIN };

enum { HTTPREQ_LOGIN_MAX = 512 };

/* Borrows from the message. */
struct httpreq {
    enum httpreq_form form;
    struct target target;          /* not for ORIGIN */
    struct httpmsg_text authority; /* ABSOLUTE: "host" or "host:port" as it came, without user */
    struct httpmsg_text path; /* ABSOLUTE, ORIGIN: with the query; may be empty or begin with ? */
    bool head;                /* the method is HEAD: an answer has no body */
    bool get;                 /* GET or HEAD */
    bool keep_alive;          /* the client would ask for more on this connection */
    bool upgrade;             /* it asks for another protocol, such as WebSocket */
};

/* NULL, or what is wrong with it (static). Only once the head is there. */
const char *httpreq_read(struct httpreq *r, const struct httpmsg *m);

/* User name and password out of Proxy-Authorization: Basic (RFC 7617); false if there are none
 * that can be read. `buf` holds them and is the caller's to wipe. */
struct httpreq_login {
    const char *user, *password;
    size_t user_len, password_len;
    char buf[HTTPREQ_LOGIN_MAX];
};

bool httpreq_login(struct httpreq_login *l, const struct httpmsg *m);

#endif
