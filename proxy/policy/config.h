/* adit.ini: text in, struct config or a list of errors out. No file is touched here.
 *
 * One table (policy/config_keys.h) describes every section and key; the parser, the error messages,
 * `adit check` and the test of conf/example.ini all read it.
 *
 * Syntax: [section] or [section NAME], key = value. A # or ; at the start of a line or after white
 * space begins a comment. A key whose value is a list may be repeated, and takes several values
 * in one line, parted by commas or spaces; any other key or section that comes twice is an error.
 * Paths are relative to the ini's folder; "~/" is config_env's home.
 *
 * Numbers take k, M, G (powers of 1024); durations ms, s, m, h, d.
 */
#ifndef POLICY_CONFIG_H
#define POLICY_CONFIG_H

#include "policy/acl.h"
#include "policy/httpproxy.h"
#include "proto/target.h"

#include <base/addr.h>
#include <base/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONFIG_NAME_MAX = 63,
    CONFIG_HOST_MAX = 255,
    CONFIG_URL_PATH_MAX = 127,
    CONFIG_URL_TEXT_MAX = CONFIG_HOST_MAX + CONFIG_URL_PATH_MAX + 24,
    CONFIG_SOCKET_PATH_MAX = 103, /* what every system's sockaddr_un holds */
    CONFIG_PUBLIC_KEY_LEN = 32,
    CONFIG_PIN_LEN = 32,
    CONFIG_PINS_MAX = 4, /* of one relay: the key of today and that of tomorrow */
    CONFIG_TEXT_MAX = 1 << 20,
    CONFIG_LIST_MAX = 256, /* values of one key; lines of [route], [forward], [serve] */
    CONFIG_FRONTS_MAX = 64,
    CONFIG_RELAYS_MAX = 16, /* [relay]s, and those of one peer */
    CONFIG_PEERS_MAX = 4096,
    CONFIG_ERRORS_MAX = 32,
};

/* What the system decides and the core cannot ask for; all borrowed during config_parse. A NULL
 * leaves the value empty: paths NULL, names "". */
struct config_env {
    const char *name;    /* [node] name: the host's name */
    const char *state;   /* [node] state: $XDG_STATE_HOME/adit or ~/.local/state/adit */
    const char *control; /* [node] control: NULL = "control" in the state folder */
    const char *home;    /* for "~/" */
};

struct config_public_key {
    uint8_t bytes[CONFIG_PUBLIC_KEY_LEN];
};

struct config_addrs {
    struct addr *items;
    size_t count;
};

struct config_prefixes {
    struct prefix *items;
    size_t count;
};

struct config_public_keys {
    struct config_public_key *items;
    size_t count;
};

struct config_endpoint {
    char host[CONFIG_HOST_MAX + 1]; /* a name in lower case, or an IP without brackets */
    uint16_t port;
};

struct config_endpoints {
    struct config_endpoint *items;
    size_t count;
};

/* http, https, ws or wss://HOST[:PORT][/PATH] */
struct config_url {
    char host[CONFIG_HOST_MAX + 1]; /* as in config_endpoint */
    uint16_t port;                  /* 80 or 443 if not given */
    bool tls, websocket;
    char path[CONFIG_URL_PATH_MAX + 1]; /* "/derp" if not given */
};

/* SHA-256 of a certificate's public key (SubjectPublicKeyInfo). */
struct config_pin {
    uint8_t bytes[CONFIG_PIN_LEN];
};

struct config_pins {
    struct config_pin *items;
    size_t count;
};

enum config_proxy_kind {
    CONFIG_PROXY_ENVIRONMENT, /* nothing is said: what the environment names */
    CONFIG_PROXY_NONE,
    CONFIG_PROXY_GIVEN,
};

struct config_proxy {
    enum config_proxy_kind kind;
    struct httpproxy *at; /* GIVEN */
};

/* A [relay NAME], or one named by URL in a [peer]: then the name is "". What is behind pointers
 * belongs to the [relay]; the entries of peers have none. */
struct config_relay {
    char name[CONFIG_NAME_MAX + 1];
    struct config_url url;
    struct config_pins pins;
    struct config_proxy proxy;
    unsigned line;
};

struct config_relays {
    struct config_relay *items;
    size_t count;
};

/* A file with a key in it; the line is for who finds that it cannot be read. */
struct config_key_file {
    char *path;    /* NULL = none */
    unsigned line; /* 0 = the default */
};

enum config_congestion { CONFIG_CONGESTION_BBR, CONFIG_CONGESTION_CUBIC };

struct config_node {
    char name[CONFIG_NAME_MAX + 1];
    struct config_key_file key; /* the secret key */
    struct addr listen;
    struct config_endpoints stun;        /* servers to be asked in the usual form */
    struct config_endpoints stun_derper; /* in the form that a derper answers */
    bool punch;
    bool birthday;
    uint64_t birthday_sockets;
    bool bench;
    bool portmap;
    bool offload;
    bool spin;
    uint64_t workers;
    enum config_congestion congestion;
    char *state;
    char *control;
    enum log_level log;
    uint64_t resume_timeout_ns;
    unsigned line; /* of [node]; 0 = there is none */
};

struct config_peer {
    char name[CONFIG_NAME_MAX + 1];
    struct config_public_key key;
    struct config_key_file psk;
    struct config_endpoints endpoints;
    struct config_relays relays; /* names replaced by their URL; all [relay]s if none was given */
    struct acl allow;
    bool bind;             /* it may wait here for connections */
    uint64_t streams_max;  /* its connections at once at this exit, 0 = no ceiling of its own */
    uint64_t streams_rate; /* new ones a second, 0 = no limit */
    uint64_t flows_max;    /* flows of datagrams, which are streams, too; 0 = the exit's default */
    unsigned line;
};

/* Where applications connect to: TCP, or a unix socket that only its user may open. */
struct config_listen {
    struct addr addr;                      /* family ADDR_NONE: a unix socket */
    char path[CONFIG_SOCKET_PATH_MAX + 1]; /* "" when it is TCP or UDP */
    bool udp;                              /* [forward] only: datagrams, at addr */
    unsigned line;
};

struct config_listens {
    struct config_listen *items;
    size_t count;
};

enum config_route_kind { ROUTE_REFUSE, ROUTE_DIRECT, ROUTE_PEER };

/* One line of [route], see policy/route.h; or the `exit` of a [front]. */
struct config_route {
    char suffix[CONFIG_HOST_MAX + 1]; /* "corp.example"; "" when it is a prefix or any host */
    struct prefix prefix;             /* family ADDR_NONE when it is a suffix or any host */
    uint16_t port_min, port_max;      /* 0..65535 without a port in the pattern */
    enum config_route_kind kind;
    size_t peer; /* ROUTE_PEER: index into peers */
    char peer_name[CONFIG_NAME_MAX + 1];
    unsigned line; /* 0: an `exit` that is not given */
};

/* Which paths of the session with a peer a connection may take. */
enum config_path { PATH_ANY, PATH_DIRECT_ONLY, PATH_RELAY_ONLY };

/* What clients may ask for. HTTP is COMMAND_CONNECT. */
enum config_command { COMMAND_CONNECT = 1, COMMAND_BIND = 2, COMMAND_UDP = 4 };

struct config_uids {
    uint32_t *items;
    size_t count;
    bool any;
};

/* How this node reaches targets for peers, and the front those that are `direct`. */
struct config_exit {
    uint64_t dial_timeout_ns;
    struct config_proxy upstream; /* for peers; NONE or GIVEN */
};

/* [front], and each [front NAME]: where applications connect to, and what goes for them. */
struct config_front {
    char name[CONFIG_NAME_MAX + 1]; /* "" = [front] itself */
    struct config_listens listen;   /* may be empty: no front; loopback only without users */
    struct config_key_file users;   /* the file with names and passwords */
    struct config_route exit;       /* takes the place of [route] default */
    enum config_path path;
    unsigned commands;       /* of enum config_command */
    bool choose;             /* user names may choose exit and path */
    struct config_uids uids; /* of whom may use the unix sockets, besides root and our own */
    unsigned line;
};

/* One line of [forward]: whoever connects to `listen` gets to `target`. */
struct config_forward {
    struct config_listen listen;
    struct target target;
};

/* One line of [serve]: SERVICE.NAME.peer:PORT, NAME being this node, is the target. */
struct config_serve {
    char name[CONFIG_NAME_MAX + 1];
    uint16_t port;
    struct target target;                  /* TCP; looked at only if there is no path */
    char path[CONFIG_SOCKET_PATH_MAX + 1]; /* of a unix socket, or "" */
    char *peers_text;                      /* their names, as they stand there */
    size_t *peers;                         /* who may: indices; NULL = every peer */
    size_t peers_count;
    unsigned line;
};

/* URLs of NATS servers, as they stand in the ini. */
struct config_cluster {
    char **items;
    size_t count;
};

/* `adit relay`. */
struct config_server {
    bool given; /* the section is there */
    struct config_addrs listen;
    struct config_addrs listen_tls;
    char *cert;                 /* PEM file; NULL = none */
    char *cert_key;             /* NULL = none */
    struct config_addrs stun;   /* empty: no STUN server; at most two of each family */
    struct config_key_file key; /* the relay's secret key */
    struct config_public_keys allow;
    bool open; /* any key is admitted */
    uint64_t clients_max;
    uint64_t clients_per_address_max;
    uint64_t queue_packets;
    uint64_t rate;  /* bytes per second and client, 0 = no limit */
    uint64_t burst; /* bytes, 0 = a second's worth */
    struct config_prefixes metrics;
    struct config_cluster cluster;         /* empty: the relay is alone */
    char *cluster_credentials;             /* NULL = none */
    char *cluster_ca;                      /* NULL = whom the system trusts */
    struct config_key_file cluster_secret; /* no path: none */
    uint64_t drain_ns;
};

struct config_limits {
    uint64_t clients_max; /* applications connected at the front at once */
    uint64_t streams_max; /* open at once in one session */
    uint64_t peers_max;
    uint64_t window;           /* bytes a session may hold for one direction */
    uint64_t datagrams;        /* the same, of datagrams */
    uint64_t associations_max; /* UDP associations at once, and as many flows of peers */
};

struct config {
    struct config_node node;
    struct config_front *fronts; /* [front] first, whether it is there or not */
    size_t fronts_count;
    struct config_exit exit;
    struct config_server server;
    struct config_limits limits;
    struct config_relays relays;
    struct config_peer *peers;
    size_t peers_count;
    struct config_route *routes;
    size_t routes_count;
    struct config_forward *forwards;
    size_t forwards_count;
    struct config_serve *serves;
    size_t serves_count;
    /* What may go out from this machine itself, where the route is `direct`: everything but the
     * guarded blocks, and of these what a `direct` line names (169.254.1.0/24 = direct). */
    struct acl direct;
};

struct config_error {
    unsigned line;    /* 0 = the file as a whole */
    char section[64]; /* "peer home", may be "" */
    char key[64];     /* may be "" */
    char text[384];
};

/* The first errors in the order of their lines as far as one pass finds them. */
struct config_errors {
    const char *file; /* borrowed from config_parse */
    struct config_error items[CONFIG_ERRORS_MAX];
    size_t count;
    size_t dropped; /* errors past the ceiling */
};

/* `file` is the name for messages and the start of relative paths; `text` need not end with NUL.
 * 0 and *out to be freed with config_free, or ERR_MALFORMED with errors, or ERR_NO_MEMORY; *out is
 * NULL then. `errors` is set up by the call. */
int config_parse(struct config **out, const char *file, const char *text, size_t len,
                 const struct config_env *env, struct config_errors *errors);
void config_free(struct config *config);

/* "FILE:LINE: [section] key: text", cut to `cap`; returns `out`. */
const char *config_error_format(const struct config_errors *errors, size_t index, char *out,
                                size_t cap);

enum { CONFIG_PASSWORD_PLACE = CONFIG_NAME_MAX + 32 };
/* Where a password stands in the ini itself, "[relay main] proxy": in `out` or static. NULL: there
 * is none. */
const char *config_find_password(const struct config *config, char out[CONFIG_PASSWORD_PLACE]);

/* LISTEN of [forward]: a loopback IP:PORT, or a path with a '/' in it, as it is; before either a
 * "udp " for datagrams, which take no path. NULL, or what is wrong with it (static). */
const char *config_parse_listen(struct config_listen *listen, const char *text);
/* TARGET of [forward]: HOST:PORT; a peer's bare name becomes NAME.peer; PEER:/PATH is a unix socket
 * there. The same. */
const char *config_parse_forward(struct target *target, const struct config *config,
                                 const char *text);

/* NAME[:PORT] and TARGET [PEER...] of [serve]; the same. After success, and only then, to be ended
 * with config_serve_free. "out of memory" is one of the texts. */
const char *config_parse_serve(struct config_serve *serve, const struct config *config,
                               const char *name, const char *value);
void config_serve_free(struct config_serve *serve);

/* May this user open the unix sockets? Root and `own`, the node's own user, always. */
bool config_uid_is_welcome(const struct config_uids *uids, uint32_t uid, uint32_t own);
/* "any", "direct-only", "relay-only". */
bool config_parse_path(enum config_path *path, const char *text, size_t len);

/* A name of a node, peer or relay: letters, digits, '-'; lower case into `out`. */
bool config_set_name(char out[CONFIG_NAME_MAX + 1], const char *text);
/* The URL of a relay. NULL, or what is wrong with it (static). */
const char *config_parse_url(struct config_url *url, const char *text);
/* As config_parse_url reads it, with what could be left out left out. Returns `out`. */
const char *config_format_url(const struct config_url *url, char out[CONFIG_URL_TEXT_MAX]);
/* "sha256:" and base64 or hex. */
bool config_parse_pin(struct config_pin *pin, const char *text);

/* `default`, and nothing else. */
bool config_route_is_default(const struct config_route *route);

/* NULL if there is none; any case. */
const struct config_peer *config_find_peer(const struct config *config, const char *name);

#endif
