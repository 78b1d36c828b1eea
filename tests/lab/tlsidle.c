/* What an idle client in TLS costs a relay:
 *
 *     lab_tlsidle ADDRESS:PORT PID PIN COUNT      PIN = the relay's, 64 hex digits
 *
 * Logs COUNT clients in (255 at most: each has a key of its own), waits until the relay has done
 * with the last one, and prints how much more memory process PID has than before, for each of them.
 */
#include "support/derp_peer.h"

#include <base/clock.h>

#include <stdlib.h>

enum { CLIENTS_MAX = 255, WAIT_S = 30 };

static void die(const char *what)
{
    fprintf(stderr, "tlsidle: %s\n", what);
    exit(1);
}

static long rss_bytes(const char *pid)
{
    char path[64];
    char line[128];
    long kib = -1;
    (void)snprintf(path, sizeof(path), "/proc/%.20s/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (!f || fclose(f) != 0 || kib < 0) {
        die("the relay's memory cannot be read");
    }
    return kib * 1024;
}

/* Until it is up and has its first answer to a ping, so that nothing of its login is under way. */
static void log_in(struct derp_peer *p)
{
    uint64_t end = derp_peer_now() + WAIT_S * NS_PER_S;
    while (relay_client_rtt_ns(p->core) == 0) {
        if (derp_peer_now() > end || p->downs > 0) {
            die(p->downs > 0 ? p->down_text : "a client does not come up");
        }
        derp_peer_step(p);
        derp_peer_wait(p, 1, 10);
    }
}

int main(int argc, char **argv)
{
    char why[TLS_WHY_MAX];
    uint8_t pin[1][TLS_PIN_LEN];
    struct addr relay;
    struct tls_context *tls;
    unsigned long count = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    struct tls_client_options options = {
        .host = "relay.test", .pins = (const uint8_t(*)[TLS_PIN_LEN])pin, .pin_count = 1};
    if (count == 0 || count > CLIENTS_MAX || sodium_init() < 0 || addr_parse(&relay, argv[1]) ||
        sodium_hex2bin(pin[0], sizeof(pin[0]), argv[3], strlen(argv[3]), NULL, NULL, NULL)) {
        die("usage: lab_tlsidle ADDRESS:PORT PID PIN COUNT");
    }
    struct derp_peer *peers = calloc(count, sizeof(*peers));
    if (!peers || tls_client_new(&options, &tls, why)) {
        die("out of memory");
    }
    long before = rss_bytes(argv[2]);
    for (unsigned long i = 0; i < count; i++) {
        if (!derp_peer_open_as(&peers[i], &relay, (uint8_t)(i + 1), tls, false)) {
            die("out of memory");
        }
        log_in(&peers[i]);
    }
    printf("clients=%lu bytes_per_client=%ld\n", count,
           (rss_bytes(argv[2]) - before) / (long)count);
    for (unsigned long i = 0; i < count; i++) {
        derp_peer_close(&peers[i]);
    }
    tls_context_free(tls);
    free(peers);
    return 0;
}
