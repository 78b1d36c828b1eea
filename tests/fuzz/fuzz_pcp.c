/* PCP and NAT-PMP: any answer is read or refused, and the mapping machine survives a gateway that
 * says anything at any time: it always has a next time that lies ahead, and stops when told to. */
#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include "path/portmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_any(const uint8_t *data, size_t size)
{
    struct pcp_answer pcp = {0};
    struct natpmp_answer natpmp = {0};
    int err = pcp_read_answer(&pcp, data, size);
    CHECK(err == 0 || err == ERR_MALFORMED || err == ERR_VERSION);
    CHECK(err != 0 || pcp.op != PCP_MAP || pcp.result != PCP_SUCCESS || pcp.has_map);
    int err2 = natpmp_read_answer(&natpmp, data, size);
    CHECK(err2 == 0 || err2 == ERR_MALFORMED || err2 == ERR_VERSION);
    CHECK(err != 0 || err2 != 0); /* never both */
}

static void settle(struct portmap *m, uint64_t now)
{
    uint8_t buf[PCP_REQUEST_MAX];
    struct addr to;
    struct portmap_event ev;
    portmap_tick(m, now);
    for (int i = 0; portmap_output(m, &to, buf, sizeof(buf), now) > 0; i++) {
        CHECK(i < 8 && addr_equal(&to, &m->gateway));
    }
    while (portmap_event(m, &ev)) {
        CHECK(ev.external.port != 0 && !addr_is_unspecified(&ev.external));
    }
    CHECK(portmap_next_ns(m) > now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct portmap m;
    struct pcg pcg;
    struct addr gateway = addr_ipv4(10, 0, 0, 1, PCP_PORT);
    struct addr client = addr_ipv4(10, 0, 0, 2, 0x1111);
    uint64_t now = NS_PER_S;
    read_any(data, size);
    portmap_init(&m, pcg_rng(&pcg, 1), NULL);
    portmap_start(&m, &gateway, &client, now);
    struct reader r = reader_of(data, size);
    while (reader_left(&r) > 2) { /* seconds to wait, length, an answer */
        now += read_u8(&r) * 64 * NS_PER_S;
        settle(&m, now);
        size_t len = read_u8(&r);
        len = len < reader_left(&r) ? len : reader_left(&r);
        uint8_t answer[256];
        memcpy(answer, read_bytes(&r, len), len);
        if (len > 36 && answer[0] == 2) { /* nobody guesses a nonce */
            memcpy(answer + 24, m.nonce, PCP_NONCE_LEN);
        }
        CHECK(portmap_input(&m, &gateway, answer, len, now));
        settle(&m, now);
    }
    portmap_stop(&m, now);
    settle(&m, now);
    for (int i = 0; i < 4 && !portmap_is_off(&m); i++) {
        now = portmap_next_ns(&m);
        settle(&m, now);
    }
    CHECK(portmap_is_off(&m) && portmap_next_ns(&m) == TIME_NEVER);
    return 0;
}
