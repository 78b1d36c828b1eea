#include "proto/socks4.h"

#include <base/bytes.h>
#include <base/check.h>

#include <string.h>

enum {
    VERSION = 4,
    REPLY_VERSION = 0, /* of the reply itself, not of the protocol */
    REPLY_GRANTED = 0x5a,
    REPLY_REJECTED = 0x5b,
};

static void set_state(struct socks4 *s, enum socks4_state next)
{
    CHECK(s->state < SOCKS4_OPEN && next > s->state);
    s->state = next;
}

void socks4_init(struct socks4 *s)
{
    memset(s, 0, sizeof(*s));
    s->state = SOCKS4_READING;
}

static void queue_reply(struct socks4 *s, bool granted, const struct addr *bound)
{
    struct writer w = writer_of(s->out + s->out_len, sizeof(s->out) - s->out_len);
    write_u8(&w, REPLY_VERSION);
    write_u8(&w, granted ? REPLY_GRANTED : REPLY_REJECTED);
    if (granted && bound && bound->family == ADDR_IPV4) {
        write_u16(&w, bound->port);
        write_bytes(&w, bound->ip, 4);
    } else {
        write_be(&w, 0, 6);
    }
    CHECK(!w.failed && writer_len(&w) == SOCKS4_REPLY_LEN);
    s->out_len = (uint8_t)(s->out_len + SOCKS4_REPLY_LEN);
}

static void fail(struct socks4 *s, const char *why)
{
    s->why = why;
    queue_reply(s, false, NULL);
    set_state(s, SOCKS4_FAILED);
}

static bool has_name(const struct socks4 *s)
{
    const uint8_t *ip = s->head + 4;
    return ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0;
}

/* The request is whole. */
static void on_request(struct socks4 *s)
{
    struct reader r = reader_of(s->head + 2, SOCKS4_HEAD_LEN - 2);
    struct addr a = {.family = ADDR_IPV4};
    a.port = read_u16(&r);
    read_copy(&r, a.ip, 4);
    if (s->head[1] != SOCKS4_CONNECT && s->head[1] != SOCKS4_BIND) {
        fail(s, "command not supported");
        return;
    }
    if (!has_name(s)) {
        target_set_addr(&s->target, &a);
    } else if (target_set_name(&s->target, s->name, s->name_len, a.port) != 0) {
        fail(s, "malformed name");
        return;
    }
    set_state(s, SOCKS4_REQUEST);
}

static void take_user(struct socks4 *s, uint8_t byte)
{
    if (byte != 0) {
        if (s->user_len == SOCKS4_USER_MAX) {
            fail(s, "user id too long");
        } else {
            s->user[s->user_len++] = (char)byte;
        }
    } else if (has_name(s)) {
        s->in_name = true;
    } else {
        on_request(s);
    }
}

static void take_name(struct socks4 *s, uint8_t byte)
{
    if (byte == 0) {
        on_request(s);
    } else if (s->name_len == TARGET_NAME_MAX) {
        fail(s, "name too long");
    } else {
        s->name[s->name_len++] = (char)byte;
    }
}

static void take(struct socks4 *s, uint8_t byte)
{
    if (s->head_len == SOCKS4_HEAD_LEN) {
        if (s->in_name) {
            take_name(s, byte);
        } else {
            take_user(s, byte);
        }
        return;
    }
    s->head[s->head_len++] = byte;
    if (s->head[0] != VERSION) {
        fail(s, "request is not SOCKS4");
    }
}

size_t socks4_input(struct socks4 *s, const void *data, size_t len)
{
    const uint8_t *at = data;
    size_t taken = 0;
    while (taken < len && s->state == SOCKS4_READING) {
        take(s, at[taken++]);
    }
    return taken;
}

size_t socks4_output(struct socks4 *s, void *out, size_t cap)
{
    size_t len = s->out_len < cap ? s->out_len : cap;
    if (len > 0) {
        memcpy(out, s->out, len);
        memmove(s->out, s->out + len, s->out_len - len);
        s->out_len = (uint8_t)(s->out_len - len);
    }
    return len;
}

enum socks4_state socks4_state(const struct socks4 *s)
{
    return s->state;
}

const struct target *socks4_target(const struct socks4 *s)
{
    CHECK(s->state >= SOCKS4_REQUEST);
    return &s->target;
}

enum socks4_command socks4_command(const struct socks4 *s)
{
    CHECK(s->state >= SOCKS4_REQUEST);
    return (enum socks4_command)s->head[1];
}

const char *socks4_why(const struct socks4 *s)
{
    return s->why;
}

bool socks4_bound(struct socks4 *s, const struct addr *at)
{
    CHECK(s->state == SOCKS4_REQUEST && socks4_command(s) == SOCKS4_BIND);
    if (at->family != ADDR_IPV4) {
        return false;
    }
    queue_reply(s, true, at);
    return true;
}

void socks4_reply(struct socks4 *s, bool granted, const struct addr *bound)
{
    CHECK(s->state == SOCKS4_REQUEST);
    queue_reply(s, granted, bound);
    set_state(s, granted ? SOCKS4_OPEN : SOCKS4_FAILED);
}

const char *socks4_state_name(enum socks4_state state)
{
    switch (state) {
    case SOCKS4_READING:
        return "reading";
    case SOCKS4_REQUEST:
        return "request";
    case SOCKS4_OPEN:
        return "open";
    case SOCKS4_FAILED:
        return "failed";
    }
    NEVER();
}
