/* Who answers in a relay's place may say anything, at any time. What it says in one piece and in
 * many comes to the same; only who knows our challenge is taken for the relay; and it is never
 * asked without a pause. Steps of two bytes: what happens, how much; answers follow in place, with
 * "@" for the challenge. */
#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include "relay/portal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ANSWER = 1024 };

struct world {
    struct portal p;
    struct pcg pcg;
    uint64_t now;
    uint64_t asked; /* when it said so last */
    bool open;      /* a connection */
    bool told;      /* the challenge was in what was answered */
};

static void take_events(struct world *w)
{
    enum portal_event ev;
    char out[PORTAL_REQUEST_MAX];
    while (portal_event(&w->p, &ev)) {
        switch (ev) {
        case PORTAL_EV_ASK:
            CHECK(!w->open && (w->asked == 0 || w->now - w->asked >= PORTAL_LEAST_NS));
            w->asked = w->now;
            w->open = true;
            w->told = false;
            CHECK(portal_request(&w->p, "relay.example:8080", out) == (int)strlen(out));
            break;
        case PORTAL_EV_CLOSE:
            w->open = false;
            break;
        case PORTAL_EV_FOUND:
        case PORTAL_EV_GONE:
            CHECK(w->p.stands == (ev == PORTAL_EV_FOUND));
            break;
        case PORTAL_EV_ASKED:
            break;
        }
    }
    CHECK(w->open == w->p.asking);
}

static size_t fill_in(struct world *w, char out[ANSWER], const uint8_t *data, size_t len)
{
    struct writer r = writer_of(out, ANSWER);
    for (size_t i = 0; i < len; i++) {
        bool here = data[i] == '@';
        write_bytes(&r, here ? (const void *)w->p.challenge : data + i,
                    here ? PORTAL_CHALLENGE : 1);
        w->told = w->told || here;
    }
    return writer_len(&r);
}

static void answer(struct world *w, struct reader *script, uint8_t amount)
{
    char text[ANSWER];
    struct portal pieces = w->p;
    size_t len = amount < reader_left(script) ? amount : reader_left(script);
    len = fill_in(w, text, read_bytes(script, len), len);
    bool stood = w->p.stands;
    if (len == 0) {
        return; /* the end, to the parser */
    }
    pieces.http.data = &pieces;
    for (size_t i = 0; i < len; i++) {
        portal_input(&pieces, text + i, 1, w->now);
    }
    portal_input(&w->p, text, len, w->now);
    CHECK(pieces.asking == w->p.asking && pieces.stands == w->p.stands);
    CHECK(pieces.again_ns == w->p.again_ns && pieces.events == w->p.events);
    CHECK(!stood || w->p.stands || w->told);
}

static void step(struct world *w, struct reader *script)
{
    uint8_t what = read_u8(script);
    uint8_t amount = read_u8(script);
    switch (what % 8) {
    case 0:
        portal_suspect(&w->p, amount, w->now);
        break;
    case 1:
        portal_closed(&w->p, w->now);
        break;
    case 2:
        portal_clear(&w->p);
        break;
    case 3:
        portal_moved(&w->p, w->now);
        break;
    case 4:
        w->now += (uint64_t)amount * NS_PER_S / (what & 8 ? 1 : 10);
        break;
    default:
        answer(w, script, amount);
    }
    take_events(w);
    portal_tick(&w->p, w->now);
    take_events(w);
    CHECK(portal_next_ns(&w->p) > w->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct world w = {.now = NS_PER_S};
    struct reader script = reader_of(data, len);
    portal_init(&w.p, pcg_rng(&w.pcg, 1));
    while (reader_left(&script) >= 2) {
        step(&w, &script);
    }
    return 0;
}
