#include "policy/config.h"

#include "support/config_text.h"

#include <base/err.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void messages_name_file_line_section_and_key(void **state)
{
    (void)state;
    config_text_refuse(
        "\n# x\n[node]\nlog = loud\n",
        "f.ini:4: [node] log: \"loud\" is no level; accepted: error, warn, info, debug, "
        "trace");
    config_text_refuse("[relay main]\n\n", "f.ini:1: [relay main] url: is missing; accepted: "
                                           "http, https, ws or wss://HOST[:PORT][/PATH]");
    config_text_refuse("name = x\n", "f.ini:1: stands in no section");
}

static void unknown_names_bring_the_nearest_one(void **state)
{
    (void)state;
    config_text_refuse("[nod]\nname = x\n",
                       "f.ini:1: [nod]: unknown section, did you mean \"node\"?; accepted: [node], "
                       "[relay NAME], [peer NAME], [front NAME], [route], [forward], "
                       "[serve], "
                       "[exit], [server], [limits]");
    config_text_refuse(
        "[front]\nlisen = 127.0.0.1:1\n",
        "f.ini:2: [front] lisen: unknown key, did you mean \"listen\"?; accepted: listen, users, "
        "exit, path, commands, choose, uids");
    config_text_refuse("[front]\ncolour = red\n",
                       "f.ini:2: [front] colour: unknown key; accepted: listen, users, "
                       "exit, path, commands, choose, uids");
    config_text_refuse(PEER_A "[route]\ndefault = peer hime\n",
                       "f.ini:4: [route]: there is no [peer hime], did you mean \"home\"?");
}

/* Also what is found out only at the end: the key's line, or the section's if the key is missing.
 */
static void late_errors_have_their_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\n[server]\nlisten = 127.0.0.1:1\n", "f.ini:2: [server] allow: nobody may use this"},
        {"[server]\nopen = yes\nlisten_tls = 127.0.0.1:1\n", "f.ini:1: [server] cert: is missing"},
        {"[server]\nopen = yes\ncert = a\ncert_key = b\n", "f.ini:1: [server] listen_tls: is "},
        {"[server]\nopen = yes\n\nstun = 127.0.0.1:1, 127.0.0.1:2\n", "f.ini:4: [server] stun: "},
        {"[server]\nopen = yes\n[limits]\npeers_max = 1\n" PEER_A "[peer b]\nkey = " KEY_B "\n",
         "f.ini:4: [limits] peers_max: there are 2 peers"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        config_text_refuse_part(cases[i][0], cases[i][1]);
    }
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
        {"[node]\ncongestion = reno\n", "accepted: bbr, cubic"},
        {"[node]\nworkers = 3\n", "accepted: 0, 1 or 2"},
        {"[server]\nallow = " KEY_A "\nopen = true\n", "is neither yes nor no"},
        {"[relay a]\nurl = ftp://relay.example\n", "does not start with http://"},
        {"[relay a]\nurl = relay.example\n", "does not start with http://"},
        {"[relay a]\nurl = https://a:0\n", "bad host or port"},
        {"[relay a]\nurl = https://a\npin = abcd\n", "is no hash of a key"},
        {"[relay a]\nurl = https://a\npin = sha256:abcd\n", "is no hash of a key"},
        {"[relay a]\nurl = https://a\npin = sha256:" KEY_A "x\n", "is no hash of a key"},
        {"[relay a]\nurl = http://a\npin = sha256:" KEY_A "\n", "is of no use without TLS"},
        {"[relay a]\nurl = ws://a\npin = sha256:" KEY_A "\n", "is of no use without TLS"},
        {"[relay a]\nurl = http://a\nproxy = socks5://b\n", "is no HTTP proxy"},
        {"[relay a]\nurl = http://a\nproxy = http://u:p@\n", "bad host or port"},
        {"[relay a]\nurl = http://a\nproxy = http://u@b\n", "name without a password"},
        {"[server]\nopen = yes\nlisten_tls = 127.0.0.1:1\n", "cert: is missing"},
        {"[server]\nopen = yes\nlisten_tls = 127.0.0.1:1\ncert = a\n", "cert_key: is missing"},
        {"[server]\nopen = yes\ncert = a\ncert_key = b\n", "listen_tls: is missing"},
        {"[server]\nopen = yes\ncluster = http://a\n", "is no URL of a NATS server"},
        {"[server]\nopen = yes\ncluster = nats://u:secret@\n", "is no URL of a NATS server"},
        {"[server]\nopen = yes\ncluster = nats://a:0\n", "is no URL of a NATS server"},
        {"[server]\nopen = yes\ncluster_ca = a\n", "cluster: is missing"},
        {"[server]\nopen = yes\ncluster_secret = a\n", "cluster: is missing"},
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
        {PEER_A "relay = gopher://a.example\n", "does not start with"},
        {PEER_A "relay = a_b\n", "is neither a name nor a URL"},
        {PEER_A "relay = main\n", "there is no [relay main]"},
        {PEER_A "allow = 10.0.0.1/8\n", "is no prefix"},
        {PEER_A "allow = any:0\n", "has a bad port"},
        {"[route]\n10.0.0.1/8 = direct\n", "is neither a domain nor a prefix"},
        {"[route]\n*.example = direct\n", "is neither a domain nor a prefix"},
        {"[route]\n::ffff:10.0.0.0/104 = direct\n", "write the address it stands for"},
        {"[route]\nhome.peer = direct\n", "always go to the peer"},
        {"[route]\ndefault = home\n", "is no way to go"},
        {"[route]\n0.0.0.0/8 = direct\n", "write the address it stands for"},
        {"[route]\n64:ff9b::a00:0/104 = direct\n", "write the address it stands for"},
        {"[route]\nx:0 = direct\n", "has a bad port"},
        {"[route]\nx:80-79 = direct\n", "has a bad port"},
        {"[route]\n:65536 = direct\n", "has a bad port"},
        {"[route]\n: = direct\n", "has a bad port"},
        {"[route]\ndefault:80 = direct\n", "write it as \":80\""},
        {"[route]\nx:80 = direct\nx:80-80 = refuse\n", "is there twice; first in line 2"},
        {"[front a]\nusers = x\n", "is missing"},
        {"[front a]\nlisten = none\n", "is missing"},
        {"[front a]\nlisten = 0.0.0.0:1\n", "is not loopback"},
        {"[front]\nlisten = /a/b\n[front a]\nlisten = /a/b\n", "belongs to another [front]"},
        {"[front a]\nlisten = /a\n[front a]\nlisten = /b\n", "is there twice; first in line 1"},
        {"[front]\n[front]\n", "is there twice"},
        {"[front a b]\n", "needs a name"},
        {"[front]\nexit = home\n", "is no way to go"},
        {"[front]\nexit = peer home\n", "there is no [peer home]"},
        {"[front]\npath = fast\n", "is no choice of paths"},
        {"[front]\ncommands = fly\n", "is no command"},
        {"[front]\nuids = root\n", "is no number of a user"},
        {"[front]\nuids = 4294967295\n", "is no number of a user"},
        {"[serve]\na.b = localhost:1\n", "is no name"},
        {"[serve]\na:0 = localhost:1\n", "is no SERVICE"},
        {"[serve]\n:80 = localhost:1\n", "is no SERVICE"},
        {"[serve]\na = localhost\n", "is neither HOST:PORT nor a path"},
        {"[serve]\na = localhost:0\n", "is neither HOST:PORT nor a path"},
        {"[serve]\na = localhost:1 home\n", "names a peer that there is not"},
        {PEER_A "[serve]\na = localhost:1 home home\n", "names a peer twice"},
        {"[serve]\na = localhost:1\na:80 = localhost:2\n", "is there twice"},
        {"[serve]\na = home.peer:1\n", "is a name in .peer"},
        {"[route]\ndefault = peer\n", "is no way to go"},
        {"[route]\ndefault = peerhome\n", "is no way to go"},
        {"[route]\ndefault = peer home\n", "there is no [peer home]"},
        {"[server]\n", "nobody may use this relay"},
        {"[server]\nopen = yes\nstun = 1.2.3.4:5 1.2.3.4:6\n", "has to differ"},
        {"[server]\nopen = yes\nstun = 1.2.3.4:5 1.2.3.5:5\n", "has to differ"},
        {"[server]\nopen = yes\nstun = [::]:5 [::1]:6\n", "one address of this machine"},
        {"[server]\nopen = yes\nstun = 1.2.3.4:5 1.2.3.5:6 1.2.3.6:7\n", "is the third"},
        {"[server]\nopen = yes\nmetrics = 10.0.0.1/8\n", "is no IP and no prefix"},
        {"[server]\nopen = yes\ndrain = 2h\n", "is too much"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        config_text_refuse_part(cases[i][0], cases[i][1]);
    }
}

static void nothing_may_be_there_twice(void **state)
{
    (void)state;
    config_text_refuse("[node]\nname = a\nname = a\n", "f.ini:3: [node] name: is there twice");
    config_text_refuse("[node]\n[front]\n[node]\nname = a\n", "f.ini:3: [node]: is there twice");
    config_text_refuse(PEER_A "[peer HOME]\nkey = " KEY_B "\n",
                       "f.ini:3: [peer HOME]: is there twice; first in line 1");
    config_text_refuse(PEER_A "[peer b]\nkey = " KEY_A "\n",
                       "f.ini:3: [peer b] key: is the key of peer home, too");
    config_text_refuse("[relay a]\nurl = http://a\n[relay a]\nurl = http://b\n",
                       "f.ini:3: [relay a]: is there twice; first in line 1");
    config_text_refuse("[route]\na.b = direct\n.A.b = refuse\n",
                       "f.ini:3: [route] .A.b: is there twice; first in line 2");
    config_text_refuse("[route]\ndefault = direct\ndefault = refuse\n",
                       "f.ini:3: [route] default: is there twice; first in line 2");
    struct config *c =
        config_text_parse(PEER_A "[peer b]\nkey = " KEY_B "\n"); /* one key for each peer */
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
        config_text_refuse_part(cases[i][0], cases[i][1]);
    }
    struct config *config;
    struct config_errors errors;
    const char nul[] = "[node]\nname = a\0b\n";
    assert_int_equal(
        config_parse(&config, "f.ini", nul, sizeof(nul) - 1, &config_text_env, &errors),
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
        int err = config_parse(&config, "f.ini", text, strlen(text), &config_text_env, &errors);
        assert_false(refused && err == 0);
        if (err == 0) {
            assert_int_equal(strlen(config->node.key.path), len + 1);
        } else {
            refused = true;
            assert_int_equal(errors.items[0].line, 2);
            assert_non_null(strstr(errors.items[0].text, "the line is longer than"));
        }
        config_free(config);
    }
    assert_true(refused);
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
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &config_text_env, &errors),
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
    assert_int_equal(config_parse(&config, "f.ini", text, len, &config_text_env, &errors),
                     ERR_MALFORMED);
    assert_int_equal(config_parse(&config, "f.ini", text, len - 1, &config_text_env, &errors), 0);
    config_free(config);
    free(text);
    config_text_refuse_part("[limits]\npeers_max = 1\n" PEER_A "[peer b]\nkey = " KEY_B "\n",
                            "[limits] peers_max: there are 2 peers, more than 1");
}

static void lists_have_a_ceiling(void **state)
{
    (void)state;
    char text[8192] = PEER_A;
    for (int i = 0; i <= CONFIG_RELAYS_MAX; i++) {
        append(text, sizeof(text), "relay = http://a.example\n");
    }
    config_text_refuse_part(text, "f.ini:19: [peer home] relay: there are more than 16");
    text[0] = '\0';
    for (int i = 0; i <= CONFIG_RELAYS_MAX; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "[relay r%d]\nurl = http://a\n", i);
    }
    config_text_refuse_part(text, "f.ini:33: [relay r16]: there are more than 16");
    (void)snprintf(text, sizeof(text), "[front]\n");
    for (int i = 0; i <= CONFIG_LIST_MAX; i++) {
        append(text, sizeof(text), "listen = 127.0.0.1:0\n");
    }
    config_text_refuse_part(text, "there are more than 256");
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
    char *whole = config_text_read(TEST_SOURCE "/conf/example.ini");
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
        int err = config_parse(&config, "f.ini", text, len, &config_text_env, &errors);
        assert_true((err == 0) == (config != NULL) && (err == 0) == (errors.count == 0));
        config_free(config);
        free(text);
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_name_file_line_section_and_key),
        cmocka_unit_test(unknown_names_bring_the_nearest_one),
        cmocka_unit_test(late_errors_have_their_line),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(nothing_may_be_there_twice),
        cmocka_unit_test(lines_that_are_no_lines),
        cmocka_unit_test(long_lines_are_taken_whole_or_refused),
        cmocka_unit_test(all_errors_are_collected_up_to_the_ceiling),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(lists_have_a_ceiling),
        cmocka_unit_test(damaged_files_give_a_config_or_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
