#include "policy/config.h"

#include "support/config_text.h"

#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_addr(const struct addr *a, const char *text)
{
    char out[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(a, out), text);
}

static void empty_text_gives_the_defaults(void **state)
{
    (void)state;
    struct config *c = config_text_parse("");
    assert_string_equal(c->node.name, "laptop");
    assert_string_equal(c->node.key.path, "/etc/adit/adit.key");
    assert_string_equal(c->node.state, "/state");
    assert_string_equal(c->node.control, "/state/control");
    assert_addr(&c->node.listen, "[::]:0");
    assert_int_equal(c->node.log, LOG_INFO);
    assert_int_equal(c->node.congestion, CONFIG_CONGESTION_BBR);
    assert_int_equal(c->node.workers, 0);
    assert_true(c->node.spin);
    assert_true(c->node.resume_timeout_ns == 86400 * NS_PER_S);
    assert_int_equal(c->fronts[0].listen.count, 1);
    assert_addr(&c->fronts[0].listen.items[0].addr, "127.0.0.1:1080");
    assert_int_equal(c->peers_count + c->relays.count + c->routes_count, 0);
    assert_false(c->server.given);
    assert_false(c->server.open);
    assert_addr(&c->server.listen.items[0], "127.0.0.1:3340");
    assert_string_equal(c->server.key.path, "/etc/adit/relay.key");
    assert_int_equal(c->limits.window, 64 << 20);
    config_free(c);
}

static void node_values(void **state)
{
    (void)state;
    struct config *c =
        config_text_parse("[node]\nname = Big-Box1\nkey = /k\nlisten = 0.0.0.0:41741\n"
                          "state = st\ncontrol = ~/c\nlog = trace\nresume_timeout = 90s\n"
                          "workers = 2\nspin = no\n"
                          "congestion = cubic\n");
    assert_string_equal(c->node.name, "big-box1");
    assert_string_equal(c->node.key.path, "/k");
    assert_addr(&c->node.listen, "0.0.0.0:41741");
    assert_string_equal(c->node.state, "/etc/adit/st");
    assert_string_equal(c->node.control, "/somewhere/c");
    assert_int_equal(c->node.log, LOG_TRACE);
    assert_int_equal(c->node.congestion, CONFIG_CONGESTION_CUBIC);
    assert_int_equal(c->node.workers, 2);
    assert_false(c->node.spin);
    assert_true(c->node.resume_timeout_ns == 90 * NS_PER_S);
    config_free(c);
}

static void peer_values(void **state)
{
    (void)state;
    struct config *c = config_text_parse(
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
    assert_string_equal(p->psk.path, "/etc/adit/home.psk");
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
    struct config *c = config_text_parse(
        PEER_A "[relay a]\nurl=http://a.example\n[relay b]\nurl=http://b.example:1\n");
    assert_int_equal(c->peers[0].relays.count, 2);
    assert_string_equal(c->peers[0].relays.items[1].url.host, "b.example");
    config_free(c);
}

static void ways_to_a_relay(void **state)
{
    (void)state;
    static const uint8_t pin[CONFIG_PIN_LEN] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    struct config *c = config_text_parse(
        "[relay a]\nurl = https://a.example\nproxy = http://u:p%3A@Proxy.example:3128\n"
        "pin = sha256:" KEY_A ", sha256:" KEY_A "=\n"
        "pin = sha256:000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n"
        "[relay b]\nurl = wss://b.example:1/x\nproxy = none\n[relay c]\nurl = "
        "ws://c.example\n" PEER_A);
    const struct config_relay *r = c->relays.items;
    assert_int_equal(c->relays.count, 3);
    assert_true(r[0].url.tls && !r[0].url.websocket);
    assert_int_equal(r[0].url.port, 443);
    assert_int_equal(r[0].pins.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_memory_equal(r[0].pins.items[i].bytes, pin, sizeof(pin));
    }
    assert_int_equal(r[0].proxy.kind, CONFIG_PROXY_GIVEN);
    assert_string_equal(r[0].proxy.at->host, "proxy.example");
    assert_string_equal(r[0].proxy.at->login, "u:p:");
    assert_true(r[1].url.tls && r[1].url.websocket);
    assert_int_equal(r[1].url.port, 1);
    assert_string_equal(r[1].url.path, "/x");
    assert_int_equal(r[1].proxy.kind, CONFIG_PROXY_NONE);
    assert_true(!r[2].url.tls && r[2].url.websocket);
    assert_int_equal(r[2].url.port, 80);
    assert_int_equal(r[2].proxy.kind, CONFIG_PROXY_ENVIRONMENT);
    assert_int_equal(c->peers[0].relays.count, 3);
    assert_null(c->peers[0].relays.items[0].pins.items); /* they are the relay's */
    assert_null(c->peers[0].relays.items[0].proxy.at);
    config_free(c);
}

static void a_server_with_a_certificate(void **state)
{
    (void)state;
    struct config *c = config_text_parse("[server]\nopen = yes\nlisten_tls = 0.0.0.0:443 [::]:443\n"
                                         "cert = a.crt\ncert_key = /x/a.key\n");
    assert_int_equal(c->server.listen_tls.count, 2);
    assert_string_equal(c->server.cert, "/etc/adit/a.crt");
    assert_string_equal(c->server.cert_key, "/x/a.key");
    config_free(c);
}

static void a_server_of_a_cluster(void **state)
{
    (void)state;
    struct config *c = config_text_parse(
        "[server]\nopen = yes\ncluster = nats://u:p@ss@a.example:4223, tls://[::1]\n"
        "cluster = nats://token@10.0.0.1\ncluster_credentials = r.creds\ncluster_ca = /x/ca\n"
        "cluster_secret = s.key\n");
    assert_int_equal(c->server.cluster.count, 3);
    assert_string_equal(c->server.cluster.items[0], "nats://u:p@ss@a.example:4223");
    assert_string_equal(c->server.cluster.items[2], "nats://token@10.0.0.1");
    assert_string_equal(c->server.cluster_credentials, "/etc/adit/r.creds");
    assert_string_equal(c->server.cluster_ca, "/x/ca");
    assert_string_equal(c->server.cluster_secret.path, "/etc/adit/s.key");
    config_free(c);
}

static void routes(void **state)
{
    (void)state;
    struct config *c =
        config_text_parse("[route]\n.Corp.example = peer HOME\nfd00:1::/32 = direct\n"
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
    struct config *c = config_text_parse(
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
    assert_int_equal(c->server.drain_ns, 2 * NS_PER_S);
    assert_int_equal(c->server.stun.count + c->server.metrics.count, 0);
    assert_int_equal(c->limits.clients_max, 5);
    assert_int_equal(c->limits.streams_max, 6);
    assert_int_equal(c->limits.peers_max, 7);
    assert_int_equal(c->limits.window, 1 << 30);
    config_free(c);
    c = config_text_parse("[server]\nopen = yes\nburst = 1M\ndrain = 0s\n"
                          "metrics = 10.0.0.0/8 2001:db8::1\n"
                          "stun = 192.0.2.1:3478, [2001:db8::1]:3478, 192.0.2.2:3479\n");
    assert_int_equal(c->server.burst, 1 << 20);
    assert_int_equal(c->server.drain_ns, 0);
    assert_int_equal(c->server.metrics.count, 2);
    assert_int_equal(c->server.metrics.items[0].bits, 8);
    assert_int_equal(c->server.metrics.items[1].bits, 128);
    assert_int_equal(c->server.stun.count, 3);
    assert_addr(&c->server.stun.items[2], "192.0.2.2:3479");
    config_free(c);
}

static void comments_spaces_and_line_ends(void **state)
{
    (void)state;
    struct config *c = config_text_parse("\xef\xbb\xbf  [node]   ; the machine\r\n"
                                         "  # name = other\r\n"
                                         "\tname=box # here\r\n"
                                         "   key  =  a#b;c d.key\t; a path\r\n"
                                         "\r\n"
                                         ";[bogus]\r\n"
                                         "[ peer   home ]\n"
                                         "key = " KEY_A);
    assert_string_equal(c->node.name, "box");
    assert_string_equal(c->node.key.path, "/etc/adit/a#b;c d.key");
    assert_int_equal(c->peers_count, 1);
    config_free(c);
}

static void front_asks_who_comes_from_elsewhere(void **state)
{
    (void)state;
    struct config *c = config_text_parse("[front]\nlisten = 127.0.0.2:0, [::1]:1080\n");
    assert_int_equal(c->fronts[0].listen.count, 2);
    assert_null(c->fronts[0].users.path);
    config_free(c);
    c = config_text_parse("[front]\nlisten = none\n");
    assert_int_equal(c->fronts[0].listen.count, 0);
    config_free(c);
    c = config_text_parse("[front]\nlisten = 0.0.0.0:1080\nusers = who\n");
    assert_string_equal(c->fronts[0].users.path, "/etc/adit/who");
    assert_addr(&c->fronts[0].listen.items[0].addr, "0.0.0.0:1080");
    config_free(c);
    config_text_refuse(
        "[front]\nlisten = 0.0.0.0:1080\n",
        "f.ini:2: [front] listen: \"0.0.0.0:1080\" is not loopback: others could use the "
        "proxy; name a file with passwords (users = FILE), or listen on loopback");
    config_text_refuse_part("[front]\nlisten = [::ffff:10.0.0.1]:1080\n", "is not loopback");
    config_text_refuse_part("[front]\nlisten = 127.0.0.1:1\nlisten = 10.0.0.1:1\n", "ini:3:");
    config_text_refuse_part("[front]\nlisten = localhost:1080\n", "is neither IP:PORT nor");
    config_text_refuse_part("[front]\nlisten = 127.0.0.1:1 127.0.0.1:1\n", "is there twice");
}

static void fronts_have_their_own_values(void **state)
{
    (void)state;
    struct config *c = config_text_parse(
        "[front Guests]\nlisten = 10.0.0.1:1 /run/g\nusers = g\nexit = peer home\n"
        "path = relay-only\ncommands = connect, udp\nchoose = no\nuids = 0 1000\nuids = any\n"
        "[front]\nlisten = 127.0.0.1:2\nexit = direct\n"
        "[front plain]\nlisten = 127.0.0.1:3\n[peer home]\nkey = " KEY_A "\n");
    const struct config_front *front = c->fronts;
    assert_int_equal(c->fronts_count, 3);
    assert_string_equal(front[0].name, "");
    assert_addr(&front[0].listen.items[0].addr, "127.0.0.1:2");
    assert_int_equal(front[0].exit.kind, ROUTE_DIRECT);
    assert_true(front[0].exit.line > 0 && front[0].choose && front[0].path == PATH_ANY);
    assert_int_equal(front[0].commands, COMMAND_CONNECT | COMMAND_UDP);
    assert_string_equal(front[1].name, "guests");
    assert_int_equal(front[1].listen.count, 2);
    assert_string_equal(front[1].users.path, "/etc/adit/g");
    assert_int_equal(front[1].exit.kind, ROUTE_PEER);
    assert_int_equal(front[1].path, PATH_RELAY_ONLY);
    assert_int_equal(front[1].commands, COMMAND_CONNECT | COMMAND_UDP);
    assert_false(front[1].choose);
    assert_true(front[1].uids.any && front[1].uids.count == 2 && front[1].uids.items[1] == 1000);
    assert_int_equal(front[2].exit.line, 0);
    assert_int_equal(front[2].commands, COMMAND_CONNECT | COMMAND_UDP);
    assert_true(front[2].choose);
    config_free(c);
}

static void users_are_welcome_by_number(void **state)
{
    (void)state;
    uint32_t items[] = {5, 7};
    const struct config_uids none = {0}, any = {.any = true}, some = {.items = items, .count = 2};
    assert_true(config_uid_is_welcome(&none, 0, 1000));
    assert_true(config_uid_is_welcome(&none, 1000, 1000));
    assert_false(config_uid_is_welcome(&none, 5, 1000));
    assert_true(config_uid_is_welcome(&some, 7, 1000));
    assert_false(config_uid_is_welcome(&some, 6, 1000));
    assert_true(config_uid_is_welcome(&any, 6, 1000));
}

static void what_is_served(void **state)
{
    (void)state;
    struct config *c = config_text_parse(
        "[serve]\nWiki = 127.0.0.1:3000\ngit:9418 = localhost:9418 home, home2\n"
        "lp = ./cups.sock home2\n[peer home]\nkey = " KEY_A "\n[peer home2]\nkey = " KEY_B "\n");
    const struct config_serve *s = c->serves;
    assert_int_equal(c->serves_count, 3);
    assert_string_equal(s[0].name, "wiki");
    assert_int_equal(s[0].port, 80);
    assert_null(s[0].peers);
    assert_int_equal(s[0].target.port, 3000);
    assert_int_equal(s[1].port, 9418);
    assert_int_equal(s[1].peers_count, 2);
    assert_string_equal(s[2].path, "/etc/adit/./cups.sock");
    assert_int_equal(s[2].peers[0], 1);
    struct config_serve more;
    assert_null(config_parse_serve(&more, c, "x:1", "localhost:1 home"));
    assert_int_equal(more.port, 1);
    config_serve_free(&more);
    assert_non_null(config_parse_serve(&more, c, "x:1", "localhost:1 nobody"));
    assert_non_null(config_parse_serve(&more, c, "x", ""));
    config_free(c);
}

static void what_goes_out_directly_is_guarded(void **state)
{
    (void)state;
    struct config *c = config_text_parse("[route]\n169.254.1.0/24 = direct\n"
                                         "169.254.169.254:81 = direct\n0.0.0.0/0 = direct\n"
                                         "fe80::/10 = refuse\ndefault = direct\n");
    static const struct {
        const char *ip;
        uint16_t port;
        bool allowed;
    } cases[] = {{"192.0.2.1", 80, true},       {"127.0.0.1", 80, true},
                 {"169.254.1.7", 80, true},     {"169.254.2.7", 80, false},
                 {"169.254.169.254", 81, true}, {"169.254.169.254", 80, false},
                 {"fe80::1", 80, false},        {"fd00:ec2::254", 80, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr a;
        assert_int_equal(addr_parse_ip(&a, cases[i].ip), 0);
        assert_int_equal(acl_allows(&c->direct, &a, cases[i].port, NULL), cases[i].allowed);
    }
    config_free(c);
}

static void front_listens_on_unix_sockets(void **state)
{
    (void)state;
    struct config *c = config_text_parse("[front]\nlisten = ./front.sock, ~/f, /run/f\n");
    assert_int_equal(c->fronts[0].listen.count, 3);
    assert_string_equal(c->fronts[0].listen.items[0].path, "/etc/adit/./front.sock");
    assert_string_equal(c->fronts[0].listen.items[1].path, "/somewhere/f");
    assert_string_equal(c->fronts[0].listen.items[2].path, "/run/f");
    assert_int_equal(c->fronts[0].listen.items[2].addr.family, ADDR_NONE);
    config_free(c);
    config_text_refuse_part("[front]\nlisten = /a /a\n", "is there twice");
    char text[256];
    (void)snprintf(text, sizeof(text), "[front]\nlisten = /%0103d\n", 7);
    config_text_refuse_part(text, "longer than 103 bytes");
}

static void forwards(void **state)
{
    (void)state;
    struct config *c = config_text_parse(
        "[forward]\n127.0.0.1:8080 = Home:80\n[::1]:22 = 10.0.0.1:22\n/run/x = a.example:1\n"
        "127.0.0.1:9 = localhost:9\nudp  127.0.0.1:9 = Home:53\n"
        "127.0.0.1:10 = home:/run/Db.sock\n127.0.0.1:11 = home.peer:/x\n" PEER_A);
    static const char *const expected[] = {"home.peer:80", "10.0.0.1:22",  "a.example:1",
                                           "localhost:9",  "home.peer:53", "home.peer:/run/Db.sock",
                                           "home.peer:/x"};
    assert_int_equal(c->forwards_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        char out[TARGET_TEXT_MAX];
        assert_string_equal(target_format(&c->forwards[i].target, out), expected[i]);
    }
    assert_addr(&c->forwards[1].listen.addr, "[::1]:22");
    assert_string_equal(c->forwards[2].listen.path, "/run/x");
    assert_false(c->forwards[3].listen.udp);
    assert_true(c->forwards[4].listen.udp);
    assert_addr(&c->forwards[4].listen.addr, "127.0.0.1:9");
    config_free(c);
    config_text_refuse("[forward]\n127.0.0.1:1 = hime:80\n" PEER_A,
                       "f.ini:2: [forward]: \"hime:80\" names a peer that there is not");
    config_text_refuse_part("[forward]\n10.0.0.1:1 = home:80\n" PEER_A, "is not loopback");
    config_text_refuse_part("[forward]\n127.0.0.1:1 = home\n" PEER_A, "is no PEER:PORT");
    config_text_refuse_part("[forward]\n127.0.0.1:1 = home:0\n" PEER_A, "has port 0");
    config_text_refuse_part("[forward]\n127.0.0.1 = home:1\n" PEER_A, "is neither IP:PORT nor");
    config_text_refuse_part("[forward]\nudp /run/x = home:1\n" PEER_A, "datagrams need IP:PORT");
    config_text_refuse_part("[forward]\nudp 10.0.0.1:1 = home:1\n" PEER_A, "is not loopback");
    config_text_refuse_part("[forward]\nudp 127.0.0.1:1 = home:/x\n" PEER_A, "takes no datagrams");
    config_text_refuse_part("[forward]\n127.0.0.1:1 = a.example:/x\n" PEER_A, "that is no peer");
    config_text_refuse_part("[forward]\n127.0.0.1:1 = hime:/x\n" PEER_A, "that there is not");
    config_text_refuse_part("[forward]\n127.0.0.1:1 = home:/../x\n" PEER_A, "is no PEER:PORT");
}

static void how_targets_are_reached(void **state)
{
    (void)state;
    struct config *c = config_text_parse("");
    assert_int_equal(c->exit.dial_timeout_ns, 20 * NS_PER_S);
    assert_int_equal(c->exit.upstream.kind, CONFIG_PROXY_NONE);
    config_free(c);
    c = config_text_parse(
        "[exit]\ndial_timeout = 1500ms\nupstream = socks5://a:b@[::1]:9050\n" PEER_A
        "allow = unix:/run/x\nstreams_max = 2k\nstreams_rate = 50\nflows_max = 9\n");
    assert_int_equal(c->exit.dial_timeout_ns, 1500 * NS_PER_MS);
    assert_int_equal(c->exit.upstream.kind, CONFIG_PROXY_GIVEN);
    assert_true(c->exit.upstream.at->socks5);
    assert_string_equal(c->exit.upstream.at->login, "a:b");
    assert_int_equal(c->peers[0].streams_max, 2048);
    assert_int_equal(c->peers[0].streams_rate, 50);
    assert_int_equal(c->peers[0].flows_max, 9);
    assert_true(acl_allows_unix(&c->peers[0].allow, "/run/x"));
    config_free(c);
    config_text_refuse_part("[exit]\nupstream = p:1080\n", "is neither socks5:// nor http://");
    config_text_refuse_part("[exit]\nupstream = http://1.2.3.4.5:1\n", "has a bad host");
    config_text_refuse_part("[exit]\ndial_timeout = 1ms\n", "is too little");
    config_text_refuse_part(PEER_A "allow = unix:x\n", "is no path of a unix socket");
}

static void long_comments_and_names(void **state)
{
    (void)state;
    char text[2000] = "[node]\nname = box # ";
    memset(text + strlen(text), 'x', 1500);
    struct config *c = config_text_parse(text);
    assert_string_equal(c->node.name, "box");
    config_free(c);
    /* Longer than what inih holds of a section's name. */
    memset(text, 0, sizeof(text));
    (void)snprintf(text, sizeof(text), "[peer %063d]\nkey = " KEY_A "\n", 7);
    c = config_text_parse(text);
    assert_int_equal(strlen(c->peers[0].name), 63);
    config_free(c);
    (void)snprintf(text, sizeof(text), "[peer %064d]\nkey = " KEY_A "\n", 7);
    config_text_refuse_part(text, "needs a name");
    (void)snprintf(text, sizeof(text), "[peer %0200d]\nkey = " KEY_A "\n", 7);
    config_text_refuse_part(text, "is no section line");
}

static void control_path_must_fit_a_socket(void **state)
{
    (void)state;
    char text[300];
    (void)snprintf(text, sizeof(text), "[node]\ncontrol = /%0102d\n", 7);
    config_free(config_text_parse(text));
    (void)snprintf(text, sizeof(text), "[node]\ncontrol = /%0103d\n", 7);
    config_text_refuse_part(text, "longer than 103 bytes");
}

static void environment_may_be_empty(void **state)
{
    (void)state;
    const struct config_env none = {0};
    struct config *c;
    struct config_errors errors;
    assert_int_equal(config_parse(&c, "adit.ini", "", 0, &none, &errors), 0);
    assert_string_equal(c->node.name, "");
    assert_string_equal(c->node.key.path, "adit.key");
    assert_null(c->node.state);
    assert_null(c->node.control);
    config_free(c);
    const struct config_env odd = {.name = "host.domain", .control = "/run/c"};
    assert_int_equal(config_parse(&c, "adit.ini", "", 0, &odd, &errors), 0);
    assert_string_equal(c->node.name, "node");
    assert_string_equal(c->node.control, "/run/c");
    config_free(c);
}

static void allocation_may_fail_anywhere(void **state)
{
    (void)state;
    char *text = config_text_read(TEST_SOURCE "/conf/example.ini");
    struct config *config;
    struct config_errors errors;
    int err = ERR_NO_MEMORY;
    size_t n = 1;
    for (; err == ERR_NO_MEMORY && n < 1000; n++) {
        mem_fail_after(n);
        err = config_parse(&config, "a/adit.ini", text, strlen(text), &config_text_env, &errors);
        mem_fail_after(0);
        assert_true((err == 0) == (config != NULL));
    }
    assert_int_equal(err, 0);
    assert_true(n > 20);
    config_free(config);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_text_gives_the_defaults),
        cmocka_unit_test(node_values),
        cmocka_unit_test(peer_values),
        cmocka_unit_test(peer_without_relay_is_looked_for_on_all),
        cmocka_unit_test(ways_to_a_relay),
        cmocka_unit_test(a_server_with_a_certificate),
        cmocka_unit_test(a_server_of_a_cluster),
        cmocka_unit_test(routes),
        cmocka_unit_test(server_and_limits),
        cmocka_unit_test(comments_spaces_and_line_ends),
        cmocka_unit_test(front_asks_who_comes_from_elsewhere),
        cmocka_unit_test(fronts_have_their_own_values),
        cmocka_unit_test(users_are_welcome_by_number),
        cmocka_unit_test(what_is_served),
        cmocka_unit_test(what_goes_out_directly_is_guarded),
        cmocka_unit_test(front_listens_on_unix_sockets),
        cmocka_unit_test(forwards),
        cmocka_unit_test(how_targets_are_reached),
        cmocka_unit_test(long_comments_and_names),
        cmocka_unit_test(control_path_must_fit_a_socket),
        cmocka_unit_test(environment_may_be_empty),
        cmocka_unit_test(allocation_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
