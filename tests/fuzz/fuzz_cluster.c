/* What comes out of a cluster's messaging: any bytes are a message or none, and what was read is
 * written the same. With a secret only what a relay of the cluster has closed, untouched, opens.
 * (What a relay does with messages: fuzz_relay_server.) */
#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>
#include <base/rng.h>

#include "relay/cluster_seal.h"
#include "wire/clustermsg.h"

#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ROOM = 4096 };

static void write_list(struct writer *w, const struct clustermsg *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct clustermsg_claim item = clustermsg_item(m, i);
        write_bytes(w, item.key, CLUSTERMSG_KEY);
        if (m->type == CLUSTERMSG_CLAIM) {
            write_u64(w, item.stamp);
        }
    }
}

static void read_message(const uint8_t *data, size_t len)
{
    uint8_t out[ROOM];
    struct clustermsg m;
    int err = clustermsg_read(&m, data, len);
    if (err) {
        CHECK(err == ERR_MALFORMED || err == ERR_VERSION);
        return;
    }
    struct writer w = writer_of(out, sizeof(out));
    clustermsg_write_head(&w, m.type, m.stamp, m.process);
    if (m.to) {
        write_bytes(&w, m.to, CLUSTERMSG_KEY);
        write_bytes(&w, m.from, CLUSTERMSG_KEY);
        write_bytes(&w, m.data, m.len);
    } else {
        write_list(&w, &m);
    }
    /* Whatever stands behind "alive" and "bye" is for later versions. */
    CHECK(w.failed || (writer_len(&w) <= len && memcmp(out, data, writer_len(&w)) == 0));
    CHECK(w.failed || writer_len(&w) == len || (!m.to && m.count == 0));
}

/* The first two bytes say which bit is not as it was. */
static void open_sealed(const uint8_t *data, size_t len)
{
    static const uint8_t secret[CLUSTER_SEAL_SECRET] = {7};
    static const uint8_t other_secret[CLUSTER_SEAL_SECRET] = {8};
    uint8_t message[CLUSTER_SEAL_LEN + ROOM];
    struct pcg pcg;
    struct cluster_seal ours, same, other;
    if (len < 2 || len - 2 > ROOM) {
        return;
    }
    size_t whole = CLUSTER_SEAL_LEN + len - 2;
    size_t bit = (size_t)(data[0] << 8 | data[1]) % (8 * whole);
    cluster_seal_init(&ours, secret, pcg_rng(&pcg, 1));
    cluster_seal_init(&same, secret, pcg_rng(&pcg, 2));
    cluster_seal_init(&other, other_secret, pcg_rng(&pcg, 1));
    memcpy(message + CLUSTER_SEAL_LEN, data + 2, len - 2);
    cluster_seal_close(&ours, message, whole);
    CHECK(cluster_seal_opens(&same, message, whole) && !cluster_seal_opens(&other, message, whole));
    CHECK(!cluster_seal_opens(&same, message, whole - 1));
    message[bit / 8] ^= (uint8_t)(1U << bit % 8);
    CHECK(!cluster_seal_opens(&same, message, whole));
    cluster_seal_deinit(&ours);
    cluster_seal_deinit(&same);
    cluster_seal_deinit(&other);
}

static void open_any(const uint8_t *data, size_t len)
{
    static const uint8_t secret[CLUSTER_SEAL_SECRET] = {7};
    struct pcg pcg;
    struct cluster_seal s;
    cluster_seal_init(&s, secret, pcg_rng(&pcg, 1));
    CHECK(!cluster_seal_opens(&s, data, len));
    cluster_seal_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CHECK(sodium_init() >= 0);
    read_message(data, len);
    open_sealed(data, len);
    open_any(data, len);
    return 0;
}
