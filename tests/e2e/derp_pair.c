/* Two nodes' relay clients talk to each other through the relay at 127.0.0.1:PORT.
 *
 *     derp_pair PORT     exit 0 = everything arrived; otherwise the first thing that did not is
 * said
 */
#include "support/derp_peer.h"
#include "wire/derp.h"

#include <stdlib.h>

enum { STEP_S = 20, BURST = 30 };

static struct derp_peer peers[2];

/* Steps both until *value reaches `least`. */
static void until(const unsigned *value, unsigned least, const char *what)
{
    uint64_t end = derp_peer_now() + (uint64_t)STEP_S * 1000000000;
    while (*value < least) {
        derp_peer_step(&peers[0]);
        derp_peer_step(&peers[1]);
        if (*value < least) {
            derp_peer_wait(peers, 2, 10);
        }
        if (derp_peer_now() > end) {
            fprintf(stderr, "derp_pair: %s: %u of %u after %d s (%s%s)\n", what, *value, least,
                    STEP_S, peers[0].down_text, peers[1].down_text);
            exit(1);
        }
    }
}

static void expect(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "derp_pair: %s\n", what);
        exit(1);
    }
}

static void send_to(struct derp_peer *from, const uint8_t key[32], const void *data, size_t len)
{
    expect(relay_client_send(from->core, key, data, len) == 0, "a packet was refused locally");
}

static void exchange(void)
{
    static uint8_t big[DERP_PACKET_MAX];
    struct derp_peer *a = &peers[0];
    struct derp_peer *b = &peers[1];
    send_to(a, b->key, "hello", 5);
    until(&b->packets, 1, "a small packet");
    expect(b->last_len == 5 && memcmp(b->last_data, "hello", 5) == 0, "a small packet is wrong");
    expect(memcmp(b->last_from, a->key, 32) == 0, "the sender's key is wrong");
    randombytes_buf(big, sizeof(big));
    send_to(b, a->key, big, sizeof(big));
    until(&a->packets, 1, "the largest packet");
    expect(a->last_len == sizeof(big) && memcmp(a->last_data, big, sizeof(big)) == 0,
           "the largest packet is wrong");
    for (int i = 0; i < BURST; i++) {
        send_to(a, b->key, big, 1200);
    }
    until(&b->packets, 1 + BURST, "a burst");
}

static void absences(void)
{
    const uint8_t signal[62] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    uint8_t nobody[32];
    struct derp_peer *a = &peers[0];
    struct derp_peer *b = &peers[1];
    randombytes_buf(nobody, sizeof(nobody));
    send_to(b, nobody, signal, sizeof(signal));
    until(&b->gones, 1, "PeerGone for an absent peer");
    expect(b->gone_reason == DERP_GONE_NOT_HERE && memcmp(b->gone_key, nobody, 32) == 0,
           "PeerGone for an absent peer is wrong");
    relay_client_stop(a->core, derp_peer_now());
    until(&b->gones, 2, "PeerGone for a peer that left");
    expect(b->gone_reason == DERP_GONE_DISCONNECTED && memcmp(b->gone_key, a->key, 32) == 0,
           "PeerGone for a peer that left is wrong");
}

int main(int argc, char **argv)
{
    struct addr relay = addr_ipv4(127, 0, 0, 1, 0);
    if (argc != 2 || sodium_init() < 0) {
        fprintf(stderr, "usage: derp_pair PORT\n");
        return 2;
    }
    relay.port = (uint16_t)strtoul(argv[1], NULL, 10);
    for (int i = 0; i < 2; i++) {
        uint8_t seed;
        randombytes_buf(&seed, 1);
        expect(derp_peer_open(&peers[i], &relay, (uint8_t)((seed | 1) ^ i)), "out of memory");
    }
    until(&peers[0].ups, 1, "the first login");
    until(&peers[1].ups, 1, "the second login");
    exchange();
    expect(relay_client_rtt_ns(peers[1].core) > 0, "the relay answered no ping");
    absences();
    expect(peers[1].downs == 0, "the connection went down in between");
    derp_peer_close(&peers[0]);
    derp_peer_close(&peers[1]);
    puts("derp_pair: ok");
    return 0;
}
