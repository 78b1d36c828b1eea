#include "support/rogue.h"

#include <base/clock.h>
#include <base/mem.h>

#include "crypto/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BEGIN_NS (1000 * NS_PER_S)

void rogue_init(struct rogue *r)
{
    struct key_pair victim;
    struct node_peer_config peer = {.name = "rogue", .endpoint_count = 1};
    memset(r, 0, sizeof(*r));
    r->now = BEGIN_NS;
    r->rng = pcg_rng(&r->pcg, 1);
    r->from = addr_ipv4(192, 0, 2, 1, 4000);
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(key_pair_generate(&victim, r->rng), 0);
    assert_int_equal(key_pair_generate(&r->keys, r->rng), 0);
    memcpy(peer.key, r->keys.public.bytes, KEY_LEN);
    struct node_config config = {.limits = conn_limits_default(),
                                 .resume_timeout_ns = 100 * NS_PER_S,
                                 .peers = &peer,
                                 .peer_count = 1,
                                 .punch = true,
                                 .rng = r->rng};
    memcpy(config.secret, victim.secret.bytes, KEY_LEN);
    assert_int_equal(node_new(&config, r->now, &r->node), 0);
    r->node_key = victim.public;
    cookie_jar_init(&r->jar, &r->node_key);
    r->params = (struct params){.timestamp_ns = 1,
                                .epoch = 1,
                                .version = PARAMS_VERSION,
                                .aead = PARAMS_AEAD_CHACHA20POLY1305,
                                .session_window = 1 << 20,
                                .stream_window = 1 << 16,
                                .streams_max = 100,
                                .max_ack_delay_us = 25000};
}

void rogue_deinit(struct rogue *r)
{
    node_free(r->node);
    aead_key_wipe(&r->send);
    aead_key_wipe(&r->recv);
    handshake_wipe(&r->hs);
}

static void give(struct rogue *r, uint8_t *data, size_t len)
{
    struct node_event ev;
    node_input(r->node, 0, &r->from, data, len, r->now);
    while (node_event(r->node, &ev, r->now)) {
    }
}

void rogue_call(struct rogue *r)
{
    static const uint8_t psk[NOISE_PSK_LEN];
    uint8_t payload[PARAMS_LEN_MAX];
    uint8_t packet[HANDSHAKE_MAX];
    r->params.timestamp_ns++;
    struct handshake_draft draft = {.index = ++r->local,
                                    .payload = payload,
                                    .payload_len = params_encode(payload, &r->params),
                                    .jar = &r->jar,
                                    .rng = r->rng,
                                    .now = r->now};
    handshake_start(&r->hs, &r->keys, &r->node_key, psk);
    int len = handshake_write_initiation(&r->hs, &draft, packet, sizeof(packet));
    assert_true(len > 0);
    give(r, packet, (size_t)len);
}

static void take_keys(struct rogue *r)
{
    uint8_t send[NOISE_KEY_LEN];
    uint8_t recv[NOISE_KEY_LEN];
    r->remote = r->hs.remote_index;
    handshake_keys(&r->hs, send, recv);
    aead_key_wipe(&r->send);
    aead_key_wipe(&r->recv);
    assert_int_equal(aead_key_init(&r->send, AEAD_CHACHA20POLY1305, send), 0);
    assert_int_equal(aead_key_init(&r->recv, AEAD_CHACHA20POLY1305, recv), 0);
}

void rogue_agree(struct rogue *r)
{
    struct rogue_heard heard;
    uint8_t payload[HANDSHAKE_PAYLOAD_MAX];
    size_t len;
    bool done = false;
    rogue_call(r);
    while (!done && rogue_hear(r, &heard)) {
        done = heard.type == PACKET_RESPONSE &&
               handshake_read_response(&r->hs, heard.data, heard.len, payload, &len) == 0;
    }
    assert_true(done);
    take_keys(r);
}

void rogue_connect(struct rogue *r)
{
    rogue_agree(r);
    rogue_send(r, 1, "\x01", 1);
}

void rogue_send(struct rogue *r, uint8_t path, const void *payload, size_t len)
{
    uint8_t packet[PACKET_MTU_MAX];
    struct packet_data_header h = {.path = path, .receiver = r->remote, .number = r->next[path]++};
    assert_true(len + PACKET_DATA_OVERHEAD <= sizeof(packet));
    packet_write_data(packet, &h);
    memcpy(packet + PACKET_DATA_HEADER_LEN, payload, len);
    size_t sealed = aead_seal(&r->send, path, h.number, packet, PACKET_DATA_HEADER_LEN,
                              packet + PACKET_DATA_HEADER_LEN, len);
    give(r, packet, PACKET_DATA_HEADER_LEN + sealed);
}

static bool next_datagram(struct rogue *r, struct rogue_heard *out)
{
    if (r->at >= r->batch.len) {
        r->at = 0;
        if (!node_output(r->node, &r->batch, r->now)) {
            r->batch.len = 0;
            return false;
        }
    }
    size_t left = r->batch.len - r->at;
    out->len = left < r->batch.segment ? left : r->batch.segment;
    out->to = r->batch.to;
    memcpy(out->data, r->batch.data + r->at, out->len);
    r->at += out->len;
    return true;
}

bool rogue_hear(struct rogue *r, struct rogue_heard *out)
{
    struct packet_data_header h;
    if (!next_datagram(r, out)) {
        return false;
    }
    out->type = packet_type(out->data, out->len);
    out->opened = false;
    if (out->type != PACKET_DATA || packet_read_data(&h, out->data, out->len) != 0) {
        return true;
    }
    out->path = h.path;
    out->number = h.number;
    if (h.receiver == r->local && r->recv.kind != AEAD_NONE) {
        int len = aead_open(&r->recv, h.path, h.number, out->data, PACKET_DATA_HEADER_LEN,
                            out->data + PACKET_DATA_HEADER_LEN, out->len - PACKET_DATA_HEADER_LEN);
        out->opened = len >= 0;
        out->len = len >= 0 ? (size_t)len : out->len;
        memmove(out->data, out->data + (len >= 0 ? PACKET_DATA_HEADER_LEN : 0), out->len);
    }
    return true;
}

size_t rogue_hear_all(struct rogue *r)
{
    struct rogue_heard heard;
    size_t count = 0;
    while (rogue_hear(r, &heard)) {
        count++;
    }
    return count;
}

size_t rogue_wait(struct rogue *r, uint64_t ns)
{
    struct node_event ev;
    uint64_t end = r->now + ns;
    size_t count = rogue_hear_all(r);
    while (r->now < end) {
        uint64_t next = node_next_ns(r->node);
        next = next > r->now + NS_PER_MS ? next : r->now + NS_PER_MS;
        r->now = next < end ? next : end;
        node_tick(r->node, r->now);
        while (node_event(r->node, &ev, r->now)) {
        }
        count += rogue_hear_all(r);
    }
    return count;
}
