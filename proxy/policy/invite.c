#include "policy/invite.h"

#include "policy/host.h"

#include <base/check.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_CHARS = INVITE_KEY_TEXT - 1,
    VIA_MAX = 5,
    VALUE_MAX = 300,
};

static const char scheme[] = "adit://";

/* The parts of the query that were there. */
enum {
    HAS_NAME = 1,
    HAS_TOKEN = 2,
    HAS_PROOF = 4,
    HAS_VIA = 8,
    HAS_PIN = 16,
    HAS_ENDPOINT = 32,
    HAS_STUN = 64,
    HAS_STUN_DERPER = 128,
    HAS_MANY = HAS_PIN | HAS_STUN | HAS_STUN_DERPER, /* may be there more than once */
};

struct parse {
    struct invite invite;
    unsigned seen;
    char via[VIA_MAX + 1];
};

/* --- text ------------------------------------------------------------------------------------ */

const char *invite_format_key(const uint8_t key[INVITE_SECRET_LEN], char out[INVITE_KEY_TEXT])
{
    return sodium_bin2base64(out, INVITE_KEY_TEXT, key, INVITE_SECRET_LEN,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool invite_parse_key(uint8_t out[INVITE_SECRET_LEN], const char *text, size_t len)
{
    size_t got = 0;
    const char *end = NULL;
    return len == KEY_CHARS &&
           sodium_base642bin(out, INVITE_SECRET_LEN, text, len, NULL, &got, &end,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           got == INVITE_SECRET_LEN && end == text + len;
}

static const char *take_secret(struct parse *p, enum invite_kind kind, const char *value)
{
    p->invite.kind = kind;
    if (invite_parse_key(p->invite.secret, value, strlen(value))) {
        return NULL;
    }
    return kind == INVITE_OFFER ? "the token is no 43 characters of base64url (is it cut off?)"
                                : "the proof is no 43 characters of base64url (is it cut off?)";
}

static const char *take_name(struct parse *p, const char *value)
{
    return config_set_name(p->invite.name, value) ? NULL : "the name is not letters, digits and -";
}

static const char *take_via(struct parse *p, const char *value)
{
    bool known = strcmp(value, "http") == 0 || strcmp(value, "https") == 0 ||
                 strcmp(value, "ws") == 0 || strcmp(value, "wss") == 0;
    (void)snprintf(p->via, sizeof(p->via), "%.*s", VIA_MAX, value);
    return known ? NULL : "via is not http, https, ws or wss";
}

static const char *take_pin(struct parse *p, const char *value)
{
    if (p->invite.pins_count == CONFIG_PINS_MAX) {
        return "there are more than 4 pins";
    }
    return config_parse_pin(&p->invite.pins[p->invite.pins_count++], value)
               ? NULL
               : "a pin is not sha256: and a hash";
}

static bool parse_endpoint(struct config_endpoint *at, const char *value)
{
    return host_split(at->host, &at->port, value, strlen(value)) && at->port != 0;
}

static const char *take_endpoint(struct parse *p, const char *value)
{
    return parse_endpoint(&p->invite.endpoint, value) ? NULL : "the endpoint is no HOST:PORT";
}

static const char *take_stun(struct parse *p, const char *value, bool derper)
{
    if (p->invite.stun_count == INVITE_STUN_MAX) {
        return "there are more than 4 STUN servers";
    }
    struct invite_stun *s = &p->invite.stun[p->invite.stun_count++];
    s->derper = derper;
    return parse_endpoint(&s->at, value) ? NULL : "a STUN server is no HOST:PORT";
}

static const char *take_value(struct parse *p, unsigned part, const char *value)
{
    switch (part) {
    case HAS_NAME:
        return take_name(p, value);
    case HAS_TOKEN:
        return take_secret(p, INVITE_OFFER, value);
    case HAS_PROOF:
        return take_secret(p, INVITE_ANSWER, value);
    case HAS_VIA:
        return take_via(p, value);
    case HAS_PIN:
        return take_pin(p, value);
    case HAS_STUN:
        return take_stun(p, value, false);
    case HAS_STUN_DERPER:
        return take_stun(p, value, true);
    default:
        return take_endpoint(p, value);
    }
}

/* "KEY=VALUE" of `len` bytes. */
static const char *take_part(struct parse *p, const char *text, size_t len)
{
    static const struct {
        const char *name;
        unsigned part;
    } parts[] = {{"name=", HAS_NAME},   {"token=", HAS_TOKEN},
                 {"proof=", HAS_PROOF}, {"via=", HAS_VIA},
                 {"pin=", HAS_PIN},     {"endpoint=", HAS_ENDPOINT},
                 {"stun=", HAS_STUN},   {"stun_derper=", HAS_STUN_DERPER}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t name_len = strlen(parts[i].name);
        if (len < name_len || strncmp(text, parts[i].name, name_len) != 0) {
            continue;
        }
        if ((p->seen & parts[i].part & ~(unsigned)HAS_MANY) != 0) {
            return "a part behind the ? is there twice";
        }
        p->seen |= parts[i].part;
        char value[VALUE_MAX + 1];
        if (len - name_len > VALUE_MAX) {
            return "a part behind the ? is too long";
        }
        memcpy(value, text + name_len, len - name_len);
        value[len - name_len] = '\0';
        const char *why = take_value(p, parts[i].part, value);
        sodium_memzero(value, sizeof(value));
        return why;
    }
    return "behind the ? is more than name, token or proof, via, pin, endpoint, stun";
}

static const char *take_query(struct parse *p, const char *text, size_t len)
{
    const char *why = NULL;
    const char *end = text + len;
    while (!why && text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text));
        stop = stop ? stop : end;
        why = take_part(p, text, (size_t)(stop - text));
        text = stop < end ? stop + 1 : end;
    }
    if (why) {
        return why;
    }
    if (!(p->seen & HAS_NAME)) {
        return "there is no name= (was the & eaten by the shell? put it into quotes)";
    }
    if (!(p->seen & (HAS_TOKEN | HAS_PROOF))) {
        return "there is no token= and no proof= (was the & eaten by the shell? put it into "
               "quotes)";
    }
    return (p->seen & HAS_TOKEN) && (p->seen & HAS_PROOF) ? "token and proof exclude each other"
                                                          : NULL;
}

/* HOST[:PORT][/PATH]: behind the @. */
static const char *take_relay(struct parse *p, const char *text, size_t len)
{
    char url[CONFIG_URL_TEXT_MAX];
    int made =
        snprintf(url, sizeof(url), "%s://%.*s", p->via[0] ? p->via : "https", (int)len, text);
    p->invite.has_relay = true;
    if (made < 0 || (size_t)made >= sizeof(url)) {
        return "the relay behind the @ is too long";
    }
    return config_parse_url(&p->invite.relay, url)
               ? "the relay behind the @ is no HOST[:PORT][/PATH]"
               : NULL;
}

static const char *check_kind(const struct parse *p)
{
    const struct invite *i = &p->invite;
    if (i->kind == INVITE_OFFER && !i->has_relay && i->endpoint.port == 0) {
        return "neither a relay (@HOST) nor an endpoint is named";
    }
    if (i->kind == INVITE_ANSWER &&
        (i->has_relay || (p->seen & (HAS_VIA | HAS_MANY | HAS_ENDPOINT | HAS_TOKEN)))) {
        return "an answer has a name and a proof and nothing else";
    }
    return !i->has_relay && (p->seen & (HAS_VIA | HAS_PIN)) ? "via and pin are there, but no relay"
                                                            : NULL;
}

/* Behind "adit://". */
static const char *parse_rest(struct parse *p, const char *text, size_t len)
{
    const char *query = memchr(text, '?', len);
    size_t front = query ? (size_t)(query - text) : len;
    const char *at = memchr(text, '@', front);
    size_t key = at ? (size_t)(at - text) : front;
    if (!invite_parse_key(p->invite.key.bytes, text, key)) {
        return "the key behind adit:// is no 43 characters of base64url";
    }
    if (!query) {
        return "there is no ?name=";
    }
    const char *why = take_query(p, query + 1, len - front - 1);
    if (!why && at) {
        why = take_relay(p, at + 1, front - key - 1);
    }
    return why ? why : check_kind(p);
}

const char *invite_parse(struct invite *out, const char *text)
{
    static const char space[] = " \t\r\n";
    struct parse p = {.seen = 0};
    text += strspn(text, space);
    size_t len = strlen(text);
    while (len > 0 && strchr(space, text[len - 1])) {
        len--;
    }
    if (len < strlen(scheme) || strncmp(text, scheme, strlen(scheme)) != 0) {
        return "it does not start with adit://";
    }
    const char *why = parse_rest(&p, text + strlen(scheme), len - strlen(scheme));
    if (!why) {
        *out = p.invite;
    }
    sodium_memzero(&p, sizeof(p));
    return why;
}

static void append(char out[INVITE_TEXT_MAX], const char *name, const char *value)
{
    size_t len = strlen(out);
    int more = snprintf(out + len, INVITE_TEXT_MAX - len, "%s%s", name, value);
    CHECK(more >= 0 && (size_t)more < INVITE_TEXT_MAX - len);
}

static void append_relay(char out[INVITE_TEXT_MAX], const struct invite *i, char via[VIA_MAX + 1])
{
    char url[CONFIG_URL_TEXT_MAX];
    const char *behind = strstr(config_format_url(&i->relay, url), "://");
    CHECK(behind && behind - url <= VIA_MAX);
    memcpy(via, url, (size_t)(behind - url));
    via[behind - url] = '\0';
    append(out, "@", behind + 3);
}

static void append_endpoint(char out[INVITE_TEXT_MAX], const char *name,
                            const struct config_endpoint *at)
{
    char port[8];
    bool v6 = strchr(at->host, ':') != NULL;
    (void)snprintf(port, sizeof(port), "%u", (unsigned)at->port);
    append(out, name, v6 ? "[" : "");
    append(out, at->host, v6 ? "]:" : ":");
    append(out, port, "");
}

static void append_offer(char out[INVITE_TEXT_MAX], const struct invite *i, const char *via)
{
    if (via[0] && strcmp(via, "https") != 0) {
        append(out, "&via=", via);
    }
    for (size_t k = 0; k < i->pins_count; k++) {
        char pin[INVITE_KEY_TEXT]; /* base64url: nothing in it means anything in a URL */
        append(out, "&pin=sha256:", invite_format_key(i->pins[k].bytes, pin));
    }
    if (i->endpoint.port != 0) {
        append_endpoint(out, "&endpoint=", &i->endpoint);
    }
    for (size_t k = 0; k < i->stun_count; k++) {
        append_endpoint(out, i->stun[k].derper ? "&stun_derper=" : "&stun=", &i->stun[k].at);
    }
}

const char *invite_format(const struct invite *i, char out[INVITE_TEXT_MAX])
{
    char text[INVITE_KEY_TEXT];
    char via[VIA_MAX + 1] = "";
    out[0] = '\0';
    append(out, scheme, invite_format_key(i->key.bytes, text));
    if (i->has_relay) {
        append_relay(out, i, via);
    }
    append(out, "?name=", i->name);
    append_offer(out, i, via);
    append(out,
           i->kind == INVITE_OFFER ? "&token=" : "&proof=", invite_format_key(i->secret, text));
    sodium_memzero(text, sizeof(text));
    return out;
}

/* --- proof ----------------------------------------------------------------------------------- */

/* What it is for stands first, so that no proof is ever a psk; all but the name has a fixed length.
 */
static void derive(uint8_t out[INVITE_SECRET_LEN], const char purpose[16],
                   const uint8_t token[INVITE_SECRET_LEN], const struct config_public_key *inviter,
                   const struct config_public_key *joiner, const char *name)
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, token, INVITE_SECRET_LEN, INVITE_SECRET_LEN);
    (void)crypto_generichash_update(&state, (const unsigned char *)purpose, 16);
    (void)crypto_generichash_update(&state, inviter->bytes, sizeof(inviter->bytes));
    (void)crypto_generichash_update(&state, joiner->bytes, sizeof(joiner->bytes));
    (void)crypto_generichash_update(&state, (const unsigned char *)name, strlen(name));
    (void)crypto_generichash_final(&state, out, INVITE_SECRET_LEN);
    sodium_memzero(&state, sizeof(state));
}

void invite_answer(struct invite *answer, const struct invite *offer,
                   const struct config_public_key *key, const char *name)
{
    *answer = (struct invite){.kind = INVITE_ANSWER, .key = *key};
    (void)snprintf(answer->name, sizeof(answer->name), "%s", name);
    derive(answer->secret, "adit answer v1 ", offer->secret, &offer->key, key, answer->name);
}

bool invite_is_answer(const struct invite *answer, const uint8_t token[INVITE_SECRET_LEN],
                      const struct config_public_key *inviter)
{
    uint8_t proof[INVITE_SECRET_LEN];
    derive(proof, "adit answer v1 ", token, inviter, &answer->key, answer->name);
    bool same = answer->kind == INVITE_ANSWER &&
                sodium_memcmp(proof, answer->secret, INVITE_SECRET_LEN) == 0;
    sodium_memzero(proof, sizeof(proof));
    return same;
}

void invite_psk(uint8_t out[INVITE_SECRET_LEN], const uint8_t token[INVITE_SECRET_LEN],
                const struct config_public_key *inviter, const struct config_public_key *joiner)
{
    derive(out, "adit psk v1    ", token, inviter, joiner, "");
}
