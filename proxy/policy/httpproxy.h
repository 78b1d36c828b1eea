/* A proxy on the way: the HTTP proxy toward a relay, or the SOCKS5 or HTTP proxy behind the exit.
 * Its URL as the ini and the environment spell it, and the hosts that are not reached through it.
 */
#ifndef POLICY_HTTPPROXY_H
#define POLICY_HTTPPROXY_H

#include "policy/host.h"

#include <stdbool.h>
#include <stdint.h>

enum { HTTPPROXY_LOGIN_MAX = 255 };

struct httpproxy {
    char host[HOST_NAME_MAX_LEN + 1]; /* a name in lower case, or an IP without brackets */
    uint16_t port;
    bool socks5;                         /* else HTTP */
    char login[HTTPPROXY_LOGIN_MAX + 1]; /* "NAME:PASSWORD", escapes undone; "" = none */
};

/* "[http://][NAME:PASSWORD@]HOST[:PORT][/]", port 80 if not given. NULL, or what is wrong with it
 * (static, and never a part of the text, which may hold a password); then *out is untouched. */
const char *httpproxy_parse(struct httpproxy *out, const char *text);

/* The same, but the scheme is there, and may be socks5:// or socks5h:// (the same here) with port
 * 1080 if none is given. */
const char *httpproxy_parse_any(struct httpproxy *out, const char *text);

/* Does a no_proxy list name this host? Parted by commas or spaces: "*", a domain (itself and all
 * below, with or without a dot in front), an address, a prefix; each but the last may end in :PORT.
 * Loopback is always named. `host` is a name in lower case or an IP; `list` may be NULL. */
bool httpproxy_excepts(const char *list, const char *host, uint16_t port);

#endif
