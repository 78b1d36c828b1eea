#include "policy/config.h"
#include "policy/config_keys.h"

#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define PEER_A "[peer home]\nkey = " KEY_A "\n"

static const struct config_env env = {
    .name = "laptop", .state = "/state", .control = NULL, .home = "/somewhere"};

static struct config *parse_ok(const char *text)
{
    struct config *config = NULL;
    struct config_errors errors;
    int err = config_parse(&config, "/etc/adit/adit.ini", text, strlen(text), &env, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        char line[512];
        print_error("%s\n", config_error_format(&errors, i, line, sizeof(line)));
    }
    assert_int_equal(err, 0);
    assert_int_equal(errors.count, 0);
    return config;
}

/* The text has exactly one error, and its message is this. */
static void parse_bad(const char *text, const char *message)
{
    struct config *config = NULL;
    struct config_errors errors;
    char line[1024];
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &env, &errors),
                     ERR_MALFORMED);
    assert_null(config);
    assert_true(errors.count > 0);
    assert_string_equal(config_error_format(&errors, 0, line, sizeof(line)), message);
    assert_int_equal(errors.count, 1);
}

/* The same, but only a part of the message is looked for. */
static void parse_bad_part(const char *text, const char *part)
{
    struct config *config = NULL;
    struct config_errors errors;
    char line[1024];
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &env, &errors),
                     ERR_MALFORMED);
    assert_int_equal(errors.count, 1);
    config_error_format(&errors, 0, line, sizeof(line));
    if (!strstr(line, part)) {
        fail_msg("\"%s\" is not in: %s", part, line);
    }
}

static void assert_addr(const struct addr *a, const char *text)
{
    char out[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(a, out), text);
}

static void empty_text_gives_the_defaults(void **state)
{
    (void)state;
    struct config *c = parse_ok("");
    assert_string_equal(c->node.name, "laptop");
    assert_string_equal(c->node.key, "/etc/adit/adit.key");
    assert_string_equal(c->node.state, "/state");
    assert_string_equal(c->node.control, "/state/control");
    assert_addr(&c->node.listen, "[::]:0");
    assert_int_equal(c->node.log, LOG_INFO);
    assert_true(c->node.resume_timeout_ns == 86400 * NS_PER_S);
    assert_int_equal(c->front.listen.count, 1);
    assert_addr(&c->front.listen.items[0], "127.0.0.1:1080");
    assert_int_equal(c->peers_count + c->relays.count + c->routes_count, 0);
    assert_false(c->server.given);
    assert_false(c->server.open);
    assert_addr(&c->server.listen.items[0], "127.0.0.1:3340");
    assert_string_equal(c->server.key, "/etc/adit/relay.key");
    assert_int_equal(c->limits.window, 16 << 20);
    config_free(c);
}

static void node_values(void **state)
{
    (void)state;
    struct config *c = parse_ok("[node]\nname = Big-Box1\nkey = /k\nlisten = 0.0.0.0:41741\n"
                                "state = st\ncontrol = ~/c\nlog = trace\nresume_timeout = 90s\n");
    assert_string_equal(c->node.name, "big-box1");
    assert_string_equal(c->node.key, "/k");
    assert_addr(&c->node.listen, "0.0.0.0:41741");
    assert_string_equal(c->node.state, "/etc/adit/st");
    assert_string_equal(c->node.control, "/somewhere/c");
    assert_int_equal(c->node.log, LOG_TRACE);
    assert_true(c->node.resume_timeout_ns == 90 * NS_PER_S);
    config_free(c);
}

static void peer_values(void **state)
{
    (void)state;
    struct config *c = parse_ok(
        "[peer Home]\nkey = " KEY_B "\npsk = home.psk\n"
        "endpoint = Home.Example:41741, 192.0.2.1:1 [2001:DB8::1]:2\n"
        "relay = main, http://[::1]:3340/x\nallow = any:443\nallow = 10.0.0.0/8:22,localhost\n"
        "[relay main]\nurl = http://relay.example\n");
    const struct config_peer *p = config_find_peer(c, "HOME");
    assert_non_null(p);
    assert_string_equal(p->name, "home");
    for (size_t i = 0; i < CONFIG_PUBLIC_KEY_LEN; i++) {
        assert_int_equal(p->key.bytes[i], 32 + i);
    }
    assert_string_equal(p->psk, "/etc/adit/home.psk");
    assert_int_equal(p->endpoints.count, 3);
    assert_string_equal(p->endpoints.items[0].host, "home.example");
    assert_int_equal(p->endpoints.items[0].port, 41741);
    assert_string_equal(p->endpoints.items[2].host, "2001:db8::1");
    assert_int_equal(p->endpoints.items[2].port, 2);
    assert_int_equal(p->relays.count, 2);
    assert_string_equal(p->relays.items[0].url.host, "relay.example");
    assert_int_equal(p->relays.items[0].url.port, 80);
    assert_string_equal(p->relays.items[0].url.path, "/derp");
    assert_string_equal(p->relays.items[1].url.host, "::1");
    assert_int_equal(p->relays.items[1].url.port, 3340);
    assert_string_equal(p->relays.items[1].url.path, "/x");
    assert_int_equal(p->allow.count, 3);
    assert_null(config_find_peer(c, "hom"));
    config_free(c);
}

static void peer_without_relay_is_looked_for_on_all(void **state)
{
    (void)state;
    struct config *c =
        parse_ok(PEER_A "[relay a]\nurl=http://a.example\n[relay b]\nurl=http://b.example:1\n");
    assert_int_equal(c->peers[0].relays.count, 2);
    assert_string_equal(c->peers[0].relays.items[1].url.host, "b.example");
    config_free(c);
}

static void routes(void **state)
{
    (void)state;
    struct config *c = parse_ok("[route]\n.Corp.example = peer HOME\nfd00:1::/32 = direct\n"
                                "10.0.0.1 = refuse\ndefault = peer home\n" PEER_A);
    assert_int_equal(c->routes_count, 4);
    assert_string_equal(c->routes[0].suffix, "corp.example");
    assert_int_equal(c->routes[0].kind, ROUTE_PEER);
    assert_int_equal(c->routes[1].prefix.bits, 32);
    assert_int_equal(c->routes[1].prefix.base.family, ADDR_IPV6);
    assert_int_equal(c->routes[1].kind, ROUTE_DIRECT);
    assert_int_equal(c->routes[2].prefix.bits, 32);
    assert_int_equal(c->routes[2].kind, ROUTE_REFUSE);
    assert_int_equal(c->routes[3].prefix.base.family, ADDR_NONE);
    config_free(c);
}

static void server_and_limits(void **state)
{
    (void)state;
    struct config *c = parse_ok(
        "[server]\nlisten = 0.0.0.0:80, [::]:80\nkey = r.key\nallow = " KEY_A "\nallow = " KEY_B
        "\nopen = yes\nclients_max = 2k\nclients_per_address_max = 3\nqueue_packets = 32\n"
        "rate = 4M\n[limits]\nclients_max = 5\nstreams_max = 6\npeers_max = 7\nwindow = 1G\n");
    assert_true(c->server.given && c->server.open);
    assert_int_equal(c->server.listen.count, 2);
    assert_int_equal(c->server.allow.count, 2);
    assert_int_equal(c->server.allow.items[1].bytes[0], 32);
    assert_int_equal(c->server.clients_max, 2048);
    assert_int_equal(c->server.clients_per_address_max, 3);
    assert_int_equal(c->server.queue_packets, 32);
    assert_int_equal(c->server.rate, 4 << 20);
    assert_int_equal(c->limits.clients_max, 5);
    assert_int_equal(c->limits.streams_max, 6);
    assert_int_equal(c->limits.peers_max, 7);
    assert_int_equal(c->limits.window, 1 << 30);
    config_free(c);
}

static void comments_spaces_and_line_ends(void **state)
{
    (void)state;
    struct config *c = parse_ok("\xef\xbb\xbf  [node]   ; the machine\r\n"
                                "  # name = other\r\n"
                                "\tname=box # here\r\n"
                                "   key  =  a#b;c d.key\t; a path\r\n"
                                "\r\n"
                                ";[bogus]\r\n"
                                "[ peer   home ]\n"
                                "key = " KEY_A);
    assert_string_equal(c->node.name, "box");
    assert_string_equal(c->node.key, "/etc/adit/a#b;c d.key");
    assert_int_equal(c->peers_count, 1);
    config_free(c);
}

static void front_takes_only_loopback(void **state)
{
    (void)state;
    struct config *c = parse_ok("[front]\nlisten = 127.0.0.2:0, [::1]:1080\n");
    assert_int_equal(c->front.listen.count, 2);
    config_free(c);
    c = parse_ok("[front]\nlisten = none\n");
    assert_int_equal(c->front.listen.count, 0);
    config_free(c);
    parse_bad("[front]\nlisten = 0.0.0.0:1080\n",
              "f.ini:2: [front] listen: \"0.0.0.0:1080\" is not loopback: others could use the "
              "proxy, and passwords are not supported yet; accepted: IP:PORT with a loopback IP, "
              "or none");
    parse_bad_part("[front]\nlisten = [::ffff:10.0.0.1]:1080\n", "is not loopback");
    parse_bad_part("[front]\nlisten = localhost:1080\n", "is no IP:PORT");
    parse_bad_part("[front]\nlisten = 127.0.0.1:1 127.0.0.1:1\n", "is there twice");
}

static void messages_name_file_line_section_and_key(void **state)
{
    (void)state;
    parse_bad("\n# x\n[node]\nlog = loud\n",
              "f.ini:4: [node] log: \"loud\" is no level; accepted: error, warn, info, debug, "
              "trace");
    parse_bad("[relay main]\n\n", "f.ini:1: [relay main] url: is missing; accepted: "
                                  "http://HOST[:PORT][/PATH]");
    parse_bad("name = x\n", "f.ini:1: stands in no section");
}

static void unknown_names_bring_the_nearest_one(void **state)
{
    (void)state;
    parse_bad("[nod]\nname = x\n",
              "f.ini:1: [nod]: unknown section, did you mean \"node\"?; accepted: [node], "
              "[relay NAME], [peer NAME], [front], [route], [server], [limits]");
    parse_bad("[front]\nlisen = 127.0.0.1:1\n",
              "f.ini:2: [front] lisen: unknown key, did you mean \"listen\"?; accepted: listen");
    parse_bad("[front]\ncolour = red\n", "f.ini:2: [front] colour: unknown key; accepted: listen");
    parse_bad(PEER_A "[route]\ndefault = peer hime\n",
              "f.ini:4: [route]: there is no [peer hime], did you mean \"home\"?");
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[node]\nname = a_b\n", "is no name"},
        {"[node]\nlisten = 1080\n", "is no IP:PORT"},
        {"[node]\nkey = ~other/k\n", "has no folder for ~"},
        {"[node]\nkey =\n", "has no value"},
        {"[node]\nresume_timeout = 24\n", "has no unit"},
        {"[node]\nresume_timeout = 1w\n", "has an unknown unit"},
        {"[node]\nresume_timeout = 0s\n", "is too little"},
        {"[node]\nresume_timeout = 31d\n", "is too much"},
        {"[node]\nresume_timeout = 99999999999999999999s\n", "is no number"},
        {"[node]\nresume_timeout = 281474976710657d\n", "is too much"},
        {"[node]\nresume_timeout = -1s\n", "is no number"},
        {"[limits]\nwindow = lots\n", "is no number"},
        {"[limits]\nwindow = 1k\n", "is too little"},
        {"[server]\nallow = " KEY_A "\nopen = true\n", "is neither yes nor no"},
        {"[relay a]\nurl = https://relay.example\n", "needs TLS, which is not built in"},
        {"[relay a]\nurl = relay.example\n", "does not start with http://"},
        {"[relay a]\nurl = http://\n", "bad host or port"},
        {"[relay a]\nurl = http://a:0\n", "bad host or port"},
        {"[relay a]\nurl = http://a:65536\n", "bad host or port"},
        {"[relay a]\nurl = http://a b\n", "bad host or port"},
        {"[relay a]\nurl = http://user@a\n", "bad host or port"},
        {"[relay a]\nurl = http://[::1\n", "bad host or port"},
        {"[relay a]\nurl = http://a/x?y\n", "bad path"},
        {"[peer a]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh\n", "is no public key"},
        {"[peer a]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9\n", "is no public key"},
        {"[peer a]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh/\n", "is no public key"},
        {"[server]\nallow = x\n", "is no public key"},
        {PEER_A "endpoint = home\n", "is no HOST:PORT"},
        {PEER_A "endpoint = home:0\n", "is no HOST:PORT"},
        {PEER_A "endpoint = ::1:5\n", "is no HOST:PORT"},
        {PEER_A "endpoint = 1.2.3:5\n", "is no HOST:PORT"},
        {PEER_A "endpoint = ,\n", "has no value"},
        {PEER_A "relay = https://a.example\n", "needs TLS"},
        {PEER_A "relay = a_b\n", "is neither a name nor a URL"},
        {PEER_A "relay = main\n", "there is no [relay main]"},
        {PEER_A "allow = 10.0.0.1/8\n", "is no prefix"},
        {PEER_A "allow = any:0\n", "has a bad port"},
        {"[route]\n10.0.0.1/8 = direct\n", "is neither a domain nor a prefix"},
        {"[route]\n*.example = direct\n", "is neither a domain nor a prefix"},
        {"[route]\n::ffff:10.0.0.0/104 = direct\n", "write it as IPv4"},
        {"[route]\nhome.peer = direct\n", "always go to the peer"},
        {"[route]\ndefault = home\n", "is no way to go"},
        {"[route]\ndefault = peer\n", "is no way to go"},
        {"[route]\ndefault = peerhome\n", "is no way to go"},
        {"[route]\ndefault = peer home\n", "there is no [peer home]"},
        {"[server]\n", "nobody may use this relay"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        parse_bad_part(cases[i][0], cases[i][1]);
    }
}

static void nothing_may_be_there_twice(void **state)
{
    (void)state;
    parse_bad("[node]\nname = a\nname = a\n", "f.ini:3: [node] name: is there twice");
    parse_bad("[node]\n[front]\n[node]\nname = a\n", "f.ini:3: [node]: is there twice");
    parse_bad(PEER_A "[peer HOME]\nkey = " KEY_B "\n",
              "f.ini:3: [peer HOME]: is there twice; first in line 1");
    parse_bad(PEER_A "[peer b]\nkey = " KEY_A "\n",
              "f.ini:3: [peer b] key: is the key of peer home, too");
    parse_bad("[relay a]\nurl = http://a\n[relay a]\nurl = http://b\n",
              "f.ini:3: [relay a]: is there twice; first in line 1");
    parse_bad("[route]\na.b = direct\n.A.b = refuse\n",
              "f.ini:3: [route] .A.b: is there twice; first in line 2");
    parse_bad("[route]\ndefault = direct\ndefault = refuse\n",
              "f.ini:3: [route] default: is there twice; first in line 2");
    struct config *c = parse_ok(PEER_A "[peer b]\nkey = " KEY_B "\n"); /* one key for each peer */
    assert_int_equal(c->peers_count, 2);
    config_free(c);
}

static void lines_that_are_no_lines(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[node\nname = a\n", "f.ini:1: is no section line"},
        {"[]\nname = a\n", "f.ini:1: is no section line"},
        {"[node] x\n", "f.ini:1: is no section line"},
        {"[node x]\nname = a\n", "f.ini:1: [node x]: takes no name"},
        {"[peer]\nkey = a\n", "f.ini:1: [peer]: needs a name"},
        {"[peer a b]\nkey = a\n", "f.ini:1: [peer a b]: needs a name"},
        {"[node]\nname\n", "f.ini:2: [node]: is no KEY = VALUE line"},
        {"[node]\nname: a\n", "f.ini:2: [node]: is no KEY = VALUE line"},
        {"[node]\n= a\n", "f.ini:2: [node]: is no KEY = VALUE line"},
        {"[node]\nname = a\x01\n", "f.ini:2: [node]: the line has a control character"},
        {"[node]\nname = a\rb\n", "f.ini:2: [node]: the line has a control character"},
        {"[node]\nn:me = a\n", "f.ini:2: [node] n:me: unknown key"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        parse_bad_part(cases[i][0], cases[i][1]);
    }
    struct config *config;
    struct config_errors errors;
    const char nul[] = "[node]\nname = a\0b\n";
    assert_int_equal(config_parse(&config, "f.ini", nul, sizeof(nul) - 1, &env, &errors),
                     ERR_MALFORMED);
    assert_int_equal(errors.items[0].line, 2);
}

/* Cut lines would be believed: a longer one is an error, a shorter one comes through whole. */
static void long_lines_are_taken_whole_or_refused(void **state)
{
    (void)state;
    bool refused = false;
    for (size_t len = 100; len < 600; len++) {
        char text[700] = "[node]\nkey = /";
        size_t head = strlen(text);
        struct config *config;
        struct config_errors errors;
        memset(text + head, 'k', len);
        int err = config_parse(&config, "f.ini", text, strlen(text), &env, &errors);
        assert_false(refused && err == 0);
        if (err == 0) {
            assert_int_equal(strlen(config->node.key), len + 1);
        } else {
            refused = true;
            assert_int_equal(errors.items[0].line, 2);
            assert_non_null(strstr(errors.items[0].text, "the line is longer than"));
        }
        config_free(config);
    }
    assert_true(refused);
}

static void long_comments_and_names(void **state)
{
    (void)state;
    char text[2000] = "[node]\nname = box # ";
    memset(text + strlen(text), 'x', 1500);
    struct config *c = parse_ok(text);
    assert_string_equal(c->node.name, "box");
    config_free(c);
    /* Longer than what inih holds of a section's name. */
    memset(text, 0, sizeof(text));
    (void)snprintf(text, sizeof(text), "[peer %063d]\nkey = " KEY_A "\n", 7);
    c = parse_ok(text);
    assert_int_equal(strlen(c->peers[0].name), 63);
    config_free(c);
    (void)snprintf(text, sizeof(text), "[peer %064d]\nkey = " KEY_A "\n", 7);
    parse_bad_part(text, "needs a name");
    (void)snprintf(text, sizeof(text), "[peer %0200d]\nkey = " KEY_A "\n", 7);
    parse_bad_part(text, "is no section line");
}

static void control_path_must_fit_a_socket(void **state)
{
    (void)state;
    char text[300];
    (void)snprintf(text, sizeof(text), "[node]\ncontrol = /%0102d\n", 7);
    config_free(parse_ok(text));
    (void)snprintf(text, sizeof(text), "[node]\ncontrol = /%0103d\n", 7);
    parse_bad_part(text, "longer than 103 bytes");
}

static void append(char *text, size_t cap, const char *more)
{
    size_t len = strlen(text);
    assert_true(len + strlen(more) < cap);
    (void)snprintf(text + len, cap - len, "%s", more);
}

static void all_errors_are_collected_up_to_the_ceiling(void **state)
{
    (void)state;
    char text[4096] = "[node]\n";
    for (int i = 0; i < 40; i++) {
        append(text, sizeof(text), "log = loud\nbogus = 1\n");
    }
    struct config *config;
    struct config_errors errors;
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &env, &errors),
                     ERR_MALFORMED);
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    assert_int_equal(errors.dropped, 80 - CONFIG_ERRORS_MAX);
    for (size_t i = 0; i < errors.count; i++) {
        assert_int_equal(errors.items[i].line, i + 2);
    }
}

static void too_much_is_refused(void **state)
{
    (void)state;
    size_t len = CONFIG_TEXT_MAX + 1;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '\n', len);
    struct config *config;
    struct config_errors errors;
    assert_int_equal(config_parse(&config, "f.ini", text, len, &env, &errors), ERR_MALFORMED);
    assert_int_equal(config_parse(&config, "f.ini", text, len - 1, &env, &errors), 0);
    config_free(config);
    free(text);
    parse_bad_part("[limits]\npeers_max = 1\n" PEER_A "[peer b]\nkey = " KEY_B "\n",
                   "[limits] peers_max: there are 2 peers, more than 1");
}

static void lists_have_a_ceiling(void **state)
{
    (void)state;
    char text[8192] = PEER_A;
    for (int i = 0; i <= CONFIG_RELAYS_MAX; i++) {
        append(text, sizeof(text), "relay = http://a.example\n");
    }
    parse_bad_part(text, "f.ini:19: [peer home] relay: there are more than 16");
    text[0] = '\0';
    for (int i = 0; i <= CONFIG_RELAYS_MAX; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "[relay r%d]\nurl = http://a\n", i);
    }
    parse_bad_part(text, "f.ini:33: [relay r16]: there are more than 16");
    (void)snprintf(text, sizeof(text), "[front]\n");
    for (int i = 0; i <= CONFIG_LIST_MAX; i++) {
        append(text, sizeof(text), "listen = 127.0.0.1:0\n");
    }
    parse_bad_part(text, "there are more than 256");
}

static void environment_may_be_empty(void **state)
{
    (void)state;
    const struct config_env none = {0};
    struct config *c;
    struct config_errors errors;
    assert_int_equal(config_parse(&c, "adit.ini", "", 0, &none, &errors), 0);
    assert_string_equal(c->node.name, "");
    assert_string_equal(c->node.key, "adit.key");
    assert_null(c->node.state);
    assert_null(c->node.control);
    config_free(c);
    const struct config_env odd = {.name = "host.domain", .control = "/run/c"};
    assert_int_equal(config_parse(&c, "adit.ini", "", 0, &odd, &errors), 0);
    assert_string_equal(c->node.name, "node");
    assert_string_equal(c->node.control, "/run/c");
    config_free(c);
}

/* --- the files in conf/ --- */

static char *read_conf(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/conf/%s", TEST_SOURCE, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

/* "#key = value" becomes "key = value"; sentences have a space after their '#'. */
static void switch_on_defaults(char *text)
{
    for (char *at = text; *at; at++) {
        bool first = at == text || at[-1] == '\n';
        if (first && at[0] == '#' && at[1] != ' ' && at[1] != '\n') {
            at[0] = ' ';
        }
    }
}

static void allocation_may_fail_anywhere(void **state)
{
    (void)state;
    char *text = read_conf("example.ini");
    struct config *config;
    struct config_errors errors;
    int err = ERR_NO_MEMORY;
    size_t n = 1;
    for (; err == ERR_NO_MEMORY && n < 1000; n++) {
        mem_fail_after(n);
        err = config_parse(&config, "a/adit.ini", text, strlen(text), &env, &errors);
        mem_fail_after(0);
        assert_true((err == 0) == (config != NULL));
    }
    assert_int_equal(err, 0);
    assert_true(n > 20);
    config_free(config);
    free(text);
}

static void files_in_conf_are_valid(void **state)
{
    (void)state;
    static const char *const names[] = {"example.ini", "minimal.ini", "relay.ini"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char *text = read_conf(names[i]);
        config_free(parse_ok(text));
        switch_on_defaults(text);
        config_free(parse_ok(text));
        free(text);
    }
}

/* The text from the section's line to the next section's. */
static char *section_text(const char *text, const char *section)
{
    char head[64];
    size_t len = (size_t)snprintf(head, sizeof(head), "\n[%s", section);
    const char *from = strstr(text, head);
    if (!from) {
        fail_msg("[%s] is not in example.ini", section);
        return NULL;
    }
    const char *to = strstr(from + len, "\n[");
    size_t size = to ? (size_t)(to - from) : strlen(from);
    char *copy = calloc(1, size + 1);
    assert_non_null(copy);
    memcpy(copy, from, size);
    return copy;
}

static bool has_line(const char *text, const char *start)
{
    char line[300];
    (void)snprintf(line, sizeof(line), "\n%s", start);
    return strstr(text, line) != NULL;
}

static void example_has_every_key_with_its_default(void **state)
{
    (void)state;
    char *text = read_conf("example.ini");
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        char *section = section_text(text, k->section);
        const char *name = k->type == CONFIG_ROUTE ? "default" : k->name;
        bool fixed = k->initial[0] && !k->computed;
        char line[256];
        (void)snprintf(line, sizeof(line), fixed ? "#%s = %s\n" : "%s = %s", name,
                       fixed ? k->initial : "");
        if (!has_line(section, line)) {
            fail_msg("\"%s\" is not in [%s] of example.ini", line, k->section);
        }
        free(section);
    }
    free(text);
}

static void table_is_complete(void **state)
{
    (void)state;
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        bool known = false;
        for (const struct config_section *s = config_sections; s->name; s++) {
            known = known || strcmp(s->name, k->section) == 0;
        }
        assert_true(known);
        assert_true(k->type < CONFIG_TYPES);
        assert_true(k->accepted[0] && k->initial);
        assert_true(strlen(k->help) > 10 && k->help[strlen(k->help) - 1] == '.');
    }
}

static void swap_or_cut(struct rng rng, char *text, size_t *len)
{
    size_t at = rng_below(rng, *len);
    switch (rng_below(rng, 3)) {
    case 0:
        text[at] = (char)rng_u32(rng);
        break;
    case 1:
        *len = at + 1;
        break;
    default:
        text[at] = "[]=:#;\n ,/"[rng_below(rng, 10)];
        break;
    }
}

static void damaged_files_give_a_config_or_errors(void **state)
{
    (void)state;
    char *whole = read_conf("example.ini");
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 7);
    for (int round = 0; round < 300; round++) {
        size_t len = strlen(whole);
        char *text = malloc(len);
        assert_non_null(text);
        memcpy(text, whole, len);
        for (int hit = 0; hit < 3; hit++) {
            swap_or_cut(rng, text, &len);
        }
        struct config *config;
        struct config_errors errors;
        int err = config_parse(&config, "f.ini", text, len, &env, &errors);
        assert_true((err == 0) == (config != NULL) && (err == 0) == (errors.count == 0));
        config_free(config);
        free(text);
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_text_gives_the_defaults),
        cmocka_unit_test(node_values),
        cmocka_unit_test(peer_values),
        cmocka_unit_test(peer_without_relay_is_looked_for_on_all),
        cmocka_unit_test(routes),
        cmocka_unit_test(server_and_limits),
        cmocka_unit_test(comments_spaces_and_line_ends),
        cmocka_unit_test(front_takes_only_loopback),
        cmocka_unit_test(messages_name_file_line_section_and_key),
        cmocka_unit_test(unknown_names_bring_the_nearest_one),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(nothing_may_be_there_twice),
        cmocka_unit_test(lines_that_are_no_lines),
        cmocka_unit_test(long_lines_are_taken_whole_or_refused),
        cmocka_unit_test(long_comments_and_names),
        cmocka_unit_test(control_path_must_fit_a_socket),
        cmocka_unit_test(all_errors_are_collected_up_to_the_ceiling),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(lists_have_a_ceiling),
        cmocka_unit_test(environment_may_be_empty),
        cmocka_unit_test(allocation_may_fail_anywhere),
        cmocka_unit_test(files_in_conf_are_valid),
        cmocka_unit_test(example_has_every_key_with_its_default),
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(damaged_files_give_a_config_or_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
