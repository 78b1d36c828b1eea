/* A whole node under a script: what comes in by UDP and from its relay, in which order, what the
 * application does meanwhile, and how time goes by.
 *
 * The other side is a true node, so that sessions come about; each of its packets can be delivered,
 * delivered twice, dropped, bent or sent by the relay. Keys and chance are fixed. Each step of the
 * script is one byte that says what to do, and what that needs. */
#include "crypto/keys.h"
#include "node/node.h"
#include "wire/derp.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 64, STREAMS_MAX = 8, STEPS_MAX = 400 };

struct queue {
    size_t first, count;
    struct {
        size_t len;
        uint8_t data[1500];
    } packets[QUEUE_MAX];
};

struct side {
    struct node *node;
    struct addr addr;
    uint64_t streams[STREAMS_MAX];
    size_t stream_count;
    struct queue out; /* on their way from here */
};

struct world {
    struct pcg pcg;
    struct rng rng;
    struct side side[2]; /* the one under test, and its peer */
    uint64_t now;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct key_pair keys[2];
static const uint8_t relay_secret[32] = {3};

static void make_node(struct world *w, size_t i)
{
    static const struct node_relay_config relay = {
        .name = "relay", .host_header = "relay", .home = true};
    struct node_peer_config peer = {.name = "peer", .endpoint_count = 1};
    struct conn_limits limits = conn_limits_default();
    limits.session_window = limits.stream_window = 4096;
    limits.session_window_max = limits.stream_window_max = 16384;
    limits.streams_max = 6;
    struct node_config config = {.limits = limits,
                                 .resume_timeout_ns = 300 * NS_PER_S,
                                 .unix_ns = 77 * NS_PER_S,
                                 .relays = &relay,
                                 .relay_count = i == 0 ? 1 : 0,
                                 .peers = &peer,
                                 .peer_count = 1,
                                 .rng = w->rng};
    memcpy(config.secret, keys[i].secret.bytes, KEY_LEN);
    memcpy(peer.key, keys[1 - i].public.bytes, KEY_LEN);
    CHECK(node_new(&config, w->now, &w->side[i].node) == 0);
    w->side[i].addr = addr_ipv4(192, 0, 2, (uint8_t)(1 + i), 1);
}

static void enqueue(struct queue *q, const uint8_t *data, size_t len)
{
    CHECK(len <= sizeof(q->packets[0].data));
    if (q->count == QUEUE_MAX) {
        return;
    }
    size_t slot = (q->first + q->count++) % QUEUE_MAX;
    memcpy(q->packets[slot].data, data, len);
    q->packets[slot].len = len;
}

/* --- driving --- */

static void take_event(struct world *w, struct side *s, const struct node_event *ev)
{
    const struct side *other = &w->side[s == &w->side[0]];
    if (ev->type == NODE_EVENT_STREAM_OPENED && s->stream_count < STREAMS_MAX) {
        s->streams[s->stream_count++] = ev->stream;
        (void)node_stream_accept(s->node, ev->stream, "ok", 2);
    } else if (ev->type == NODE_EVENT_RESOLVE) {
        node_resolved(s->node, ev->peer, ev->endpoint, &other->addr, 1, w->now);
    }
}

static void drive(struct world *w, struct side *s)
{
    struct node_event ev;
    struct node_batch batch;
    const uint8_t *bytes;
    for (unsigned i = 0; node_event(s->node, &ev, w->now); i++) {
        CHECK(i < 10000);
        take_event(w, s, &ev);
    }
    for (unsigned i = 0; node_output(s->node, &batch, w->now); i++) {
        CHECK(i < 10000 && batch.len > 0);
        for (size_t at = 0; at < batch.len; at += batch.segment) {
            size_t left = batch.len - at;
            enqueue(&s->out, batch.data + at, left < batch.segment ? left : batch.segment);
        }
    }
    size_t len = s == &w->side[0] ? node_relay_output(s->node, 0, &bytes) : 0;
    if (len > 0) {
        node_relay_sent(s->node, 0, len, w->now);
    }
}

/* In memory of its own, so that a read past its end is seen. */
static void deliver(struct world *w, struct side *to, const uint8_t *data, size_t len,
                    const struct addr *from)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    CHECK(copy);
    memcpy(copy, data, len);
    node_input(to->node, 0, from, copy, len, w->now);
    free(copy);
    drive(w, to);
}

/* --- the relay, by hand --- */

static void relay_say(struct world *w, const uint8_t *data, size_t len)
{
    node_relay_input(w->side[0].node, 0, data, len, w->now);
    drive(w, &w->side[0]);
}

static void relay_connect(struct world *w)
{
    static const char http[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                               "Connection: Upgrade\r\n\r\n";
    static const struct derp_info info = {.version = 2};
    uint8_t out[1024];
    uint8_t key[32];
    const uint8_t nonce[24] = {1};
    node_relay_connected(w->side[0].node, 0, w->now);
    drive(w, &w->side[0]);
    crypto_scalarmult_base(key, relay_secret);
    memcpy(out, http, sizeof(http) - 1);
    relay_say(w, out, sizeof(http) - 1 + derp_write_server_key(out + sizeof(http) - 1, key));
    int len = derp_seal_server_info(out, nonce, relay_secret, keys[0].public.bytes, &info);
    CHECK(len > 0);
    relay_say(w, out, (size_t)len);
}

/* A RecvPacket frame. */
static void relay_deliver(struct world *w, const uint8_t key[32], const uint8_t *data, size_t len)
{
    uint8_t frame[5 + 32 + 1500] = {5};
    struct writer size = writer_of(frame + 1, 4);
    len = len < 1500 ? len : 1500;
    write_u32(&size, (uint32_t)(32 + len));
    memcpy(frame + 5, key, 32);
    memcpy(frame + 37, data, len);
    relay_say(w, frame, 37 + len);
}

/* --- steps --- */

static void step_packet(struct world *w, struct reader *r, uint8_t how)
{
    struct side *from = &w->side[how & 1];
    struct side *to = &w->side[1 - (how & 1)];
    if (from->out.count == 0) {
        return;
    }
    size_t slot = from->out.first;
    uint8_t *data = from->out.packets[slot].data;
    size_t len = from->out.packets[slot].len;
    bool again = how & 2;
    if (!again) {
        from->out.first = (slot + 1) % QUEUE_MAX;
        from->out.count--;
    }
    uint8_t copy[1500];
    memcpy(copy, data, len);
    if (how & 4) {
        copy[read_u16(r) % len] ^= read_u8(r);
        len -= read_u8(r) % len;
    }
    if (how & 8 && to == &w->side[0]) {
        relay_deliver(w, keys[1].public.bytes, copy, len);
    } else {
        deliver(w, to, copy, len, &from->addr);
    }
}

static void step_bytes(struct world *w, struct reader *r, uint8_t how)
{
    size_t len = read_u8(r);
    len = len < reader_left(r) ? len : reader_left(r);
    const uint8_t *data = read_bytes(r, len);
    const struct addr stranger = addr_ipv4(203, 0, 113, how, 7);
    if (!data) {
        return;
    }
    if (how % 4 == 0) {
        relay_say(w, data, len);
    } else if (how % 4 == 1) {
        relay_deliver(w, keys[how >> 2 & 1].public.bytes, data, len);
    } else {
        deliver(w, &w->side[0], data, len, how & 4 ? &stranger : &w->side[1].addr);
    }
}

static void step_time(struct world *w, uint8_t how)
{
    w->now += NS_PER_MS << how % 20;
    for (size_t i = 0; i < 2; i++) {
        node_tick(w->side[i].node, w->now);
        drive(w, &w->side[i]);
        CHECK(node_next_ns(w->side[i].node) > w->now || i == 0);
    }
}

static void step_stream(struct world *w, struct reader *r, uint8_t how)
{
    struct side *s = &w->side[how & 1];
    size_t k = (how >> 4) % STREAMS_MAX;
    uint64_t id = s->streams[k];
    uint8_t *to;
    const uint8_t *from;
    bool fin;
    size_t len;
    switch (how >> 1 & 7) {
    case 0:
    case 1:
        len = read_u8(r);
        if (s->stream_count < STREAMS_MAX &&
            node_stream_open(s->node, 0, "target", 6, &id, w->now) == 0) {
            s->streams[s->stream_count++] = id;
        }
        break;
    case 2:
    case 3:
        len = node_stream_space(s->node, id, 2000, &to);
        len = len < 2000 ? len : 2000;
        if (len > 0) {
            memset(to, 0x55, len);
            node_stream_wrote(s->node, id, len);
        }
        break;
    case 4:
        (void)node_stream_finish(s->node, id);
        break;
    case 5:
        (void)node_stream_abort(s->node, id, CAUSE_CANCELLED);
        break;
    default:
        len = node_stream_peek(s->node, id, &from, &fin);
        if (len > 0 || fin) {
            node_stream_consume(s->node, id, len, w->now);
        }
        break;
    }
    drive(w, s);
}

static void step_other(struct world *w, struct reader *r, uint8_t how)
{
    const struct addr addrs[2] = {w->side[1].addr, addr_ipv4(198, 51, 100, how, 1)};
    switch (how & 7) {
    case 0:
    case 1:
        relay_connect(w);
        break;
    case 2:
        node_relay_disconnected(w->side[0].node, 0, how & 8 ? ERR_CLOSED : 0, w->now);
        break;
    case 3:
        node_resolved(w->side[0].node, 0, 0, addrs, how >> 3 & 1 ? 2 : 0, w->now);
        break;
    case 4: /* the peer starts anew */
        node_free(w->side[1].node);
        w->side[1].stream_count = 0;
        make_node(w, 1);
        node_start(w->side[1].node, w->now);
        drive(w, &w->side[1]);
        break;
    case 5:
        node_stop(w->side[read_u8(r) == 0 ? 0 : 1].node, w->now);
        break;
    default:
        step_time(w, how);
        break;
    }
    drive(w, &w->side[0]);
}

static void play(struct world *w, struct reader *r)
{
    for (unsigned i = 0; i < STEPS_MAX && reader_left(r) > 0; i++) {
        uint8_t what = read_u8(r);
        uint8_t how = read_u8(r);
        switch (what % 6) {
        case 0:
        case 1:
            step_packet(w, r, how);
            break;
        case 2:
            step_bytes(w, r, how);
            break;
        case 3:
            step_time(w, how);
            break;
        case 4:
            step_stream(w, r, how);
            break;
        default:
            step_other(w, r, how);
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    if (keys[0].public.bytes[0] == 0) {
        struct pcg pcg;
        struct rng rng = pcg_rng(&pcg, 5);
        CHECK(crypto_init() == 0);
        CHECK(key_pair_generate(&keys[0], rng) == 0 && key_pair_generate(&keys[1], rng) == 0);
    }
    struct world *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->now = 1000 * NS_PER_S;
    w->rng = pcg_rng(&w->pcg, 9);
    for (size_t i = 0; i < 2; i++) {
        make_node(w, i);
    }
    /* Most scripts are of more use when a session is there already. */
    if (read_u8(&r) % 4 != 0) {
        for (size_t i = 0; i < 2; i++) {
            node_start(w->side[i].node, w->now);
            drive(w, &w->side[i]);
        }
        for (uint8_t k = 0; k < 12; k++) {
            step_packet(w, &r, k & 1);
        }
    }
    play(w, &r);
    for (size_t i = 0; i < 2; i++) {
        node_free(w->side[i].node);
    }
    free(w);
    return 0;
}
