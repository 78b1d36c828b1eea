/* What an upstream proxy answers: the first byte chooses protocol, login and target, the rest are
 * its bytes. Whole or one by one, the same comes of it, and never more is taken than it wants. */
#include "proto/proxyclient.h"

#include <base/check.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(struct proxyclient *c, uint8_t choice)
{
    static const char *const targets[] = {"a.example:80", "192.0.2.1:1", "[2001:db8::1]:443"};
    const char *text = targets[choice % 3];
    struct target t;
    const char *login = (choice & 0x40) != 0 ? "ann:pw" : "";
    CHECK(target_parse(&t, text, strlen(text)) == 0);
    if (choice & 0x20) {
        proxyclient_init_associate(c, login);
    } else {
        proxyclient_init(c, (choice & 0x80) != 0, login, &t);
    }
}

/* In pieces of at most `step`: how much it took. */
static size_t feed(struct proxyclient *c, const uint8_t *data, size_t len, size_t step)
{
    uint8_t out[PROXYCLIENT_OUT_MAX];
    size_t done = 0;
    while (done < len && proxyclient_wants(c) > 0) {
        CHECK(c->state == PROXYCLIENT_TALKING);
        CHECK(proxyclient_output(c, out) <= sizeof(out));
        size_t n = proxyclient_wants(c) < step ? proxyclient_wants(c) : step;
        n = n < len - done ? n : len - done;
        proxyclient_input(c, data + done, n);
        done += n;
    }
    CHECK((c->state == PROXYCLIENT_TALKING) == (proxyclient_wants(c) > 0));
    CHECK((c->state == PROXYCLIENT_FAILED) == (c->cause != CAUSE_NONE));
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxyclient whole, bytes;
    if (size == 0) {
        return 0;
    }
    start(&whole, data[0]);
    start(&bytes, data[0]);
    size_t a = feed(&whole, data + 1, size - 1, size);
    size_t b = feed(&bytes, data + 1, size - 1, 1);
    CHECK(a == b && whole.state == bytes.state && whole.cause == bytes.cause);
    CHECK(addr_equal(&whole.bound, &bytes.bound));
    proxyclient_deinit(&whole);
    proxyclient_deinit(&bytes);
    return 0;
}
