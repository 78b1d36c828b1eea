/* The front on whatever an application says: the pieces in which it comes change nothing, and what
 * a user name asks for is a part of it. The first byte says how it is cut and what is asked for. */
#include "policy/wish.h"
#include "session/front.h"

#include <base/check.h>

#include <stdlib.h>
#include <string.h>

enum { NOW = 1000, OUT_MAX = 64 << 10 };

struct run {
    struct front f;
    unsigned logins, connects;
    size_t taken, out_len, user_len;
    uint8_t out[OUT_MAX];
    char target[TARGET_TEXT_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config *peers(void)
{
    static struct config_peer list[2] = {{.name = "home"}, {.name = "a-b"}};
    static struct config config = {.peers = list, .peers_count = 2};
    return &config;
}

static void on_login(struct run *r)
{
    struct httpreq_login l;
    front_login(&r->f, &l);
    struct wish w = wish_parse(peers(), l.user, l.user_len);
    CHECK(w.name_len <= l.user_len && (!w.exit || w.peer < 2));
    CHECK(w.exit || w.path_given || w.name_len == l.user_len);
    r->user_len += l.user_len;
    r->logins++;
    front_authorize(&r->f, l.user_len % 3 != 1, NOW);
}

static void look(struct run *r)
{
    enum front_event_type ev;
    while ((ev = front_event(&r->f)) != FRONT_EVENT_NONE) {
        if (ev == FRONT_EVENT_LOGIN) {
            on_login(r);
        } else if (ev == FRONT_EVENT_CONNECT) {
            struct target again;
            (void)target_format(front_target(&r->f), r->target);
            CHECK(target_parse(&again, r->target, strlen(r->target)) == 0);
            CHECK(target_equal(&again, front_target(&r->f)));
            r->connects++;
            front_failed(&r->f, CAUSE_REFUSED, NOW);
        }
    }
    while (r->out_len < OUT_MAX && front_output(&r->f, r->out + r->out_len, 1) == 1) {
        r->out_len++;
    }
}

/* Until nothing more is taken. */
static void say(struct run *r, const uint8_t *data, size_t len)
{
    size_t taken;
    unsigned logins;
    do {
        logins = r->logins;
        taken = front_input(&r->f, data, len, NOW);
        CHECK(taken <= len);
        data += taken;
        len -= taken;
        r->taken += taken;
        look(r);
    } while (len > 0 && (taken > 0 || r->logins > logins));
}

static void run(struct run *r, const uint8_t *data, size_t len, size_t piece, unsigned how)
{
    const struct front_options options = {.password_needed = how & 1, .name_wanted = how & 2};
    memset(r, 0, sizeof(*r));
    front_init(&r->f, &front_times_default, &options, NOW);
    for (size_t at = 0; at < len; at += piece) {
        say(r, data + at, piece < len - at ? piece : len - at);
    }
    front_tick(&r->f, NOW + front_times_default.negotiate);
    look(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, pieces;
    if (size < 2) {
        return 0;
    }
    run(&whole, data + 1, size - 1, size, data[0]);
    run(&pieces, data + 1, size - 1, 1 + (data[0] >> 2), data[0]);
    CHECK(whole.connects == pieces.connects && whole.logins == pieces.logins);
    CHECK(whole.user_len == pieces.user_len && strcmp(whole.target, pieces.target) == 0);
    CHECK(whole.out_len == pieces.out_len && memcmp(whole.out, pieces.out, whole.out_len) == 0);
    CHECK(front_state(&whole.f) == front_state(&pieces.f));
    front_deinit(&whole.f);
    front_deinit(&pieces.f);
    return 0;
}
