/* A link emulator in user space, since not every kernel has netem: joins two network interfaces of
 * one namespace and lets frames through at a given rate, late, and not all of them.
 *
 *   bench_link plain INTERFACE
 *   bench_link join INTERFACE INTERFACE MBIT DELAY_MS LOSS_PERCENT QUEUE_MS [SEED]
 *
 * `plain` turns checksum offload off, and with it every segmentation offload: frames then leave
 * the interface as they would on a cable. Do that first at the far ends of both.
 *
 * Each direction: a queue of QUEUE_MS at the rate (what does not fit is dropped), then the wire
 * (len / rate), then DELAY_MS. Loss is independent per frame and direction, from SEED.
 * At SIGTERM says what happened, one line per direction.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 2048, SLOTS = 8192, READS = 64, QUEUE_LEAST = 32 * 1024, BUFFER = 4 << 20 };

#define MS UINT64_C(1000000)
#define WIRE_EXTRA 24 /* preamble, checksum and gap of Ethernet */

struct frame {
    uint64_t due_ns;
    size_t len;
    uint8_t data[FRAME_MAX];
};

struct direction {
    int in, out;
    const char *name;
    struct frame *ring; /* SLOTS */
    uint64_t first, next;
    uint64_t free_ns; /* when the wire is free again */
    uint64_t passed, lost, overflowed, large;
};

static struct {
    double ns_per_byte;
    uint64_t delay_ns, queue_ns;
    uint64_t loss; /* of 2^32 */
    uint64_t random;
} link_of = {.random = UINT64_C(0x9e3779b97f4a7c15)};

static volatile sig_atomic_t stopping;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_link: %s: %s\n", what, strerror(errno));
    exit(EX_OSERR);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint32_t random_u32(void)
{
    uint64_t *state = &link_of.random;
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

static void make_plain(const char *interface)
{
    struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM, .data = 0};
    struct ifreq request = {.ifr_data = (char *)&off};
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0) {
        die(interface);
    }
    (void)close(fd);
}

static int open_interface(const char *interface)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex(interface)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (to.sll_ifindex == 0 || fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        die(interface);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){BUFFER}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){BUFFER}, sizeof(int));
    (void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &(int){1}, sizeof(int));
    return fd;
}

/* A frame has come into the last slot: gives it its time, or forgets it. */
static void admit(struct direction *d, struct frame *f, uint64_t now)
{
    uint64_t start = d->free_ns > now ? d->free_ns : now;
    uint64_t wire = (uint64_t)((double)(f->len + WIRE_EXTRA) * link_of.ns_per_byte);
    if (start - now > link_of.queue_ns) {
        d->overflowed++;
        return;
    }
    d->free_ns = start + wire;
    if (random_u32() < link_of.loss) {
        d->lost++;
        return;
    }
    f->due_ns = d->free_ns + link_of.delay_ns;
    d->next++;
}

static void receive(struct direction *d)
{
    for (int i = 0; i < READS; i++) {
        struct frame *f = &d->ring[d->next % SLOTS];
        struct sockaddr_ll from;
        socklen_t len = sizeof(from);
        ssize_t n =
            recvfrom(d->in, f->data, sizeof(f->data), MSG_TRUNC, (struct sockaddr *)&from, &len);
        if (n < 0) {
            return;
        }
        if (from.sll_pkttype == PACKET_OUTGOING) {
            continue;
        }
        if ((size_t)n > sizeof(f->data)) {
            d->large++; /* someone forgot `plain` */
        } else if (d->next - d->first == SLOTS) {
            d->overflowed++;
        } else {
            f->len = (size_t)n;
            admit(d, f, now_ns());
        }
    }
}

/* Sends what is due; returns when the next one is. */
static uint64_t deliver(struct direction *d)
{
    for (; d->first < d->next; d->first++) {
        const struct frame *f = &d->ring[d->first % SLOTS];
        if (f->due_ns > now_ns()) {
            return f->due_ns;
        }
        d->passed += send(d->out, f->data, f->len, 0) == (ssize_t)f->len;
    }
    return UINT64_MAX;
}

static void wait_for(const struct direction *d, uint64_t until_ns)
{
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(d[0].in, &reads);
    FD_SET(d[1].in, &reads);
    uint64_t now = now_ns();
    uint64_t wait = until_ns > now ? until_ns - now : 0;
    wait = wait < 1000 * MS ? wait : 1000 * MS - 1;
    struct timespec patience = {.tv_nsec = (long)wait};
    int most = d[0].in > d[1].in ? d[0].in : d[1].in;
    (void)pselect(most + 1, &reads, NULL, NULL, &patience, NULL);
}

static void on_term(int number)
{
    (void)number;
    stopping = 1;
}

static void join(const char *left, const char *right)
{
    struct direction d[2] = {{.in = open_interface(left), .name = left},
                             {.in = open_interface(right), .name = right}};
    d[0].out = d[1].in;
    d[1].out = d[0].in;
    for (int i = 0; i < 2; i++) {
        d[i].ring = calloc(SLOTS, sizeof(*d[i].ring));
        if (!d[i].ring) {
            die("memory");
        }
    }
    while (!stopping) {
        receive(&d[0]);
        receive(&d[1]);
        uint64_t one = deliver(&d[0]);
        uint64_t two = deliver(&d[1]);
        wait_for(d, one < two ? one : two);
    }
    for (int i = 0; i < 2; i++) {
        printf("from %s: passed %llu lost %llu overflowed %llu large %llu\n", d[i].name,
               (unsigned long long)d[i].passed, (unsigned long long)d[i].lost,
               (unsigned long long)d[i].overflowed, (unsigned long long)d[i].large);
        free(d[i].ring);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "plain") == 0) {
        make_plain(argv[2]);
        return 0;
    }
    if (argc < 8 || argc > 9 || strcmp(argv[1], "join") != 0) {
        fprintf(stderr, "usage: bench_link plain INTERFACE\n"
                        "       bench_link join INTERFACE INTERFACE MBIT DELAY_MS LOSS_PERCENT"
                        " QUEUE_MS [SEED]\n");
        return EX_USAGE;
    }
    if (argc == 9) {
        link_of.random *= 2 * strtoull(argv[8], NULL, 10) + 1; /* odd, so never 0 */
    }
    link_of.ns_per_byte = 8e3 / strtod(argv[4], NULL);
    link_of.delay_ns = (uint64_t)(strtod(argv[5], NULL) * 1e6);
    link_of.loss = (uint64_t)(strtod(argv[6], NULL) / 100 * 4294967296.0);
    link_of.queue_ns = (uint64_t)(strtod(argv[7], NULL) * 1e6);
    uint64_t least = (uint64_t)(QUEUE_LEAST * link_of.ns_per_byte);
    link_of.queue_ns = link_of.queue_ns > least ? link_of.queue_ns : least;
    (void)signal(SIGTERM, on_term);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    join(argv[2], argv[3]);
    return 0;
}
