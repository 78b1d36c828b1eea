/* Where an application wants to go: a name or an address, and a port. A plain value.
 *
 * Text form: "example.org:80", "192.0.2.1:80", "[2001:db8::1]:80". The same text travels in the
 * session's OPEN frame, so format and parse are exact inverses of each other.
 *
 * A name is 1..255 bytes of visible ASCII without ":[]/%", without empty labels; one trailing dot
 * is dropped, and it is kept in lower case, so that two spellings of one name meet the same rule
 * of policy. What reads as an IP address becomes one, because some clients (Chromium) send every
 * host as a name, and so does what a resolver would take for one ("127.1", see proto/ipnumber.h);
 * v4-mapped IPv6 becomes IPv4.
 *
 * A unix socket has no port: "unix:/PATH", and before it is known whose, "NAME.peer:/PATH". Only
 * target_parse_unix reads one, so that no client of the front can name one.
 */
#ifndef PROTO_TARGET_H
#define PROTO_TARGET_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TARGET_NAME_MAX = 255,
    TARGET_PATH_MAX = 103, /* what every system's sockaddr_un holds */
    TARGET_TEXT_MAX = TARGET_NAME_MAX + 1 + TARGET_PATH_MAX + 1, /* with colon and end */
    TARGET_PEER_MAX = 63,                                        /* longest NAME of "NAME.peer" */
};

#define TARGET_UNIX "unix:"

enum target_kind { TARGET_NAME, TARGET_ADDRESS };

struct target {
    enum target_kind kind;
    uint16_t port;
    char name[TARGET_NAME_MAX + 1]; /* "" when it is an address */
    struct addr addr;               /* with the port; ADDR_NONE when it is a name */
    char path[TARGET_PATH_MAX + 1]; /* of a unix socket, or ""; then the name may be "" */
};

/* Bytes of a name as they came, not ended by NUL. 0 or ERR_MALFORMED; *t untouched on failure. */
int target_set_name(struct target *t, const char *name, size_t len, uint16_t port);
void target_set_addr(struct target *t, const struct addr *addr);

/* 0 or ERR_MALFORMED; *t untouched on failure. */
int target_parse(struct target *t, const char *text, size_t len);
/* "unix:/PATH": visible ASCII, from the root, without ".." in it; the same. */
int target_parse_unix(struct target *t, const char *text, size_t len);
/* The path alone. */
int target_set_path(struct target *t, const char *path);
/* Writes the text form and returns `out`. */
const char *target_format(const struct target *t, char out[TARGET_TEXT_MAX]);

bool target_equal(const struct target *a, const struct target *b);

/* True for the name "NAME.peer" in whatever case, NAME having no dot; NAME goes into `peer`. */
bool target_is_peer_name(const struct target *t, char peer[TARGET_PEER_MAX + 1]);

#endif
