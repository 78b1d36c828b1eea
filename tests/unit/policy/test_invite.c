#include "policy/invite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define TOKEN "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"

static void lines_are_read_and_written_alike(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "adit://" KEY "@relay.example.net?name=home&token=" TOKEN,
        "adit://" KEY "@relay.example.net:8443/other?name=home&token=" TOKEN,
        "adit://" KEY "@127.0.0.1:3340?name=home&via=http&token=" TOKEN,
        "adit://" KEY "@[2001:db8::1]:3340?name=home&via=ws&token=" TOKEN,
        "adit://" KEY "@r.example?name=h-1&via=wss&pin=sha256:" TOKEN "&pin=sha256:" KEY
        "&token=" TOKEN,
        "adit://" KEY "?name=home&endpoint=home.example.net:41741&token=" TOKEN,
        "adit://" KEY "@r.example?name=home&endpoint=[2001:db8::7]:41741&token=" TOKEN,
        "adit://" KEY "@r.example?name=h&stun=s.example:3478&stun=[2001:db8::7]:1"
        "&stun_derper=d.example:3478&token=" TOKEN,
        "adit://" KEY "?name=laptop&proof=" TOKEN,
    };
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct invite invite;
        char out[INVITE_TEXT_MAX];
        assert_null(invite_parse(&invite, lines[i]));
        assert_string_equal(invite_format(&invite, out), lines[i]);
    }
}

static void parts_land_where_they_belong(void **state)
{
    (void)state;
    struct invite i;
    assert_null(invite_parse(&i, " adit://" KEY "@Relay.example.net:3340?token=" TOKEN
                                 "&via=http&name=Home&endpoint=192.0.2.1:9\r\n"));
    assert_int_equal(i.kind, INVITE_OFFER);
    assert_string_equal(i.name, "home");
    assert_string_equal(i.relay.host, "relay.example.net");
    assert_string_equal(i.relay.path, "/derp");
    assert_int_equal(i.relay.port, 3340);
    assert_false(i.relay.tls);
    assert_int_equal(i.key.bytes[31], 31);
    assert_int_equal(i.secret[0], 32);
    assert_string_equal(i.endpoint.host, "192.0.2.1");
    assert_int_equal(i.endpoint.port, 9);
}

static void what_is_wrong_is_told_by_part(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"", "adit://"},
        {"http://relay.example.net", "adit://"},
        {"adit://", "key"},
        {"adit://abc@r.example?name=h&token=" TOKEN, "key"},
        {"adit://" KEY "x@r.example?name=h&token=" TOKEN, "key"},
        {"adit://" KEY "@r.example", "?name="},
        {"adit://" KEY "@r.example?name=home", "quotes"},
        {"adit://" KEY "@r.example?token=" TOKEN, "no name"},
        {"adit://" KEY "@r.example?name=&token=" TOKEN, "name"},
        {"adit://" KEY "@r.example?name=a_b&token=" TOKEN, "name"},
        {"adit://" KEY "@r.example?name=h&token=" TOKEN "x", "token"},
        {"adit://" KEY "@r.example?name=h&token=", "token"},
        {"adit://" KEY "?name=h&proof=abc", "proof"},
        {"adit://" KEY "@r.example?name=h&name=i&token=" TOKEN, "twice"},
        {"adit://" KEY "@r.example?name=h&token=" TOKEN "&proof=" TOKEN, "exclude"},
        {"adit://" KEY "@r.example?name=h&color=red&token=" TOKEN, "behind the ?"},
        {"adit://" KEY "@r.example?name=h&stun=x&token=" TOKEN, "STUN"},
        {"adit://" KEY "@r.example?name=h&stun=x:0&token=" TOKEN, "STUN"},
        {"adit://" KEY "@r.example?name=h&stun=x:1&stun=x:2&stun_derper=x:3&stun=x:4&stun=x:5"
         "&token=" TOKEN,
         "more than 4 STUN"},
        {"adit://" KEY "?name=laptop&stun=x:1&proof=" TOKEN, "nothing else"},
        {"adit://" KEY "@?name=h&token=" TOKEN, "relay"},
        {"adit://" KEY "@r.example:0?name=h&token=" TOKEN, "relay"},
        {"adit://" KEY "@r.example?via=ftp&name=h&token=" TOKEN, "via"},
        {"adit://" KEY "@r.example?via=httpsx&name=h&token=" TOKEN, "via"},
        {"adit://" KEY "@r.example?pin=md5:abc&name=h&token=" TOKEN, "pin"},
        {"adit://" KEY "?name=h&token=" TOKEN, "neither"},
        {"adit://" KEY "?name=h&endpoint=h:1&via=ws&token=" TOKEN, "no relay"},
        {"adit://" KEY "?name=h&endpoint=h&token=" TOKEN, "endpoint"},
        {"adit://" KEY "@r.example?name=h&proof=" TOKEN, "answer"},
        {"adit://" KEY "?name=h&endpoint=h:1&proof=" TOKEN, "answer"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct invite untouched;
        memset(&untouched, 0x5a, sizeof(untouched));
        struct invite invite = untouched;
        const char *why = invite_parse(&invite, cases[i].line);
        assert_non_null(why);
        if (!strstr(why, cases[i].why)) {
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].line, why, cases[i].why);
        }
        assert_memory_equal(&invite, &untouched, sizeof(invite));
    }
}

static void longest_line_fits(void **state)
{
    (void)state;
    struct invite i = {.kind = INVITE_OFFER, .has_relay = true, .pins_count = CONFIG_PINS_MAX};
    struct invite back;
    char out[INVITE_TEXT_MAX];
    memset(i.name, 'n', CONFIG_NAME_MAX);
    for (size_t k = 0; k < CONFIG_HOST_MAX; k++) {
        i.relay.host[k] = k % 60 == 59 ? '.' : 'h';
        i.endpoint.host[k] = i.relay.host[k];
    }
    memset(i.relay.path, '/', CONFIG_URL_PATH_MAX);
    i.relay.port = i.endpoint.port = 65535;
    i.relay.websocket = true;
    for (; i.stun_count < INVITE_STUN_MAX; i.stun_count++) {
        i.stun[i.stun_count] = (struct invite_stun){.at = i.endpoint, .derper = true};
    }
    assert_null(invite_parse(&back, invite_format(&i, out)));
    assert_string_equal(back.relay.path, i.relay.path);
    assert_string_equal(back.endpoint.host, i.endpoint.host);
}

/* --- proof ----------------------------------------------------------------------------------- */

struct pair {
    struct invite offer, answer;
    struct config_public_key joiner;
};

static struct pair make_pair(void)
{
    struct pair p;
    assert_null(invite_parse(&p.offer, "adit://" KEY "@r.example?name=home&token=" TOKEN));
    memset(p.joiner.bytes, 7, sizeof(p.joiner.bytes));
    invite_answer(&p.answer, &p.offer, &p.joiner, "laptop");
    return p;
}

static void answer_fits_its_invitation_only(void **state)
{
    (void)state;
    struct pair p = make_pair();
    assert_true(invite_is_answer(&p.answer, p.offer.secret, &p.offer.key));
    assert_string_equal(p.answer.name, "laptop");

    struct invite changed = p.answer;
    changed.key.bytes[0] ^= 1;
    assert_false(invite_is_answer(&changed, p.offer.secret, &p.offer.key));
    changed = p.answer;
    changed.name[0] = 'x';
    assert_false(invite_is_answer(&changed, p.offer.secret, &p.offer.key));
    changed = p.answer;
    changed.secret[31] ^= 1;
    assert_false(invite_is_answer(&changed, p.offer.secret, &p.offer.key));
    assert_false(invite_is_answer(&p.answer, p.answer.secret, &p.offer.key));
    assert_false(invite_is_answer(&p.answer, p.offer.secret, &p.joiner));
    changed = p.answer;
    changed.kind = INVITE_OFFER;
    assert_false(invite_is_answer(&changed, p.offer.secret, &p.offer.key));
}

static void answer_shows_neither_token_nor_psk(void **state)
{
    (void)state;
    struct pair p = make_pair();
    uint8_t psk[INVITE_SECRET_LEN];
    char text[INVITE_TEXT_MAX], key[INVITE_KEY_TEXT];
    invite_psk(psk, p.offer.secret, &p.offer.key, &p.joiner);
    invite_format(&p.answer, text);
    assert_null(strstr(text, TOKEN));
    assert_null(strstr(text, invite_format_key(psk, key)));
    assert_memory_not_equal(psk, p.offer.secret, sizeof(psk));
    assert_memory_not_equal(psk, p.answer.secret, sizeof(psk));
}

static void psk_is_of_this_pair_alone(void **state)
{
    (void)state;
    struct pair p = make_pair();
    uint8_t psk[INVITE_SECRET_LEN], other[INVITE_SECRET_LEN];
    invite_psk(psk, p.offer.secret, &p.offer.key, &p.joiner);
    invite_psk(other, p.offer.secret, &p.joiner, &p.offer.key);
    assert_memory_not_equal(psk, other, sizeof(psk));
    p.offer.secret[0] ^= 1;
    invite_psk(other, p.offer.secret, &p.offer.key, &p.joiner);
    assert_memory_not_equal(psk, other, sizeof(psk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_and_written_alike),
        cmocka_unit_test(parts_land_where_they_belong),
        cmocka_unit_test(what_is_wrong_is_told_by_part),
        cmocka_unit_test(longest_line_fits),
        cmocka_unit_test(answer_fits_its_invitation_only),
        cmocka_unit_test(answer_shows_neither_token_nor_psk),
        cmocka_unit_test(psk_is_of_this_pair_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
