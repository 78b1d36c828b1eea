/* The application in front of the proxy. Threads that block: what is measured is the proxy. */
#include "load.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE = 128, SAMPLES_MAX = 1 << 20, CONN_THREADS = 16, IDLE_MAX = 10000 };

#define DRAIN_NS UINT64_C(1000000000)

/* What is measured: [from, to). */
struct window {
    uint64_t from_ns, to_ns;
};

struct bulk {
    const struct load_target *target;
    struct window window;
    int fd;
    bool up;
    uint64_t total;       /* bytes of the whole time */
    uint64_t first, last; /* of these until the window began and ended */
    unsigned long thread;
};

struct samples {
    const struct load_target *target;
    struct window window;
    uint64_t *ns;
    size_t count;
    unsigned long thread;
};

static struct window window_of(double seconds)
{
    uint64_t now = load_now();
    uint64_t all = (uint64_t)(seconds * 1e9);
    return (struct window){now + all / 4, now + all};
}

static int must_connect(const struct load_target *t, char mode)
{
    int fd = load_connect(t, mode);
    if (fd < 0) {
        load_die("the proxy refused or broke a connection");
    }
    return fd;
}

/* --- bulk ------------------------------------------------------------------------------------ */

static void note(struct bulk *b, uint64_t total, uint64_t now)
{
    b->total = total;
    if (now <= b->window.to_ns) {
        b->last = total;
    }
    if (now < b->window.from_ns) {
        b->first = total;
    }
}

static void *push(void *arg)
{
    static const uint8_t content[LOAD_BLOCK];
    struct bulk *b = arg;
    while (load_now() < b->window.to_ns && load_write(b->fd, content, sizeof(content))) {
    }
    return NULL;
}

static void download(struct bulk *b)
{
    char *block = malloc(LOAD_BLOCK);
    ssize_t n;
    while (block && load_now() < b->window.to_ns && (n = read(b->fd, block, LOAD_BLOCK)) > 0) {
        note(b, b->total + (uint64_t)n, load_now());
    }
    free(block);
}

/* All that was said by now, with what is left of a report that has come in part. */
static bool read_reports(struct bulk *b, uint8_t *part, size_t *have)
{
    struct load_report r;
    ssize_t n = read(b->fd, part + *have, sizeof(r) - *have);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    *have += (size_t)n;
    if (*have == sizeof(r)) {
        memcpy(&r, part, sizeof(r));
        note(b, r.bytes, r.ns);
        *have = 0;
    }
    return true;
}

/* Goes on after the window: what is on the way costs time that counts, so it has to arrive. */
static void upload(struct bulk *b)
{
    unsigned long pusher;
    uint8_t part[sizeof(struct load_report)];
    size_t have = 0;
    struct timeval patience = {.tv_usec = 150000};
    (void)setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    load_thread(push, b, &pusher);
    while (load_now() < b->window.to_ns + DRAIN_NS) {
        bool over = load_now() > b->window.to_ns;
        uint64_t before = b->total;
        if (!read_reports(b, part, &have) || (over && before == b->total && have == 0)) {
            break;
        }
    }
    (void)shutdown(b->fd, SHUT_RDWR);
    (void)pthread_join(pusher, NULL);
}

/* A read that waits must not outlast the window. */
static void *run_bulk(void *arg)
{
    struct bulk *b = arg;
    struct timeval patience = {.tv_sec = 5};
    b->fd = must_connect(b->target, b->up ? 'u' : 'd');
    (void)setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (b->up) {
        upload(b);
    } else {
        download(b);
    }
    (void)close(b->fd);
    return NULL;
}

static double rate_of(const struct bulk *b)
{
    uint64_t ns = b->window.to_ns - b->window.from_ns;
    return (double)(b->last - b->first) * 8e3 / (double)ns;
}

static void bulk_start(struct bulk *list, size_t count, const struct load_target *t, bool up,
                       struct window w)
{
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct bulk){.target = t, .window = w, .up = up};
        load_thread(run_bulk, &list[i], &list[i].thread);
    }
}

static void bulk_finish(struct bulk *list, size_t count)
{
    double sum = 0;
    double worst = 1e18;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(list[i].thread, NULL);
        double rate = rate_of(&list[i]);
        sum += rate;
        worst = rate < worst ? rate : worst;
        bytes += list[i].total;
    }
    double mean = sum / (double)count;
    printf("mbps %.2f worst %.3f bytes %llu ", sum, mean > 0 ? worst / mean : 0,
           (unsigned long long)bytes);
}

static int bulk(const struct load_target *t, bool up, double seconds, size_t count)
{
    struct bulk *list = calloc(count, sizeof(*list));
    if (!list) {
        load_die("memory");
    }
    bulk_start(list, count, t, up, window_of(seconds));
    bulk_finish(list, count);
    free(list);
    return 0;
}

/* --- latency --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void samples_init(struct samples *s, const struct load_target *t, double seconds)
{
    *s = (struct samples){.target = t, .window = window_of(seconds)};
    s->ns = calloc(SAMPLES_MAX, sizeof(*s->ns));
    if (!s->ns) {
        load_die("memory");
    }
}

static void sample(struct samples *s, uint64_t from_ns)
{
    if (from_ns >= s->window.from_ns && s->count < SAMPLES_MAX) {
        s->ns[s->count++] = load_now() - from_ns;
    }
}

static void samples_finish(struct samples *s)
{
    qsort(s->ns, s->count, sizeof(*s->ns), compare);
    double p50 = s->count > 0 ? (double)s->ns[s->count / 2] / 1e3 : 0;
    double p99 = s->count > 0 ? (double)s->ns[s->count * 99 / 100] / 1e3 : 0;
    printf("p50 %.1f p99 %.1f count %zu ", p50, p99, s->count);
    free(s->ns);
}

static void *run_rr(void *arg)
{
    struct samples *s = arg;
    char message[MESSAGE] = {0};
    int fd = must_connect(s->target, 'e');
    for (uint64_t now = load_now(); now < s->window.to_ns; now = load_now()) {
        if (!load_write(fd, message, sizeof(message)) || !load_read(fd, message, sizeof(message))) {
            load_die("the echo broke");
        }
        sample(s, now);
    }
    (void)close(fd);
    return NULL;
}

static int rr(const struct load_target *t, double seconds)
{
    struct samples s;
    samples_init(&s, t, seconds);
    (void)run_rr(&s);
    samples_finish(&s);
    return 0;
}

static int mixed(const struct load_target *t, double seconds)
{
    struct samples s;
    struct bulk b;
    samples_init(&s, t, seconds);
    bulk_start(&b, 1, t, false, s.window);
    (void)run_rr(&s);
    bulk_finish(&b, 1);
    samples_finish(&s);
    return 0;
}

/* --- connections ----------------------------------------------------------------------------- */

static void connect_once(const struct load_target *t)
{
    char byte = 'x';
    int fd = must_connect(t, 'e');
    if (!load_write(fd, &byte, 1) || !load_read(fd, &byte, 1)) {
        load_die("the echo broke");
    }
    (void)close(fd);
}

static void *run_connects(void *arg)
{
    struct samples *s = arg;
    for (uint64_t now = load_now(); now < s->window.to_ns; now = load_now()) {
        connect_once(s->target);
        if (now >= s->window.from_ns) {
            s->count++;
        }
    }
    return NULL;
}

static int connects(const struct load_target *t, double seconds, size_t count)
{
    struct samples *list = calloc(count, sizeof(*list));
    struct window w = window_of(seconds);
    size_t made = 0;
    for (size_t i = 0; list && i < count; i++) {
        list[i] = (struct samples){.target = t, .window = w};
        load_thread(run_connects, &list[i], &list[i].thread);
    }
    for (size_t i = 0; list && i < count; i++) {
        (void)pthread_join(list[i].thread, NULL);
        made += list[i].count;
    }
    printf("per_s %.0f ", (double)made * 1e9 / (double)(w.to_ns - w.from_ns));
    free(list);
    return 0;
}

static int new_ones(const struct load_target *t, double seconds)
{
    struct samples s;
    samples_init(&s, t, seconds);
    for (uint64_t now = load_now(); now < s.window.to_ns; now = load_now()) {
        connect_once(t);
        sample(&s, now);
    }
    samples_finish(&s);
    return 0;
}

static int idle(const struct load_target *t, size_t count)
{
    static int fds[IDLE_MAX];
    char byte = 'x';
    count = count < IDLE_MAX ? count : IDLE_MAX;
    for (size_t i = 0; i < count; i++) {
        fds[i] = must_connect(t, 'e');
        if (!load_write(fds[i], &byte, 1) || !load_read(fds[i], &byte, 1)) {
            load_die("the echo broke");
        }
    }
    printf("open\n");
    (void)fflush(stdout);
    (void)getchar();
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    return 0;
}

int load_run(const struct load_target *t, const char *what, double seconds, size_t count)
{
    int rc = -1;
    if (strcmp(what, "down") == 0 || strcmp(what, "up") == 0) {
        rc = bulk(t, what[0] == 'u', seconds, count > 0 ? count : 1);
    } else if (strcmp(what, "rr") == 0) {
        rc = rr(t, seconds);
    } else if (strcmp(what, "mixed") == 0) {
        rc = mixed(t, seconds);
    } else if (strcmp(what, "conn") == 0) {
        rc = connects(t, seconds, count > 0 ? count : CONN_THREADS);
    } else if (strcmp(what, "new") == 0) {
        rc = new_ones(t, seconds);
    } else if (strcmp(what, "idle") == 0) {
        rc = idle(t, count);
    }
    printf("\n");
    return rc;
}
