/* Lines that people paste and other programs leave: introductions, invitations that wait, proxies'
 * addresses, hosts; and what a browser or a command says to the control socket. What is read is
 * written the same, an error leaves no trace, and whole and in pieces come to one end. The first
 * byte chooses. */
#include <base/addr.h>
#include <base/check.h>
#include <base/mem.h>

#include "control/control.h"
#include "control/http.h"
#include "control/why.h"
#include "policy/httpproxy.h"
#include "policy/invite.h"
#include "policy/pending.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void introduce(const char *text)
{
    static struct invite a, b;
    char out[INVITE_TEXT_MAX], again[INVITE_TEXT_MAX];
    memset(&a, 0xa5, sizeof(a));
    memcpy(&b, &a, sizeof(a));
    if (invite_parse(&a, text)) {
        CHECK(memcmp(&a, &b, sizeof(a)) == 0);
        return;
    }
    CHECK(strlen(invite_format(&a, out)) < sizeof(out));
    CHECK(invite_parse(&b, out) == NULL);
    CHECK(strcmp(invite_format(&b, again), out) == 0);
    CHECK(a.kind == b.kind && memcmp(a.secret, b.secret, sizeof(a.secret)) == 0);
    CHECK(strcmp(a.name, b.name) == 0 && a.pins_count == b.pins_count);
}

static void wait_for_answers(const char *text, size_t len)
{
    struct pending a, b;
    char out[PENDING_TEXT_MAX];
    int err = pending_parse(&a, text, len, 100);
    CHECK(a.count <= PENDING_MAX && (err == 0 || a.count == 0));
    size_t again = strlen(pending_format(&a, out));
    CHECK(pending_parse(&b, out, again, 100) == 0);
    CHECK(a.count == b.count);
    for (size_t i = 0; i < a.count; i++) {
        CHECK(a.items[i].expires_s == b.items[i].expires_s);
        CHECK(strcmp(a.items[i].relay, b.items[i].relay) == 0);
    }
}

static void go_through_proxy(const char *text)
{
    struct httpproxy p = {.port = 1};
    struct addr a;
    struct prefix prefix;
    char out[ADDR_TEXT_MAX];
    bool wrong = httpproxy_parse(&p, text) != NULL && httpproxy_parse_any(&p, text) != NULL;
    CHECK(p.port != 0 && memchr(p.host, 0, sizeof(p.host)) && memchr(p.login, 0, sizeof(p.login)));
    CHECK(wrong == (p.host[0] == '\0'));
    (void)httpproxy_excepts(text, "a.example", 80);
    CHECK(httpproxy_excepts(text, "127.0.0.1", 80));
    if (addr_parse(&a, text) == 0) {
        struct addr again;
        CHECK(addr_parse(&again, addr_format(&a, out)) == 0 && addr_equal(&a, &again));
    }
    if (prefix_parse(&prefix, text) == 0) {
        struct prefix again;
        CHECK(prefix_parse(&again, prefix_format(&prefix, out)) == 0);
        CHECK(prefix.bits == again.bits && prefix_contains(&again, &prefix.base));
    }
}

/* The whole text is read anew whenever more has come: once it is over it stays so. */
static void ask_control(const char *text, size_t len)
{
    struct control_request whole = {0}, part;
    enum control_progress end = control_parse_request(&whole, text, len);
    enum control_progress now = CONTROL_MORE;
    size_t step = len / 64 + 1;
    CHECK(end != CONTROL_COMPLETE || strlen(whole.path) <= CONTROL_PATH_MAX);
    for (size_t i = 0; i < len && now == CONTROL_MORE; i += step) {
        now = control_parse_request(&part, text, i);
    }
    if (now == CONTROL_COMPLETE) {
        CHECK(end == now && strcmp(part.path, whole.path) == 0 && part.get == whole.get);
    }
    CHECK(now != CONTROL_BAD || end == CONTROL_BAD);
}

static void hear_control(const char *text, size_t len)
{
    struct control_answer a = {0};
    if (control_parse_answer(&a, text, len, true) == CONTROL_COMPLETE && a.body_len > 0) {
        CHECK(a.body >= text && a.body + a.body_len <= text + len);
    }
    (void)control_parse_answer(&a, text, len, false);
    mem_free(control_describe(text, len));
    mem_free(control_describe_why(text, len));
    mem_free(control_describe_route(text, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1) {
        return 0;
    }
    char *text = malloc(len); /* without the first byte, and ended */
    CHECK(text);
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    switch (data[0] % 5) {
    case 0:
        introduce(text);
        break;
    case 1:
        wait_for_answers(text, len - 1);
        break;
    case 2:
        go_through_proxy(text);
        break;
    case 3:
        ask_control(text, len - 1);
        break;
    default:
        hear_control(text, len - 1);
    }
    free(text);
    return 0;
}
