#include "proto/socks5.h"

#include "proto/socksaddr.h"

#include <base/bytes.h>
#include <base/check.h>

#include <sodium.h>
#include <string.h>

enum {
    VERSION = 5,
    METHOD_NONE_NEEDED = 0x00,
    METHOD_PASSWORD = 0x02,
    METHOD_NONE_ACCEPTABLE = 0xff,
    GREETING_HEAD = 2,    /* version, number of methods */
    PASSWORD_VERSION = 1, /* RFC 1929's own */
    PASSWORD_HEAD = 2,    /* version, length of the user name */
    PASSWORD_WRONG = 1,
    REQUEST_HEAD = 4, /* version, command, reserved, address type */
    PORT_LEN = 2,
};

static void set_state(struct socks5 *s, enum socks5_state next)
{
    CHECK(s->state < SOCKS5_OPEN && next > s->state);
    s->state = next;
    s->in_len = 0;
}

void socks5_init(struct socks5 *s, bool password_needed)
{
    memset(s, 0, sizeof(*s));
    s->password_needed = password_needed;
    s->state = SOCKS5_GREETING;
}

static void queue(struct socks5 *s, const void *data, size_t len)
{
    CHECK(len <= sizeof(s->out) - s->out_len);
    memcpy(s->out + s->out_len, data, len);
    s->out_len = (uint8_t)(s->out_len + len);
}

/* Whoever asked for CONNECT does not need the address, and may read 10 bytes whatever they say. For
 * the other commands the address is the point. */
static void queue_reply(struct socks5 *s, enum socks5_rep rep, const struct addr *bound)
{
    uint8_t reply[SOCKS5_REPLY_MAX];
    struct writer w = writer_of(reply, sizeof(reply));
    bool shown = bound && (bound->family == ADDR_IPV4 || s->command != SOCKS5_CONNECT);
    write_u8(&w, VERSION);
    write_u8(&w, (uint8_t)rep);
    write_u8(&w, 0);
    socksaddr_write_ip(&w, shown ? bound : NULL);
    CHECK(!w.failed);
    queue(s, reply, writer_len(&w));
}

static void fail(struct socks5 *s, const char *why)
{
    s->why = why;
    set_state(s, SOCKS5_FAILED);
}

static void fail_with_reply(struct socks5 *s, enum socks5_rep rep, const char *why)
{
    queue_reply(s, rep, NULL);
    fail(s, why);
}

/* A message's length follows from its first bytes. These functions say how many bytes are needed
 * before more can be known; what they have looked at already stays the same. */
static size_t greeting_need(const struct socks5 *s)
{
    return s->in_len < GREETING_HEAD ? s->in_len + 1u : GREETING_HEAD + (size_t)s->in[1];
}

static size_t password_need(const struct socks5 *s)
{
    if (s->in_len < PASSWORD_HEAD) {
        return s->in_len + 1u;
    }
    size_t head = PASSWORD_HEAD + (size_t)s->in[1] + 1;
    return s->in_len < head ? head : head + s->in[head - 1];
}

static size_t request_need(const struct socks5 *s)
{
    if (s->in_len < REQUEST_HEAD) {
        return s->in_len + 1u;
    }
    switch (s->in[3]) {
    case SOCKSADDR_IPV4:
        return REQUEST_HEAD + 4 + PORT_LEN;
    case SOCKSADDR_IPV6:
        return REQUEST_HEAD + 16 + PORT_LEN;
    case SOCKSADDR_NAME:
        return s->in_len == REQUEST_HEAD ? REQUEST_HEAD + 1u
                                         : REQUEST_HEAD + 1u + s->in[REQUEST_HEAD] + PORT_LEN;
    default:
        return REQUEST_HEAD;
    }
}

static uint8_t choose_method(const struct socks5 *s)
{
    const uint8_t *offered = s->in + GREETING_HEAD;
    bool none = !s->password_needed && memchr(offered, METHOD_NONE_NEEDED, s->in[1]);
    bool password = memchr(offered, METHOD_PASSWORD, s->in[1]);
    if (none && !(password && s->name_wanted)) {
        return METHOD_NONE_NEEDED;
    }
    return password ? METHOD_PASSWORD : METHOD_NONE_ACCEPTABLE;
}

static void on_greeting(struct socks5 *s)
{
    if (s->in[0] != VERSION) {
        fail(s, "greeting is not SOCKS5");
        return;
    }
    if (s->in_len < greeting_need(s)) {
        return;
    }
    uint8_t method = choose_method(s);
    uint8_t choice[] = {VERSION, method};
    queue(s, choice, sizeof(choice));
    if (method == METHOD_NONE_ACCEPTABLE) {
        s->no_password = s->password_needed;
        fail(s, "no authentication method in common");
    } else {
        set_state(s, method == METHOD_PASSWORD ? SOCKS5_PASSWORD : SOCKS5_READING);
    }
}

static void on_password(struct socks5 *s)
{
    if (s->in[0] != PASSWORD_VERSION) {
        fail(s, "password message is not RFC 1929");
        return;
    }
    if (s->in_len < password_need(s)) {
        return;
    }
    s->state = SOCKS5_LOGIN; /* what came stays until it was looked at */
}

static bool known_command(uint8_t command)
{
    return command >= SOCKS5_CONNECT && command <= SOCKS5_ASSOCIATE;
}

static bool known_type(uint8_t type)
{
    return type == SOCKSADDR_IPV4 || type == SOCKSADDR_NAME || type == SOCKSADDR_IPV6;
}

/* A wrong command or name is answered after the whole request was taken: closing with bytes unread
 * would make the system send a reset, which can overtake the reply. */
static void on_request(struct socks5 *s)
{
    if (s->in[0] != VERSION) {
        fail_with_reply(s, SOCKS5_REP_FAILURE, "request is not SOCKS5");
        return;
    }
    if (s->in_len < request_need(s)) {
        return;
    }
    struct target t;
    struct reader r = reader_of(s->in + REQUEST_HEAD - 1, (size_t)s->in_len - REQUEST_HEAD + 1);
    if (!known_command(s->in[1])) {
        fail_with_reply(s, SOCKS5_REP_BAD_COMMAND, "command not supported");
    } else if (!known_type(s->in[3])) {
        fail_with_reply(s, SOCKS5_REP_BAD_ADDRESS_TYPE, "address type not supported");
    } else if (socksaddr_read(&r, &t) != 0) {
        fail_with_reply(s, SOCKS5_REP_FAILURE, "malformed name");
    } else {
        s->target = t;
        s->command = (enum socks5_command)s->in[1];
        set_state(s, SOCKS5_REQUEST);
    }
}

static bool wants_input(const struct socks5 *s)
{
    return s->state == SOCKS5_GREETING || s->state == SOCKS5_PASSWORD || s->state == SOCKS5_READING;
}

static size_t need_of(const struct socks5 *s)
{
    if (s->state == SOCKS5_GREETING) {
        return greeting_need(s);
    }
    return s->state == SOCKS5_PASSWORD ? password_need(s) : request_need(s);
}

static void on_bytes(struct socks5 *s)
{
    if (s->state == SOCKS5_GREETING) {
        on_greeting(s);
    } else if (s->state == SOCKS5_PASSWORD) {
        on_password(s);
    } else {
        on_request(s);
    }
}

size_t socks5_input(struct socks5 *s, const void *data, size_t len)
{
    struct reader r = reader_of(data, len);
    while (wants_input(s) && reader_left(&r) > 0) {
        size_t need = need_of(s) - s->in_len;
        size_t take = need < reader_left(&r) ? need : reader_left(&r);
        CHECK(take > 0 && take <= sizeof(s->in) - s->in_len);
        read_copy(&r, s->in + s->in_len, take);
        s->in_len = (uint16_t)(s->in_len + take);
        on_bytes(s);
    }
    return len - reader_left(&r);
}

size_t socks5_output(struct socks5 *s, void *out, size_t cap)
{
    size_t len = s->out_len < cap ? s->out_len : cap;
    if (len > 0) {
        memcpy(out, s->out, len);
        memmove(s->out, s->out + len, s->out_len - len);
        s->out_len = (uint8_t)(s->out_len - len);
    }
    return len;
}

enum socks5_state socks5_state(const struct socks5 *s)
{
    return s->state;
}

const struct target *socks5_target(const struct socks5 *s)
{
    CHECK(s->state >= SOCKS5_REQUEST);
    return &s->target;
}

const char *socks5_why(const struct socks5 *s)
{
    return s->why;
}

struct socks5_login socks5_login(const struct socks5 *s)
{
    CHECK(s->state == SOCKS5_LOGIN);
    struct socks5_login login = {.user_len = s->in[1]};
    login.user = (const char *)s->in + PASSWORD_HEAD;
    login.password_len = s->in[PASSWORD_HEAD + login.user_len];
    login.password = login.user + login.user_len + 1;
    return login;
}

void socks5_authorize(struct socks5 *s, bool right)
{
    CHECK(s->state == SOCKS5_LOGIN);
    uint8_t answer[] = {PASSWORD_VERSION, right ? 0 : PASSWORD_WRONG};
    sodium_memzero(s->in, sizeof(s->in));
    queue(s, answer, sizeof(answer));
    if (right) {
        set_state(s, SOCKS5_READING);
    } else {
        fail(s, "wrong user name or password");
    }
}

enum socks5_command socks5_command(const struct socks5 *s)
{
    CHECK(s->state >= SOCKS5_REQUEST);
    return s->command;
}

void socks5_bound(struct socks5 *s, const struct addr *at)
{
    CHECK(s->state == SOCKS5_REQUEST && s->command == SOCKS5_BIND);
    queue_reply(s, SOCKS5_REP_OK, at);
}

void socks5_reply(struct socks5 *s, enum socks5_rep rep, const struct addr *bound)
{
    CHECK(s->state == SOCKS5_REQUEST);
    queue_reply(s, rep, bound);
    set_state(s, rep == SOCKS5_REP_OK ? SOCKS5_OPEN : SOCKS5_FAILED);
}

const char *socks5_state_name(enum socks5_state state)
{
    switch (state) {
    case SOCKS5_GREETING:
        return "greeting";
    case SOCKS5_PASSWORD:
        return "password";
    case SOCKS5_LOGIN:
        return "login";
    case SOCKS5_READING:
        return "reading";
    case SOCKS5_REQUEST:
        return "request";
    case SOCKS5_OPEN:
        return "open";
    case SOCKS5_FAILED:
        return "failed";
    }
    NEVER();
}
