/* A crowd of applications behind a SOCKS5 proxy, and the server that echoes for them; one thread
 * each.
 *
 *   lab_crowd serve ADDRESS PORT
 *   lab_crowd hold FRONT-ADDRESS FRONT-PORT HOST PORT COUNT
 *   lab_crowd rate FRONT-ADDRESS FRONT-PORT HOST PORT COUNT PER-SECOND
 *
 * `hold` opens COUNT connections, echoes a byte over each and prints "open N failed N seconds S";
 * at a line from standard input it does so once more over each, prints "alive N" and ends. `rate`
 * opens COUNT connections, PER-SECOND of them a second whatever becomes of the others, echoes a
 * byte over each and closes it; it prints "done N failed N seconds S p50_ms N p99_ms N".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, AT_ONCE = 256, REPLY = 12, PATIENCE_S = 30 };

enum state { UNUSED, ASKED, ECHOING, OPEN, FAILED, DONE };

struct member {
    int fd;
    enum state state;
    size_t got; /* bytes of the replies */
    uint64_t start_ns, took_ns;
};

struct crowd {
    struct sockaddr_in front;
    uint8_t request[300];
    size_t request_len;
    struct member *all;
    size_t count, started, open, failed, busy;
    int epoll;
    bool closes; /* each when its byte has come */
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EX_OSERR);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in address_of(const char *ip, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    if (inet_pton(AF_INET, ip, &at.sin_addr) != 1) {
        die("address");
    }
    return at;
}

static void watch(int epoll, int fd, uint64_t what)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = what};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        die("epoll_ctl");
    }
}

/* --- the server ------------------------------------------------------------------------------ */

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        watch(epoll, fd, (uint64_t)fd);
    }
}

static void echo(int fd)
{
    char block[4096];
    ssize_t n = recv(fd, block, sizeof(block), MSG_DONTWAIT);
    if (n > 0) {
        n = send(fd, block, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (n <= 0) {
        (void)close(fd);
    }
}

static _Noreturn void serve(const struct sockaddr_in *at)
{
    const int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int epoll = epoll_create1(0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (const struct sockaddr *)at, sizeof(*at)) != 0 ||
        listen(listener, 4096) != 0 || fcntl(listener, F_SETFL, O_NONBLOCK) != 0) {
        die("listen");
    }
    watch(epoll, listener, (uint64_t)listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = (int)events[i].data.u64;
            if (fd == listener) {
                accept_all(epoll, listener);
            } else {
                echo(fd);
            }
        }
    }
}

/* --- the crowd ------------------------------------------------------------------------------- */

static void make_request(struct crowd *c, const char *host, const char *port)
{
    static const uint8_t head[] = {5, 1, 0, 5, 1, 0, 3};
    unsigned long number = strtoul(port, NULL, 10);
    size_t len = strlen(host);
    memcpy(c->request, head, sizeof(head));
    c->request[7] = (uint8_t)len;
    memcpy(c->request + 8, host, len);
    c->request[8 + len] = (uint8_t)(number >> 8);
    c->request[9 + len] = (uint8_t)number;
    c->request_len = 10 + len;
}

static void leave(struct crowd *c, struct member *m, enum state state)
{
    (void)close(m->fd);
    m->fd = -1;
    c->busy -= m->state == ASKED || m->state == ECHOING;
    c->open -= m->state == OPEN;
    c->failed += state == FAILED;
    m->state = state;
}

static void start(struct crowd *c)
{
    struct member *m = &c->all[c->started++];
    m->fd = socket(AF_INET, SOCK_STREAM, 0);
    m->start_ns = now_ns();
    m->state = ASKED;
    c->busy++;
    bool good = m->fd >= 0 &&
                connect(m->fd, (const struct sockaddr *)&c->front, sizeof(c->front)) == 0 &&
                send(m->fd, c->request, c->request_len, MSG_NOSIGNAL) == (ssize_t)c->request_len;
    if (!good) {
        leave(c, m, FAILED);
        return;
    }
    watch(c->epoll, m->fd, (uint64_t)(m - c->all));
}

static void ping(struct crowd *c, struct member *m)
{
    m->state = ECHOING;
    if (send(m->fd, "x", 1, MSG_NOSIGNAL) != 1) {
        leave(c, m, FAILED);
    }
}

static void on_echo(struct crowd *c, struct member *m)
{
    m->took_ns = now_ns() - m->start_ns;
    if (c->closes) {
        leave(c, m, DONE);
        return;
    }
    c->busy--;
    c->open++;
    m->state = OPEN;
}

static void on_readable(struct crowd *c, struct member *m)
{
    uint8_t in[REPLY];
    size_t want = m->state == ASKED ? REPLY - m->got : 1;
    ssize_t n = recv(m->fd, in, want, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            leave(c, m, FAILED);
        }
    } else if (m->state == ECHOING) {
        on_echo(c, m);
    } else if (m->state == ASKED) {
        bool refused = m->got < 4 && m->got + (size_t)n >= 4 && in[3 - m->got] != 0;
        m->got += (size_t)n;
        if (refused) {
            leave(c, m, FAILED);
        } else if (m->got == REPLY) {
            ping(c, m);
        }
    }
}

static void turn(struct crowd *c, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(c->epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct member *m = &c->all[events[i].data.u64];
        if (m->fd >= 0) {
            on_readable(c, m);
        }
    }
}

/* Until nobody waits any more; whoever waits for too long has failed. */
static void settle(struct crowd *c)
{
    uint64_t end = now_ns() + PATIENCE_S * UINT64_C(1000000000);
    while (c->busy > 0 && now_ns() < end) {
        turn(c, 100);
    }
    for (size_t i = 0; i < c->started && c->busy > 0; i++) {
        if (c->all[i].state == ASKED || c->all[i].state == ECHOING) {
            leave(c, &c->all[i], FAILED);
        }
    }
}

static double seconds_since(uint64_t start)
{
    return (double)(now_ns() - start) / 1e9;
}

static void hold(struct crowd *c)
{
    uint64_t start_ns = now_ns();
    while (c->started < c->count) {
        if (c->busy < AT_ONCE) {
            start(c);
        } else {
            turn(c, 100);
        }
    }
    settle(c);
    printf("open %zu failed %zu seconds %.1f\n", c->open, c->failed, seconds_since(start_ns));
    (void)fflush(stdout);
    (void)getchar();
    for (size_t i = 0; i < c->count; i++) {
        if (c->all[i].state == OPEN) {
            c->open--;
            c->busy++;
            ping(c, &c->all[i]);
        }
    }
    settle(c);
    printf("alive %zu\n", c->open);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void rate(struct crowd *c, double per_second)
{
    uint64_t start_ns = now_ns();
    size_t done = 0;
    c->closes = true;
    while (c->started < c->count) {
        size_t due = (size_t)(seconds_since(start_ns) * per_second);
        while (c->started < c->count && c->started < due) {
            start(c);
        }
        turn(c, 1);
    }
    settle(c);
    double seconds = seconds_since(start_ns);
    uint64_t *took = calloc(c->count, sizeof(*took));
    for (size_t i = 0; took && i < c->count; i++) {
        if (c->all[i].state == DONE) {
            took[done++] = c->all[i].took_ns;
        }
    }
    if (took) {
        qsort(took, done, sizeof(*took), compare);
        printf("done %zu failed %zu seconds %.1f p50_ms %.1f p99_ms %.1f\n", done, c->failed,
               seconds, done ? (double)took[done / 2] / 1e6 : 0,
               done ? (double)took[done * 99 / 100] / 1e6 : 0);
    }
    free(took);
}

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct crowd c = {.count = argc > 6 ? strtoul(argv[6], NULL, 10) : 0};
    bool serving = argc == 4 && strcmp(argv[1], "serve") == 0;
    bool holding = argc == 7 && strcmp(argv[1], "hold") == 0;
    bool rating = argc == 8 && strcmp(argv[1], "rate") == 0;
    if (!serving && ((!holding && !rating) || c.count == 0 || strlen(argv[4]) > 255)) {
        (void)fprintf(stderr, "usage: lab_crowd serve|hold|rate ...\n");
        return EX_USAGE;
    }
    raise_limit();
    c.front = address_of(argv[2], argv[3]);
    if (serving) {
        serve(&c.front);
    }
    make_request(&c, argv[4], argv[5]);
    c.epoll = epoll_create1(0);
    c.all = calloc(c.count, sizeof(*c.all));
    if (!c.all || c.epoll < 0) {
        die("lab_crowd");
    }
    if (holding) {
        hold(&c);
    } else {
        rate(&c, strtod(argv[7], NULL));
    }
    free(c.all);
    return 0;
}
