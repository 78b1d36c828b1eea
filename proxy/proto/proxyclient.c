#include "proto/proxyclient.h"

#include <base/check.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    VERSION = 5,
    LOGIN_VERSION = 1,
    METHOD_NONE = 0,
    METHOD_LOGIN = 2,
    CONNECT = 1,
    ASSOCIATE = 3,
    ATYP_IPV4 = 1,
    ATYP_NAME = 3,
    ATYP_IPV6 = 4,
    STATUS_LINE = 12, /* "HTTP/1.1 200" */
};

static void put(struct proxyclient *c, const void *data, size_t len)
{
    CHECK(c->out_len + len <= sizeof(c->out));
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
}

static void put_byte(struct proxyclient *c, size_t byte)
{
    put(c, &(uint8_t){(uint8_t)byte}, 1);
}

static void expect(struct proxyclient *c, enum proxyclient_step step, size_t len)
{
    CHECK(len <= sizeof(c->in) || step == PROXYCLIENT_REST);
    c->step = step;
    c->in_len = 0;
    c->wants = len;
}

static void end(struct proxyclient *c, enum proxyclient_state state, enum cause cause)
{
    c->state = state;
    c->cause = cause;
    c->wants = 0;
}

static void fail(struct proxyclient *c, enum cause cause)
{
    end(c, PROXYCLIENT_FAILED, cause);
}

/* --- SOCKS5 ---------------------------------------------------------------------------------- */

static void greet(struct proxyclient *c)
{
    put_byte(c, VERSION);
    put_byte(c, c->login[0] ? 2 : 1);
    put_byte(c, METHOD_NONE);
    if (c->login[0]) {
        put_byte(c, METHOD_LOGIN);
    }
    expect(c, PROXYCLIENT_CHOICE, 2);
}

static void log_in(struct proxyclient *c)
{
    size_t name = strcspn(c->login, ":");
    const char *password = c->login + name + (c->login[name] == ':');
    put_byte(c, LOGIN_VERSION);
    put_byte(c, name);
    put(c, c->login, name);
    put_byte(c, strlen(password));
    put(c, password, strlen(password));
    expect(c, PROXYCLIENT_LOGIN, 2);
}

static void request(struct proxyclient *c)
{
    const struct target *t = &c->target;
    bool v6 = t->addr.family == ADDR_IPV6;
    put_byte(c, VERSION);
    put_byte(c, c->associate ? ASSOCIATE : CONNECT);
    put_byte(c, 0);
    if (t->kind == TARGET_NAME) {
        put_byte(c, ATYP_NAME);
        put_byte(c, strlen(t->name));
        put(c, t->name, strlen(t->name));
    } else {
        put_byte(c, v6 ? ATYP_IPV6 : ATYP_IPV4);
        put(c, t->addr.ip, v6 ? 16 : 4);
    }
    put_byte(c, (size_t)t->port >> 8);
    put_byte(c, t->port & 0xff);
    expect(c, PROXYCLIENT_REPLY, 5);
}

static void on_choice(struct proxyclient *c)
{
    if (c->in[0] == VERSION && c->in[1] == METHOD_NONE) {
        request(c);
    } else if (c->in[0] == VERSION && c->in[1] == METHOD_LOGIN && c->login[0]) {
        log_in(c);
    } else {
        fail(c, CAUSE_FAILED);
    }
}

/* RFC 1928 section 6 */
static enum cause cause_of_reply(uint8_t rep)
{
    static const enum cause causes[] = {
        [1] = CAUSE_FAILED,           [2] = CAUSE_NOT_ALLOWED, [3] = CAUSE_NET_UNREACHABLE,
        [4] = CAUSE_HOST_UNREACHABLE, [5] = CAUSE_REFUSED,     [6] = CAUSE_TIMED_OUT,
    };
    return rep < sizeof(causes) / sizeof(causes[0]) ? causes[rep] : CAUSE_FAILED;
}

static void on_reply(struct proxyclient *c)
{
    if (c->in[0] != VERSION) {
        fail(c, CAUSE_FAILED);
    } else if (c->in[1] != 0) {
        fail(c, cause_of_reply(c->in[1]));
    } else if (c->in[3] == ATYP_IPV4 || c->in[3] == ATYP_IPV6) {
        bool v6 = c->in[3] == ATYP_IPV6;
        c->bound.family = v6 ? ADDR_IPV6 : ADDR_IPV4;
        c->bound.ip[0] = c->in[4];
        expect(c, PROXYCLIENT_ADDRESS, (v6 ? 16 : 4) - 1 + 2);
    } else if (c->in[3] == ATYP_NAME) {
        expect(c, PROXYCLIENT_REST, (size_t)c->in[4] + 2);
    } else {
        fail(c, CAUSE_FAILED);
    }
}

static void on_address(struct proxyclient *c)
{
    size_t len = c->in_len - 2;
    memcpy(c->bound.ip + 1, c->in, len);
    c->bound.port = (uint16_t)(c->in[len] << 8 | c->in[len + 1]);
    end(c, PROXYCLIENT_CONNECTED, CAUSE_NONE);
}

/* --- HTTP ------------------------------------------------------------------------------------ */

static void connect_request(struct proxyclient *c)
{
    char text[TARGET_TEXT_MAX], base64[2 * PROXYCLIENT_LOGIN_MAX];
    (void)target_format(&c->target, text);
    int len =
        snprintf((char *)c->out, sizeof(c->out), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", text, text);
    c->out_len = (size_t)len;
    if (c->login[0]) {
        static const char field[] = "Proxy-Authorization: Basic ";
        (void)sodium_bin2base64(base64, sizeof(base64), (const unsigned char *)c->login,
                                strlen(c->login), sodium_base64_VARIANT_ORIGINAL);
        put(c, field, sizeof(field) - 1);
        put(c, base64, strlen(base64));
        put(c, "\r\n", 2);
        sodium_memzero(base64, sizeof(base64));
    }
    put(c, "\r\n", 2);
    expect(c, PROXYCLIENT_HEAD, 1);
}

static enum cause cause_of_status(const uint8_t *code)
{
    static const struct {
        char code[4];
        enum cause cause;
    } known[] = {
        {"403", CAUSE_NOT_ALLOWED},
        {"502", CAUSE_HOST_UNREACHABLE},
        {"503", CAUSE_HOST_UNREACHABLE},
        {"504", CAUSE_TIMED_OUT},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (memcmp(known[i].code, code, 3) == 0) {
            return known[i].cause;
        }
    }
    return CAUSE_FAILED;
}

static void on_head(struct proxyclient *c)
{
    bool good = c->in_len == STATUS_LINE && memcmp(c->in, "HTTP/1.", 7) == 0;
    if (good && c->in[9] == '2') {
        end(c, PROXYCLIENT_CONNECTED, CAUSE_NONE);
    } else {
        fail(c, good ? cause_of_status(c->in + 9) : CAUSE_FAILED);
    }
}

/* One byte at a time: nobody says where the head ends, and the rest is not ours. */
static void on_head_byte(struct proxyclient *c, uint8_t byte)
{
    if (c->in_len < STATUS_LINE) {
        c->in[c->in_len++] = byte;
    }
    if (byte == '\n') {
        c->line_ends++;
    } else if (byte != '\r') {
        c->line_ends = 0;
    }
    if (c->line_ends == 2) {
        on_head(c);
    } else if (++c->head_len >= PROXYCLIENT_HEAD_MAX) {
        fail(c, CAUSE_FAILED);
    }
}

/* --------------------------------------------------------------------------------------------- */

static void init(struct proxyclient *c, const char *login, const struct target *target)
{
    size_t len = strlen(login);
    CHECK(len <= PROXYCLIENT_LOGIN_MAX);
    *c = (struct proxyclient){.state = PROXYCLIENT_TALKING, .target = *target};
    memcpy(c->login, login, len + 1);
}

void proxyclient_init_associate(struct proxyclient *c, const char *login)
{
    const struct addr unknown = {.family = ADDR_IPV4}; /* from where it will be sent */
    struct target t;
    target_set_addr(&t, &unknown);
    init(c, login, &t);
    c->associate = true;
    greet(c);
}

void proxyclient_init(struct proxyclient *c, bool socks5, const char *login,
                      const struct target *target)
{
    init(c, login, target);
    if (socks5) {
        greet(c);
    } else {
        connect_request(c);
    }
}

void proxyclient_deinit(struct proxyclient *c)
{
    sodium_memzero(c, sizeof(*c));
}

size_t proxyclient_output(struct proxyclient *c, uint8_t *out)
{
    size_t len = c->out_len;
    memcpy(out, c->out, len);
    sodium_memzero(c->out, len);
    c->out_len = 0;
    return len;
}

size_t proxyclient_wants(const struct proxyclient *c)
{
    return c->wants;
}

static void on_piece(struct proxyclient *c)
{
    switch (c->step) {
    case PROXYCLIENT_CHOICE:
        on_choice(c);
        break;
    case PROXYCLIENT_LOGIN:
        if (c->in[1] == 0) {
            request(c);
        } else {
            fail(c, CAUSE_FAILED);
        }
        break;
    case PROXYCLIENT_REPLY:
        on_reply(c);
        break;
    case PROXYCLIENT_ADDRESS:
        on_address(c);
        break;
    case PROXYCLIENT_REST:
        end(c, PROXYCLIENT_CONNECTED, CAUSE_NONE);
        break;
    case PROXYCLIENT_HEAD:
        break;
    }
}

void proxyclient_input(struct proxyclient *c, const uint8_t *data, size_t len)
{
    CHECK(len <= c->wants);
    if (len == 0) {
        return;
    }
    if (c->step == PROXYCLIENT_HEAD) {
        on_head_byte(c, data[0]);
        return;
    }
    if (c->step != PROXYCLIENT_REST) {
        memcpy(c->in + c->in_len, data, len);
        c->in_len += len;
    }
    c->wants -= len;
    if (c->wants == 0) {
        on_piece(c);
    }
}
