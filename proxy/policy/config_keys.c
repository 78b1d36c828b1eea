#include "policy/config_keys.h"

#include "policy/config_internal.h"

#include <base/clock.h>

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S(name) .section = name
#define NODE(field) .offset = offsetof(struct config_node, field)
#define RELAY(field) .offset = offsetof(struct config_relay, field)
#define PEER(field) .offset = offsetof(struct config_peer, field)
#define FRONT(field) .offset = offsetof(struct config_front, field)
#define EXIT(field) .offset = offsetof(struct config_exit, field)
#define SERVER(field) .offset = offsetof(struct config_server, field)
#define LIMITS(field) .offset = offsetof(struct config_limits, field)
#define DAY (86400 * NS_PER_S)

const struct config_section config_sections[] = {
    {"node", false, true, "This machine.", offsetof(struct config, node)},
    {"relay", true, false, "A relay of this node: it listens on all of them.", 0},
    {"peer", true, false, "Another machine that is trusted, and what it may reach here.", 0},
    {"front", true, true, "Where applications connect to.", 0},
    {"route", false, true, "Which way connections of applications go.", 0},
    {"forward", false, true, "Ports of this machine that lead to one target each.", 0},
    {"serve", false, true, "Names that peers see for ports of this machine.", 0},
    {"exit", false, true, "How targets are reached from this machine.",
     offsetof(struct config, exit)},
    {"server", false, true, "The relay server, for `adit relay`.", offsetof(struct config, server)},
    {"limits", false, true, "Ceilings.", offsetof(struct config, limits)},
    {NULL, false, false, NULL, 0},
};

const struct config_key config_keys_table[] = {
    {S("node"), .name = "name", .type = CONFIG_NAME, .initial = "the host's name", .computed = true,
     .accepted = "letters, digits and -, up to 63",
     .help = "The name by which this machine invites others.", NODE(name)},
    {S("node"), .name = "key", .type = CONFIG_KEY_FILE, .initial = "adit.key",
     .accepted = "the path of a file", .help = "The file with this node's secret key.", NODE(key)},
    {S("node"), .name = "listen", .type = CONFIG_ADDR, .initial = "[::]:0",
     .accepted = "IP:PORT; port 0 lets the system choose",
     .help = "The UDP socket toward peers; [::] takes IPv4 as well.", NODE(listen)},
    {S("node"), .name = "stun", .type = CONFIG_ENDPOINTS, .list = true, .initial = "",
     .accepted = "HOST:PORT",
     .help = "STUN servers: they tell under which address the world sees this machine.",
     NODE(stun)},
    {S("node"), .name = "stun_derper", .type = CONFIG_ENDPOINTS, .list = true, .initial = "",
     .accepted = "HOST:PORT", .help = "The same, of a derper, which answers no other clients.",
     NODE(stun_derper)},
    {S("node"), .name = "punch", .type = CONFIG_YES_NO, .initial = "yes", .accepted = "yes, no",
     .help = "Whether to look for direct paths: peers are told this machine's addresses.",
     NODE(punch)},
    {S("node"), .name = "birthday", .type = CONFIG_YES_NO, .initial = "yes", .accepted = "yes, no",
     .help = "Whether to try many ports at once where one NAT is hard: up to 256 sockets.",
     NODE(birthday)},
    {S("node"), .name = "birthday_sockets", .type = CONFIG_NUMBER, .initial = "256", .least = 32,
     .most = 256, .accepted = "a number from 32 to 256",
     .help = "Sockets opened for that at once. Fewer take longer, and spare a small router.",
     NODE(birthday_sockets)},
    {S("node"), .name = "bench", .type = CONFIG_YES_NO, .initial = "no", .accepted = "yes, no",
     .help = "Whether peers may measure how fast data gets here and back, with `adit bench`.",
     NODE(bench)},
    {S("node"), .name = "portmap", .type = CONFIG_YES_NO, .initial = "yes", .accepted = "yes, no",
     .help = "Whether to ask the router for a port of its outside (PCP, NAT-PMP, UPnP).",
     NODE(portmap)},
    {S("node"), .name = "offload", .type = CONFIG_YES_NO, .initial = "yes", .accepted = "yes, no",
     .help = "Whether the system may split and join UDP packets, where it can.", NODE(offload)},
    {S("node"), .name = "workers", .type = CONFIG_NUMBER, .initial = "0", .least = 0, .most = 2,
     .accepted = "0, 1 or 2",
     .help = "Threads beside the main one, for more than two cores: 1 encrypts and sends, another "
             "decrypts.",
     NODE(workers)},
    {S("node"), .name = "spin", .type = CONFIG_YES_NO, .initial = "yes", .accepted = "yes, no",
     .help = "Whether to look for answers that come within 100 us instead of sleeping.",
     NODE(spin)},
    {S("node"), .name = "congestion", .type = CONFIG_CONGESTION, .initial = "bbr",
     .accepted = "bbr, cubic",
     .help = "Which congestion control decides how fast this machine sends to its peers.",
     NODE(congestion)},
    {S("node"), .name = "state", .type = CONFIG_PATH,
     .initial = "$XDG_STATE_HOME/adit or ~/.local/state/adit", .computed = true,
     .accepted = "the path of a folder", .help = "The folder for what must outlive a restart.",
     NODE(state)},
    {S("node"), .name = "control", .type = CONFIG_PATH, .initial = "control in the state folder",
     .computed = true, .accepted = "a path of at most 103 bytes",
     .help = "The unix socket through which commands talk to the running node.", NODE(control)},
    {S("node"), .name = "log", .type = CONFIG_LEVEL, .initial = "info",
     .accepted = "error, warn, info, debug, trace", .help = "How much is logged.", NODE(log)},
    {S("node"), .name = "resume_timeout", .type = CONFIG_DURATION, .initial = "24h",
     .least = NS_PER_S, .most = 30 * DAY,
     .accepted = "a duration from 1s to 30d, such as 90s, 15m, 24h",
     .help = "How long connections wait for a peer that cannot be reached.",
     NODE(resume_timeout_ns)},

    {S("relay"), .name = "url", .type = CONFIG_URL, .required = true, .initial = "",
     .accepted = "http, https, ws or wss://HOST[:PORT][/PATH]", .help = "Where the relay is.",
     RELAY(url)},
    {S("relay"), .name = "pin", .type = CONFIG_PINS, .list = true, .initial = "",
     .accepted = "sha256: and the SHA-256 of the certificate's public key, in base64 or hex",
     .help = "Trust a certificate with this key, whoever signed it, and no other.", RELAY(pins)},
    {S("relay"), .name = "proxy", .type = CONFIG_PROXY,
     .initial = "$https_proxy or $http_proxy, but not for $no_proxy", .computed = true,
     .accepted = "http://[NAME:PASSWORD@]HOST[:PORT] or none",
     .help = "The HTTP proxy through which the relay is reached.", RELAY(proxy)},

    {S("peer"), .name = "key", .type = CONFIG_KEY, .required = true, .initial = "",
     .accepted = "a public key: 43 characters of base64url, as `adit key show` prints it",
     .help = "The peer's public key.", PEER(key)},
    {S("peer"), .name = "psk", .type = CONFIG_KEY_FILE, .initial = "",
     .accepted = "the path of a file",
     .help = "A file with a secret that both sides share, on top of the keys.", PEER(psk)},
    {S("peer"), .name = "endpoint", .type = CONFIG_ENDPOINTS, .list = true, .initial = "",
     .accepted = "HOST:PORT", .help = "Where the peer may be reached directly.", PEER(endpoints)},
    {S("peer"), .name = "relay", .type = CONFIG_RELAYS, .list = true, .initial = "every [relay]",
     .computed = true, .accepted = "the NAME of a [relay NAME], or its URL as there",
     .help = "Where the peer listens.", PEER(relays)},
    {S("peer"), .name = "allow", .type = CONFIG_ALLOW, .list = true, .initial = "",
     .accepted =
         "any, IP, PREFIX or HOST, each with an optional :PORT or :PORT-PORT, or unix:/PATH",
     .help = "What the peer may reach through this machine; nothing if not given.", PEER(allow)},
    {S("peer"), .name = "bind", .type = CONFIG_YES_NO, .initial = "no", .accepted = "yes, no",
     .help = "Whether the peer may wait here for connections from what it may reach (BIND).",
     PEER(bind)},
    {S("peer"), .name = "streams_max", .type = CONFIG_NUMBER, .initial = "0", .least = 0,
     .most = 64 << 10, .accepted = "a number up to 64k; 0 = what streams_max of [limits] says",
     .help = "Connections and flows of datagrams that the peer may have here at once.",
     PEER(streams_max)},
    {S("peer"), .name = "streams_rate", .type = CONFIG_NUMBER, .initial = "0", .least = 0,
     .most = 1 << 20, .accepted = "a number up to 1M; 0 = no limit",
     .help = "New connections a second that the peer may ask for here.", PEER(streams_rate)},
    {S("peer"), .name = "flows_max", .type = CONFIG_NUMBER, .initial = "0", .least = 0,
     .most = 16 << 10, .accepted = "a number up to 16k; 0 = half of associations_max of [limits]",
     .help = "Flows of datagrams that the peer may have here at once.", PEER(flows_max)},

    {S("front"), .name = "listen", .type = CONFIG_LISTENS, .list = true,
     .initial = "127.0.0.1:1080",
     .accepted = "IP:PORT, a path with a / in it for a unix socket, or none",
     .help = "Where SOCKS and HTTP clients connect to.", FRONT(listen)},
    {S("front"), .name = "users", .type = CONFIG_KEY_FILE, .initial = "",
     .accepted = "the path of a file",
     .help = "A file with a NAME:PASSWORD in each line; then every IP:PORT asks for one.",
     FRONT(users)},
    {S("front"), .name = "exit", .type = CONFIG_WAY, .initial = "the default of [route]",
     .computed = true, .accepted = "peer NAME, direct or refuse",
     .help = "Where connections go that no line of [route] names.", FRONT(exit)},
    {S("front"), .name = "path", .type = CONFIG_PATH_POLICY, .initial = "any",
     .accepted = "any, direct-only or relay-only",
     .help = "Which paths to a peer connections may take.", FRONT(path)},
    {S("front"), .name = "commands", .type = CONFIG_COMMANDS, .list = true,
     .initial = "connect udp", .accepted = "connect, bind, udp",
     .help = "What clients may ask for; HTTP is connect.", FRONT(commands)},
    {S("front"), .name = "choose", .type = CONFIG_YES_NO, .initial = "yes", .accepted = "yes, no",
     .help = "Whether user names choose exit and path: NAME@PEER, NAME+relay-only.", FRONT(choose)},
    {S("front"), .name = "uids", .type = CONFIG_UIDS, .list = true, .initial = "",
     .accepted = "numbers of users, or any",
     .help = "Who may use the unix sockets, besides root and the node's own user.", FRONT(uids)},

    {S("route"), .name = "PATTERN", .type = CONFIG_ROUTE, .initial = "refuse",
     .accepted = "PATTERN = peer NAME, direct or refuse; PATTERN is a domain (itself and below) or "
                 "a prefix, each with an optional :PORT or :PORT-PORT, or :PORT alone, or default",
     .help = "The longest pattern that fits the target decides; NAME.peer always goes to the peer.",
     .offset = 0},

    {S("forward"), .name = "LISTEN", .type = CONFIG_FORWARD, .initial = "",
     .accepted = "LISTEN = PEER:PORT, HOST:PORT or PEER:/PATH; LISTEN is a loopback IP:PORT or a "
                 "path, or udp "
                 "and a loopback IP:PORT",
     .help = "Whoever connects to LISTEN gets there.", .offset = 0},

    {S("serve"), .name = "SERVICE", .type = CONFIG_SERVE, .initial = "",
     .accepted = "SERVICE[:PORT] = HOST:PORT or a path with a / in it, then the PEERs that may; "
                 "SERVICE is letters, digits and -",
     .help = "Peers reach it as SERVICE.NAME.peer, port 80 if none is given.", .offset = 0},

    {S("exit"), .name = "dial_timeout", .type = CONFIG_DURATION, .initial = "20s",
     .least = 100 * NS_PER_MS, .most = 600 * NS_PER_S,
     .accepted = "a duration from 100ms to 10m, such as 5s",
     .help = "How long a target may take, its name and all its addresses together.",
     EXIT(dial_timeout_ns)},
    {S("exit"), .name = "upstream", .type = CONFIG_UPSTREAM, .initial = "none",
     .accepted = "socks5://[NAME:PASSWORD@]HOST:PORT, http://[NAME:PASSWORD@]HOST:PORT, or none",
     .help = "The proxy through which targets of peers are reached, but those on this machine.",
     EXIT(upstream)},

    {S("server"), .name = "listen", .type = CONFIG_ADDRS, .list = true, .initial = "127.0.0.1:3340",
     .accepted = "IP:PORT", .help = "Where nodes connect to.", SERVER(listen)},
    {S("server"), .name = "listen_tls", .type = CONFIG_ADDRS, .list = true, .initial = "",
     .accepted = "IP:PORT", .help = "Where nodes connect to with TLS.", SERVER(listen_tls)},
    {S("server"), .name = "cert", .type = CONFIG_PATH, .initial = "",
     .accepted = "the path of a file",
     .help = "The file with the certificate for TLS and those above it (PEM).", SERVER(cert)},
    {S("server"), .name = "cert_key", .type = CONFIG_PATH, .initial = "",
     .accepted = "the path of a file", .help = "The file with the certificate's key (PEM).",
     SERVER(cert_key)},
    {S("server"), .name = "stun", .type = CONFIG_ADDRS, .list = true, .initial = "",
     .accepted = "IP:PORT, and a second one with another IP and another port",
     .help = "The UDP socket of a STUN server for nodes; a second one lets them measure their NAT.",
     SERVER(stun)},
    {S("server"), .name = "key", .type = CONFIG_KEY_FILE, .initial = "relay.key",
     .accepted = "the path of a file", .help = "The file with the relay's secret key.",
     SERVER(key)},
    {S("server"), .name = "allow", .type = CONFIG_KEYS, .list = true, .initial = "",
     .accepted = "public keys: 43 characters of base64url",
     .help = "The nodes that may use this relay.", SERVER(allow)},
    {S("server"), .name = "open", .type = CONFIG_YES_NO, .initial = "no", .accepted = "yes, no",
     .help = "Whether anybody may use this relay.", SERVER(open)},
    {S("server"), .name = "clients_max", .type = CONFIG_NUMBER, .initial = "1024", .least = 1,
     .most = 1 << 20, .accepted = "a number from 1 to 1M", .help = "Nodes connected at once.",
     SERVER(clients_max)},
    {S("server"), .name = "clients_per_address_max", .type = CONFIG_NUMBER, .initial = "64",
     .least = 1, .most = 1 << 20, .accepted = "a number from 1 to 1M",
     .help = "Nodes connected at once from one address.", SERVER(clients_per_address_max)},
    {S("server"), .name = "queue_packets", .type = CONFIG_NUMBER, .initial = "128", .least = 8,
     .most = 64 << 10, .accepted = "a number from 8 to 64k",
     .help = "Packets that wait for one node before the oldest is dropped.", SERVER(queue_packets)},
    {S("server"), .name = "rate", .type = CONFIG_NUMBER, .initial = "0", .least = 0,
     .most = UINT64_C(1) << 40, .accepted = "bytes per second, such as 512k or 4M; 0 = no limit",
     .help = "How much one node may send.", SERVER(rate)},
    {S("server"), .name = "burst", .type = CONFIG_NUMBER, .initial = "0", .least = 0,
     .most = UINT64_C(1) << 40, .accepted = "bytes, such as 512k or 4M; 0 = what a second brings",
     .help = "How much of that one node may send at once.", SERVER(burst)},
    {S("server"), .name = "metrics", .type = CONFIG_PREFIXES, .list = true, .initial = "",
     .accepted = "IP or PREFIX", .help = "Who may read /metrics, besides this machine itself.",
     SERVER(metrics)},
    {S("server"), .name = "cluster", .type = CONFIG_CLUSTER, .list = true, .initial = "",
     .accepted = "nats://[USER:PASSWORD@]HOST[:PORT] or tls://...",
     .help = "NATS servers by which this relay and others share their nodes, the nearest first.",
     SERVER(cluster)},
    {S("server"), .name = "cluster_credentials", .type = CONFIG_PATH, .initial = "",
     .accepted = "the path of a file", .help = "The file with this relay's NATS credentials.",
     SERVER(cluster_credentials)},
    {S("server"), .name = "cluster_ca", .type = CONFIG_PATH, .initial = "",
     .accepted = "the path of a file",
     .help = "The file with who signs the certificates of the NATS servers (PEM).",
     SERVER(cluster_ca)},
    {S("server"), .name = "cluster_secret", .type = CONFIG_KEY_FILE, .initial = "",
     .accepted = "the path of a file",
     .help = "The file with a secret by which the relays of a cluster know each other.",
     SERVER(cluster_secret)},
    {S("server"), .name = "drain", .type = CONFIG_DURATION, .initial = "2s", .least = 0,
     .most = 3600 * NS_PER_S, .accepted = "a duration up to 1h, such as 500ms, 5s",
     .help = "How long nodes have to go elsewhere when the relay is told to end.",
     SERVER(drain_ns)},

    {S("limits"), .name = "clients_max", .type = CONFIG_NUMBER, .initial = "16k", .least = 1,
     .most = 64 << 10, .accepted = "a number from 1 to 64k",
     .help = "Connections of applications at once.", LIMITS(clients_max)},
    {S("limits"), .name = "streams_max", .type = CONFIG_NUMBER, .initial = "16k", .least = 1,
     .most = 64 << 10, .accepted = "a number from 1 to 64k",
     .help = "Streams open at once in the session with one peer.", LIMITS(streams_max)},
    {S("limits"), .name = "peers_max", .type = CONFIG_NUMBER, .initial = "256", .least = 1,
     .most = CONFIG_PEERS_MAX, .accepted = "a number from 1 to 4k",
     .help = "Peers this node has room for.", LIMITS(peers_max)},
    {S("limits"), .name = "window", .type = CONFIG_NUMBER, .initial = "64M", .least = 64 << 10,
     .most = 1 << 30, .accepted = "bytes from 64k to 1G",
     .help = "Bytes that a session holds for one direction.", LIMITS(window)},
    {S("limits"), .name = "datagrams", .type = CONFIG_NUMBER, .initial = "1M", .least = 300 << 10,
     .most = 64 << 20, .accepted = "bytes from 300k to 64M",
     .help = "Bytes of UDP datagrams that wait in a session, for one direction.",
     LIMITS(datagrams)},
    {S("limits"), .name = "associations_max", .type = CONFIG_NUMBER, .initial = "256", .least = 1,
     .most = 16 << 10, .accepted = "a number from 1 to 16k",
     .help = "UDP associations of applications at once, and as many of peers.",
     LIMITS(associations_max)},
    {.name = NULL},
};

const struct config_section *config_find_section(const char *name)
{
    for (const struct config_section *s = config_sections; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

bool config_takes_any(const struct config_key *key)
{
    return key->type == CONFIG_ROUTE || key->type == CONFIG_FORWARD || key->type == CONFIG_SERVE;
}

const struct config_key *config_find_key(const struct config_section *section, const char *name)
{
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        if (strcmp(k->section, section->name) == 0 &&
            (config_takes_any(k) || strcmp(k->name, name) == 0)) {
            return k;
        }
    }
    return NULL;
}

_Static_assert(COUNT(config_keys_table) <= CONFIG_KEYS_MAX, "each key has its line");
_Static_assert(COUNT(config_sections) <= CONFIG_SECTIONS_MAX, "each section has its line");

unsigned *config_key_line(struct config_parser *p, const struct config_key *key)
{
    return &p->key_lines[key - config_keys_table];
}

unsigned *config_section_line(struct config_parser *p, const struct config_section *section)
{
    return &p->section_lines[section - config_sections];
}

void config_forget_keys(struct config_parser *p, const struct config_section *section)
{
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        if (strcmp(k->section, section->name) == 0) {
            *config_key_line(p, k) = 0;
        }
    }
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's edit distance, one row at a time. Both texts shorter than CONFIG_LABEL_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t row[CONFIG_LABEL_MAX];
    size_t len = strlen(b);
    for (size_t k = 0; k <= len; k++) {
        row[k] = k;
    }
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < len; k++) {
            size_t above = row[k + 1];
            row[k + 1] = min3(above + 1, row[k] + 1, diagonal + (a[i] != b[k]));
            diagonal = above;
        }
    }
    return row[len];
}

bool config_is_near(const char *a, const char *b)
{
    size_t shorter = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    bool fits = strlen(a) < CONFIG_LABEL_MAX && strlen(b) < CONFIG_LABEL_MAX;
    return fits && shorter > 0 && distance(a, b) <= (shorter < 4 ? 1 : 2);
}

/* Adds ", word" to a list in `out`; what does not fit is left out. */
static void append(char *out, size_t cap, const char *word)
{
    size_t len = strlen(out);
    (void)snprintf(out + len, cap - len, "%s%s", len > 0 ? ", " : "", word);
}

static void fail_unknown(struct config_parser *p, const char *what, const char *near,
                         const char *all)
{
    config_fail(p, "unknown %s%s%s%s; accepted: %s", what, near ? ", did you mean \"" : "",
                near ? near : "", near ? "\"?" : "", all);
}

void config_fail_section(struct config_parser *p, const char *name)
{
    char all[256] = "";
    const char *near = NULL;
    for (const struct config_section *s = config_sections; s->name; s++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "[%s%s]", s->name, s->named ? " NAME" : "");
        append(all, sizeof(all), text);
        near = !near && config_is_near(name, s->name) ? s->name : near;
    }
    fail_unknown(p, "section", near, all);
}

void config_fail_key(struct config_parser *p, const char *name)
{
    char all[256] = "";
    const char *near = NULL;
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        if (strcmp(k->section, p->section->name) == 0) {
            append(all, sizeof(all), k->name);
            near = !near && config_is_near(name, k->name) ? k->name : near;
        }
    }
    fail_unknown(p, "key", near, all);
}
