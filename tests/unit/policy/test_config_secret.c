/* Secrets that stand in the ini, in their places and in others. */
#include "policy/config.h"

#include "support/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SERVER "[server]\nopen = yes\n"

/* There is an error, and no message has "hunter" in it. */
static void refuse_silently(const char *text)
{
    static struct config_errors errors;
    struct config *config;
    char line[1024];
    (void)config_parse(&config, "f.ini", text, strlen(text), &config_text_env, &errors);
    assert_null(config);
    assert_int_not_equal(errors.count, 0);
    for (size_t i = 0; i < errors.count; i++) {
        (void)config_error_format(&errors, i, line, sizeof(line));
        if (strstr(line, "hunter")) {
            fail_msg("%s\n-> %s", text, line);
        }
    }
}

static void no_message_shows_a_login(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[relay r]\nurl = https://ann:hunter2@relay.example\n",
        "[relay r]\nurl = https://ann:hunter2@relay.example/?\n",
        "[relay r]\nurl = ftp://ann:hunter2@relay.example\n",
        "[relay r]\nurl = https://ann:my \"hunter2\"@relay.example\n",
        "[relay r]\nurl = ann:hunter2@relay.example\n",
        "[relay r]\nurl = adit://" KEY_A "@relay.example?token=hunter2\n",
        "[relay r]\nurl = http://r.example\nproxy = http://ann:hunter2@\n",
        "[relay r]\nurl = http://r.example\nproxy = https://ann:hunter2@p.example\n",
        "[relay r]\nurl = http://r.example\npin = https://ann:hunter2@r.example\n",
        "[node]\nstun = ann:hunter2@stun.example:x\n",
        "[node]\nstun = ann:hunter2 x@stun.example:x\n",
        "[node]\nname = ann:hunter2@x\n",
        "[node]\nlisten = http://ann:hunter2@x\n",
        "[node]\nhttps://ann:hunter2@relay.example/a=b\n",
        "[node]\nhttps://ann:hunter2@relay.example\n",
        "[node]\nadit://" KEY_A "?token=hunter2\n",
        "https://ann:hunter2@relay.example/a=b\n",
        "[exit]\nupstream = socks5h://ann:hunter2@/x\n",
        "[route]\nx.example = https://ann:hunter2@relay.example\n",
        "[forward]\n127.0.0.1:1 = https://ann:hunter2@relay.example\n",
        "[serve]\nweb = 80 https://ann:hunter2@relay.example\n",
        "[serve]\nweb = ann:hunter2@relay.example\n",
        PEER_A "relay = https://ann:hunter2@relay.example\n",
        PEER_A "relay = https://ann:my hunter2@relay.example\n",
        PEER_A "endpoint = ann:hunter2@home.example:x\n",
        PEER_A "allow = http://ann:hunter2@home.example:x\n",
        SERVER "cluster = http://ann:hunter2@nats.example\n",
        SERVER "cluster = nats://ann:hunter2@nats.example:x\n",
        SERVER "metrics = nats://ann:hunter2@nats.example:x\n",
        "[front]\nusers = ann:hunter2\n",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        refuse_silently(cases[i]);
    }
}

/* Cut off where the message is full, too. */
static void a_long_login_is_not_shown_either(void **state)
{
    (void)state;
    static const char start[] = "[relay r]\nurl = https://", end[] = "@relay.example\n";
    char text[2048];
    size_t len = sizeof(start) - 1;
    memcpy(text, start, len);
    for (; len < 1500; len += 7) {
        memcpy(text + len, "hunter2", 7);
    }
    memcpy(text + len, end, sizeof(end));
    refuse_silently(text);
}

static void what_is_wrong_is_said_all_the_same(void **state)
{
    (void)state;
    config_text_refuse("[relay r]\nurl = https://ann:hunter2@relay.example\n",
                       "f.ini:2: [relay r] url: \"https://...\" has a bad host or port; accepted: "
                       "http, https, ws or wss://HOST[:PORT][/PATH]");
    config_text_refuse_part("[node]\nname = ann:hunter2@x\n", "name: \"...\" is no name");
    config_text_refuse_part("[node]\nname = a b\n", "name: \"a b\" is no name");
}

static void a_secret_is_no_name_of_a_file(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[node]\nkey = " KEY_A "\n",
        "[node]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH/8=\n",
        PEER_A "psk = 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n",
        SERVER "cluster_secret = " KEY_B "\n",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        config_text_refuse_part(cases[i], "is a key itself: put it into a file");
    }
    config_text_refuse_part("[front]\nusers = ann:pw\n", "is NAME:PASSWORD itself");
}

static void files_may_have_odd_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "my.key",
        "a:b/users",
        "/etc/adit/keys/of/all/the/nodes/that/are/ours",
        "k",
        "a=",
        ":",
        "a-file-with-a-name-of-forty-four-characters.",
        "keys/of-all-the-nodes-that-there-ever-are",
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "[node]\nkey = %s\n", names[i]);
        struct config *c = config_text_parse(text);
        assert_non_null(strstr(c->node.key.path, names[i]));
        config_free(c);
    }
}

static void passwords_are_found(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[relay a]\nurl = http://a.example\n[relay b]\nurl = http://b.example\n"
         "proxy = http://ann:pw@p.example\n",
         "[relay b] proxy"},
        {SERVER "cluster = nats://a.example, nats://u:p@b.example\n", "[server] cluster"},
        {SERVER "cluster = tls://token@b.example\n", "[server] cluster"},
        {"[exit]\nupstream = socks5h://ann:pw@p.example\n", "[exit] upstream"},
        {"[relay a]\nurl = http://a.example\nproxy = http://p.example\n", NULL},
        {"[relay a]\nurl = http://a.example\nproxy = none\n[exit]\nupstream = none\n", NULL},
        {SERVER "cluster = nats://a.example\ncluster_secret = x\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char place[CONFIG_PASSWORD_PLACE];
        struct config *c = config_text_parse(cases[i][0]);
        const char *at = config_find_password(c, place);
        assert_true((at != NULL) == (cases[i][1] != NULL));
        if (at) {
            assert_string_equal(at, cases[i][1]);
        }
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_message_shows_a_login),
        cmocka_unit_test(a_long_login_is_not_shown_either),
        cmocka_unit_test(what_is_wrong_is_said_all_the_same),
        cmocka_unit_test(a_secret_is_no_name_of_a_file),
        cmocka_unit_test(files_may_have_odd_names),
        cmocka_unit_test(passwords_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
