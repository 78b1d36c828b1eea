/* Measures a relay on loopback. Prints one line of name=value pairs.
 *
 *     bench_relay idle PORT PID COUNT             clients that are there and say nothing
 *     bench_relay forward PORT PID MS SIZE PAIRS  packets from one of each pair to the other
 *     bench_relay round PORT PID MS               the median round trip of two polite clients
 *     bench_relay greedy PORT PID MS [ELSEWHERE]  the same while two others send all they can,
 * there or to another relay: as much work, none of it shared
 *
 * PID is the relay's process: its memory and processor time are read from /proc. PORT may be two
 * with a comma between them, of two relays of a cluster: the receivers are at the second one.
 */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    PAIRS_MAX = 64,
    WINDOW = 32, /* packets of one pair on their way: a derper's queue */
    GREEDY_BYTES = 8192,
    GREEDY_NICE = 10,
    POLITE_BYTES = 64,
    ROUNDS_MAX = 1 << 20,
    NS_PER_MS = 1000000,
};

struct ports {
    uint16_t from, to;
};

struct pair {
    struct peer from, to;
    uint64_t sent;
    uint64_t heard;
    uint64_t bytes;
};

/* --- what /proc says --- */

static long rss_kib(long pid)
{
    char name[64], line[256];
    long kib = -1;
    (void)snprintf(name, sizeof(name), "/proc/%ld/status", pid);
    FILE *file = fopen(name, "r");
    while (file && kib < 0 && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (!file || kib < 0) {
        bench_die(name);
    }
    (void)fclose(file);
    return kib;
}

/* User and system time so far, in ms. */
static uint64_t cpu_ms(long pid)
{
    char name[64], line[1024];
    (void)snprintf(name, sizeof(name), "/proc/%ld/stat", pid);
    FILE *file = fopen(name, "r");
    if (!file || !fgets(line, sizeof(line), file)) {
        bench_die(name);
    }
    (void)fclose(file);
    /* Behind the name in brackets: state is field 3, utime 14 and stime 15. */
    char *at = strrchr(line, ')');
    for (int field = 2; at && field < 14; field++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        bench_die(name);
    }
    uint64_t user = strtoull(at, &at, 10);
    uint64_t system = strtoull(at, NULL, 10);
    return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* --- idle --- */

static void run_idle(uint16_t port, long pid, size_t count)
{
    struct peer *peers = calloc(count, sizeof(*peers));
    long before = rss_kib(pid);
    uint64_t start = bench_now();
    if (!peers) {
        bench_die("memory");
    }
    for (size_t i = 0; i < count; i++) {
        peer_open(&peers[i], port);
    }
    uint64_t spent = bench_now() - start;
    long grown = rss_kib(pid) - before;
    printf("clients=%zu rss_kib=%ld bytes_per_client=%ld login_us=%llu\n", count, before + grown,
           grown * 1024 / (long)count, (unsigned long long)(spent / 1000 / count));
    for (size_t i = 0; i < count; i++) {
        peer_close(&peers[i]);
    }
    free(peers);
}

/* --- forward --- */

static void pair_open(struct pair *p, const struct ports *ports)
{
    *p = (struct pair){0};
    peer_open(&p->from, ports->from);
    peer_open(&p->to, ports->to);
    peer_unblock(&p->from);
    peer_unblock(&p->to);
}

static void pair_close(struct pair *p)
{
    peer_close(&p->from);
    peer_close(&p->to);
}

static void pair_send(struct pair *p, size_t size)
{
    uint64_t on_the_way = p->sent - p->heard;
    if (on_the_way < WINDOW && peer_flush(&p->from)) {
        p->sent += peer_send(&p->from, p->to.key, size, WINDOW - on_the_way);
    }
}

/* Until `end`; then what is on its way comes in, or is lost. */
static void pump(struct pair *pairs, size_t count, size_t size, uint64_t end)
{
    struct pollfd fds[2 * PAIRS_MAX];
    uint64_t heard_at = bench_now();
    bool waiting = true;
    while (waiting && bench_now() < end + 1000 * (uint64_t)NS_PER_MS) {
        bool sending = bench_now() < end;
        for (size_t i = 0; i < count; i++) {
            struct pair *p = &pairs[i];
            if (sending) {
                pair_send(p, size);
            }
            bool full = !peer_flush(&p->from);
            fds[2 * i] =
                (struct pollfd){.fd = p->from.fd, .events = full ? POLLIN | POLLOUT : POLLIN};
            fds[2 * i + 1] = (struct pollfd){.fd = p->to.fd, .events = POLLIN};
        }
        (void)poll(fds, 2 * count, 100);
        waiting = sending;
        for (size_t i = 0; i < count; i++) {
            struct pair *p = &pairs[i];
            if (fds[2 * i].revents & POLLIN) {
                (void)peer_read(&p->from); /* keep-alives */
            }
            struct heard h = fds[2 * i + 1].revents ? peer_read(&p->to) : (struct heard){0};
            p->heard += h.packets;
            p->bytes += h.bytes;
            heard_at = h.packets > 0 ? bench_now() : heard_at;
            waiting |= p->heard < p->sent;
        }
        if (sending && bench_now() - heard_at > 1000 * (uint64_t)NS_PER_MS) {
            errno = ETIMEDOUT;
            bench_die("packets were lost, and none is on its way");
        }
    }
}

static void run_forward(const struct ports *ports, long pid, uint64_t ms, size_t size, size_t count)
{
    static struct pair pairs[PAIRS_MAX];
    uint64_t sent = 0, heard = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        pair_open(&pairs[i], ports);
    }
    pump(pairs, count, size, bench_now() + 100 * (uint64_t)NS_PER_MS); /* warm */
    for (size_t i = 0; i < count; i++) {
        pairs[i].sent = pairs[i].heard = pairs[i].bytes = 0;
    }
    uint64_t start = bench_now();
    uint64_t cpu = cpu_ms(pid);
    pump(pairs, count, size, start + ms * NS_PER_MS);
    cpu = cpu_ms(pid) - cpu;
    uint64_t spent = (bench_now() - start) / NS_PER_MS;
    for (size_t i = 0; i < count; i++) {
        sent += pairs[i].sent;
        heard += pairs[i].heard;
        bytes += pairs[i].bytes;
        pair_close(&pairs[i]);
    }
    cpu = cpu > 0 ? cpu : 1;
    printf(
        "size=%zu pairs=%zu packets=%llu lost=%llu per_s=%llu per_cpu_s=%llu mb_per_cpu_s=%llu\n",
        size, count, (unsigned long long)heard, (unsigned long long)(sent - heard),
        (unsigned long long)(heard * 1000 / spent), (unsigned long long)(heard * 1000 / cpu),
        (unsigned long long)(bytes / 1000 / cpu));
}

/* --- round trips --- */

static int compare(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static void expect_packet(struct peer *p)
{
    struct pollfd wait = {.fd = p->fd, .events = POLLIN};
    while (peer_read(p).packets == 0) {
        if (poll(&wait, 1, 5000) == 0) {
            errno = ETIMEDOUT;
            bench_die("no packet came back");
        }
    }
}

static void measure_rounds(const struct ports *ports, uint64_t ms)
{
    static uint32_t rounds[ROUNDS_MAX];
    struct pair p;
    size_t count = 0;
    pair_open(&p, ports);
    uint64_t end = bench_now() + ms * NS_PER_MS;
    for (uint64_t start = bench_now(); start < end && count < ROUNDS_MAX; start = bench_now()) {
        (void)peer_send(&p.from, p.to.key, POLITE_BYTES, 1);
        expect_packet(&p.to);
        (void)peer_send(&p.to, p.from.key, POLITE_BYTES, 1);
        expect_packet(&p.from);
        rounds[count++] = (uint32_t)(bench_now() - start);
        (void)usleep(500); /* polite: there are others */
    }
    pair_close(&p);
    qsort(rounds, count, sizeof(rounds[0]), compare);
    printf("rounds=%zu median_us=%u p99_us=%u\n", count, rounds[count / 2] / 1000,
           rounds[count * 99 / 100] / 1000);
}

/* The greedy ones give way to the polite ones' process, so that these wait for nobody but relays.
 */
static void run_greedy(const struct ports *ports, const struct ports *elsewhere, uint64_t ms)
{
    pid_t child = fork();
    if (child < 0) {
        bench_die("fork");
    }
    if (child == 0) {
        static struct pair pair;
        if (setpriority(PRIO_PROCESS, 0, GREEDY_NICE)) {
            bench_die("nice");
        }
        pair_open(&pair, elsewhere);
        pump(&pair, 1, GREEDY_BYTES, UINT64_MAX / 2);
        _exit(EX_SOFTWARE);
    }
    (void)usleep(200000);
    measure_rounds(ports, ms);
    int status = 0;
    if (waitpid(child, &status, WNOHANG) != 0) {
        errno = ECHILD;
        bench_die("the greedy one ended");
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
}

static unsigned long number(const char *text, unsigned long most)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end || n == 0 || n > most) {
        fprintf(stderr, "relay: \"%s\" is no number from 1 to %lu\n", text, most);
        exit(EX_USAGE);
    }
    return n;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5 || sodium_init() < 0) {
        fprintf(
            stderr,
            "usage: relay idle|forward|round|greedy PORT[,PORT] PID NUMBER [SIZE PAIRS | PORT]\n");
        return EX_USAGE;
    }
    char *second = strchr(argv[2], ',');
    if (second) {
        *second++ = '\0';
    }
    const struct ports both = {(uint16_t)number(argv[2], 65535),
                               (uint16_t)number(second ? second : argv[2], 65535)};
    const struct ports *ports = &both;
    long pid = (long)number(argv[3], 1UL << 30);
    unsigned long n = number(argv[4], 1000000);
    raise_descriptors();
    if (strcmp(argv[1], "idle") == 0) {
        run_idle(ports->from, pid, n);
    } else if (strcmp(argv[1], "forward") == 0 && argc == 7) {
        run_forward(ports, pid, n, number(argv[5], 65536), number(argv[6], PAIRS_MAX));
    } else if (strcmp(argv[1], "round") == 0) {
        measure_rounds(ports, n);
    } else if (strcmp(argv[1], "greedy") == 0) {
        uint16_t there = argc == 6 ? (uint16_t)number(argv[5], 65535) : 0;
        const struct ports elsewhere = {there, there};
        run_greedy(ports, there ? &elsewhere : ports, n);
    } else {
        return EX_USAGE;
    }
    return 0;
}
