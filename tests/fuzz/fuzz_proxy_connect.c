/* What an HTTP proxy before a relay answers: whole or in pieces the same comes of it, and nothing
 * behind its header is taken. The first byte says how it is cut. */
#include "relay/proxy_connect.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The verdict, and how much of it the proxy's was. */
static int feed(struct proxy_connect *p, const uint8_t *data, size_t len, size_t step,
                size_t *taken)
{
    char out[PROXY_CONNECT_REQUEST_MAX];
    size_t used;
    CHECK(proxy_connect_start(p, "::1", 443, step & 1 ? "ann:pw" : NULL, out) == (int)strlen(out));
    *taken = 0;
    for (size_t at = 0; at < len; at += step) {
        size_t part = len - at < step ? len - at : step;
        int got = proxy_connect_input(p, data + at, part, &used);
        CHECK(used <= part && memchr(p->why, 0, sizeof(p->why)));
        CHECK(got == 0 || got == 1 || got == ERR_REFUSED || got == ERR_MALFORMED);
        CHECK((got < 0) == (p->why[0] != '\0'));
        *taken += used;
        if (got != 0) {
            return got;
        }
        CHECK(used == part && *taken <= PROXY_CONNECT_ANSWER_MAX);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct proxy_connect whole, pieces;
    size_t whole_taken, pieces_taken;
    if (len < 2) {
        return 0;
    }
    size_t step = data[0] ? data[0] : 1;
    /* What is too long is found out later by who reads all of it at once. */
    len = len - 1 < PROXY_CONNECT_ANSWER_MAX ? len - 1 : PROXY_CONNECT_ANSWER_MAX;
    int a = feed(&whole, data + 1, len, len, &whole_taken);
    int b = feed(&pieces, data + 1, len, step, &pieces_taken);
    CHECK(a == b && whole.http.status_code == pieces.http.status_code);
    if (a == 1) {
        CHECK(whole_taken == pieces_taken && whole.http.status_code / 100 == 2);
        /* Behind CR the parser takes any byte for LF. */
        CHECK(data[whole_taken] == '\n' || data[whole_taken - 1] == '\r');
    }
    return 0;
}
