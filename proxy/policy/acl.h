/* What a peer may reach through this node: a list of `allow` entries, empty = nothing.
 *
 * Entries: "unix:/PATH", one unix socket; "any", an IP, a prefix or a host name, each with an
 * optional ":PORT" or ":PORT-PORT"
 * ("127.0.0.1:8080", "10.0.0.0/8:22", "any:443", "localhost:8080-8090", "[::1]:80"). Without a
 * port the entry holds for all ports.
 *
 * The decision falls on the address about to be dialled, after the name was resolved here; a name
 * alone proves nothing (DNS rebinding). The address is brought to its real meaning first:
 * v4-mapped, v4-compatible and NAT64 (64:ff9b::/96, RFC 6052) addresses are the IPv4 address
 * inside; 0.0.0.0/8 and :: are loopback, since that is where the system connects them to.
 *
 *   any      everything but the guarded blocks and unix sockets
 *   prefix   the addresses in it; of a guarded block only if the entry lies inside that block,
 *            so 169.254.0.0/16 opens link-local and 0.0.0.0/0 does not
 *   name     every address the requested name resolved to, if it is spelled the same, but the
 *            guarded blocks and loopback; only the names "localhost" and "*.localhost"
 *            (RFC 6761) may mean loopback, because their owner wrote just that
 *
 * Guarded blocks: link-local (169.254.0.0/16, fe80::/10: also most clouds' metadata service,
 * 169.254.169.254) and the metadata services that live elsewhere: fd00:ec2::/32 (Amazon),
 * fd20:ce::254 (Google), fd00:c1::a9fe:a9fe and 192.0.0.192 (Oracle), fd00:42::42 (Scaleway),
 * 100.100.100.200 (Alibaba), 168.63.129.16 (Azure).
 *
 * The list of the front for targets that go out from this machine is one of these, too: see
 * struct config.
 */
#ifndef POLICY_ACL_H
#define POLICY_ACL_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ACL_NAME_MAX = 255,
    ACL_RULES_MAX = 256,
};

enum acl_kind { ACL_ANY, ACL_PREFIX, ACL_NAME, ACL_UNIX };

struct acl_rule {
    enum acl_kind kind;
    uint16_t port_min; /* 0..65535 without a port in the text */
    uint16_t port_max;
    struct prefix prefix;
    char name[ACL_NAME_MAX + 1]; /* lower case; of a unix socket the path */
};

struct acl {
    struct acl_rule *rules; /* owned */
    size_t count;
};

/* One entry. 0, or ERR_MALFORMED with *why set to a static text; *rule untouched then. */
int acl_parse_rule(struct acl_rule *rule, const char *text, const char **why);
/* Adds a copy of the rule. 0, ERR_NO_ROOM past ACL_RULES_MAX, ERR_NO_MEMORY. */
int acl_add(struct acl *acl, const struct acl_rule *rule);
/* Frees the rules; the list is empty then. */
void acl_deinit(struct acl *acl);

/* May `dialled` be connected to on `port`? `name` is what was asked for, NULL if an address was.
 * The port in `dialled` is not looked at. */
bool acl_allows(const struct acl *acl, const struct addr *dialled, uint16_t port, const char *name);

/* Is just this address with just this port listed ("127.0.0.1:1080")? That much is asked for what
 * nobody means by a wider entry: this node's own listeners. */
bool acl_names(const struct acl *acl, const struct addr *dialled, uint16_t port);

/* The same where somebody else resolves the name: `any`, or this very name; none that means
 * loopback here. */
bool acl_allows_name(const struct acl *acl, const char *name, uint16_t port);
/* Is this unix socket listed? */
bool acl_allows_unix(const struct acl *acl, const char *path);

/* Can acl_allows still say yes for this name, whatever it resolves to? False saves the lookup,
 * and keeps a peer that may reach nothing from using us as its resolver. */
bool acl_could_allow(const struct acl *acl, const char *name, uint16_t port);

/* The address as policy sees it (see above); the port stays. */
struct addr acl_normalize(const struct addr *a);
/* A prefix that acl_normalize moves elsewhere as a whole: it would never match. */
bool acl_is_alias(const struct prefix *p);

#endif
