/* A long cable for the lab: what enters one interface leaves the other DELAY later.
 *
 *   lab_cable DELAY_MS INTERFACE INTERFACE
 *
 * The kernel has netem for this, but not every kernel is built with it. Frames travel with the
 * kernel's notes on them (virtio_net_hdr): large ones that are still to be split and checksums that
 * are still to be computed arrive like that. A queue that is full drops, as queues do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
    FRAME_MAX = 70000, /* a GSO frame with its header and the notes */
    QUEUE_MAX = 4096,
    BUFFER = 8 * 1024 * 1024,
};

struct frame {
    uint64_t due_ns;
    size_t len;
    uint8_t *data;
};

struct direction {
    int in, out;
    struct frame queue[QUEUE_MAX];
    size_t first, count;
};

static struct direction directions[2];

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(EX_OSERR);
}

static int open_interface(const char *name)
{
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = (int)if_nametoindex(name),
    };
    int one = 1, size = BUFFER;
    /* No protocol until it is bound: it would hear all interfaces. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (fd < 0 || at.sll_ifindex == 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
        bind(fd, (struct sockaddr *)&at, sizeof(at))) {
        die(name);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size))) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    return fd;
}

static void take(struct direction *d, uint64_t due_ns)
{
    static uint8_t frame[FRAME_MAX];
    ssize_t n;
    while ((n = recv(d->in, frame, sizeof(frame), 0)) > 0) {
        struct frame *f = &d->queue[(d->first + d->count) % QUEUE_MAX];
        uint8_t *copy = d->count < QUEUE_MAX ? malloc((size_t)n) : NULL;
        if (!copy) {
            continue;
        }
        memcpy(copy, frame, (size_t)n);
        *f = (struct frame){.due_ns = due_ns, .len = (size_t)n, .data = copy};
        d->count++;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN) {
        die("recv");
    }
}

/* Sends what is due; the time of the next one, UINT64_MAX if there is none. */
static uint64_t give(struct direction *d)
{
    while (d->count > 0) {
        struct frame *f = &d->queue[d->first];
        if (f->due_ns > now_ns()) {
            return f->due_ns;
        }
        (void)send(d->out, f->data, f->len, 0); /* a refusal is a lost frame */
        free(f->data);
        d->first = (d->first + 1) % QUEUE_MAX;
        d->count--;
    }
    return UINT64_MAX;
}

/* Until a frame comes or is due; pselect, since milliseconds would make the cable longer. */
static void wait_for(int a, int b, uint64_t due_ns)
{
    uint64_t now = now_ns();
    uint64_t left = due_ns > now ? due_ns - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000U),
                               .tv_nsec = (long)(left % 1000000000U)};
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(a, &readable);
    FD_SET(b, &readable);
    if (pselect((a > b ? a : b) + 1, &readable, NULL, NULL, due_ns == UINT64_MAX ? NULL : &timeout,
                NULL) < 0 &&
        errno != EINTR) {
        die("pselect");
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: lab_cable DELAY_MS INTERFACE INTERFACE\n");
        return EX_USAGE;
    }
    uint64_t delay_ns = strtoull(argv[1], NULL, 10) * 1000000U;
    int a = open_interface(argv[2]), b = open_interface(argv[3]);
    directions[0].in = directions[1].out = a;
    directions[1].in = directions[0].out = b;
    for (;;) {
        uint64_t due[2] = {give(&directions[0]), give(&directions[1])};
        wait_for(a, b, due[0] < due[1] ? due[0] : due[1]);
        for (int i = 0; i < 2; i++) {
            take(&directions[i], now_ns() + delay_ns);
        }
    }
}
