/* How udp_linux.c takes the kernel's refusals. The file is compiled in here with its sending
 * system calls replaced, so that every error can be had at will; where the real kernel can be made
 * to refuse, it is asked too. */
#ifdef __linux__
#define sendmsg fake_sendmsg
#define sendmmsg fake_sendmmsg
#include "os/udp_linux.c"
#undef sendmsg
#undef sendmmsg

#include <base/rng.h>

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the fakes do next; all zero = the real call. */
static struct {
    int segmented_error;  /* of every sendmsg with UDP_SEGMENT */
    unsigned plain_stop;  /* sendmmsg: sends that many datagrams in all, then ... */
    int plain_error;      /* ... fails with this (0 = never) */
    unsigned plain_burst; /* sendmmsg: at most that many in one call */
    bool interrupt;       /* EINTR once */
    unsigned segmented_calls;
    unsigned plain_calls;
    unsigned plain_sent;
} fake;

static bool interrupted(void)
{
    bool was = fake.interrupt;
    fake.interrupt = false;
    errno = EINTR;
    return was;
}

ssize_t fake_sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (interrupted()) {
        return -1;
    }
    if (m->msg_controllen > 0) {
        fake.segmented_calls++;
        if (fake.segmented_error) {
            errno = fake.segmented_error;
            return -1;
        }
    }
    return syscall(SYS_sendmsg, fd, m, flags);
}

int fake_sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
    fake.plain_calls++;
    if (interrupted()) {
        return -1;
    }
    if (fake.plain_error) {
        if (fake.plain_sent >= fake.plain_stop) {
            errno = fake.plain_error;
            return -1;
        }
        unsigned left = fake.plain_stop - fake.plain_sent;
        count = count < left ? count : left;
    }
    if (fake.plain_burst > 0 && count > fake.plain_burst) {
        count = fake.plain_burst;
    }
    int n = (int)syscall(SYS_sendmmsg, fd, headers, count, flags);
    fake.plain_sent += n > 0 ? (unsigned)n : 0;
    return n;
}

enum { SEGMENT = 100, SEGMENTS = 30, BYTES = SEGMENT * SEGMENTS - 1 };

struct pair {
    struct udp_socket a;
    struct udp_socket b;
    struct addr to_b;
    struct udp_batch batch;
    uint8_t data[65536];
};

static void pair_close(struct pair *p)
{
    udp_close(&p->a);
    udp_close(&p->b);
    udp_batch_deinit(&p->batch);
}

/* Skips the test where the kernel cannot segment at all: there is nothing to fall back from. */
static void pair_open(struct pair *p)
{
    struct pcg pcg;
    struct addr host = addr_ipv4(127, 0, 0, 1, 0);
    struct udp_options options = {.bind = &host, .offload = true};
    memset(&fake, 0, sizeof(fake));
    assert_int_equal(udp_open(&p->a, &options), 0);
    assert_int_equal(udp_open(&p->b, &options), 0);
    assert_int_equal(udp_local(&p->b, &p->to_b), 0);
    assert_int_equal(udp_batch_init(&p->batch), 0);
    rng_fill(pcg_rng(&pcg, 1), p->data, sizeof(p->data));
    if (!p->a.offload) {
        pair_close(p);
        skip();
    }
}

/* Everything up to `len` bytes has come, once and in order, and nothing after it. */
static void assert_arrives(struct pair *p, size_t len)
{
    struct udp_datagram d;
    size_t at = 0;
    while (at < len) {
        struct pollfd pfd = {.fd = p->b.fd, .events = POLLIN};
        assert_int_equal(poll(&pfd, 1, 10000), 1);
        assert_true(udp_receive(&p->b, &p->batch) > 0);
        while (udp_batch_next(&p->batch, &d)) {
            assert_true(at + d.len <= len);
            assert_memory_equal(d.data, p->data + at, d.len);
            at += d.len;
        }
    }
    assert_int_equal(udp_receive(&p->b, &p->batch), 0);
}

static int send_run(struct pair *p, size_t from, size_t *sent)
{
    return udp_send(&p->a, &p->to_b, p->data + from, BYTES - from, SEGMENT, sent);
}

static void segments_and_coalesces_in_one_call(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    assert_int_equal(send_run(&p, 0, NULL), 0);
    assert_int_equal(fake.segmented_calls, 1);
    assert_int_equal(fake.plain_calls, 0);
    assert_arrives(&p, BYTES);
    assert_int_equal(p.b.stats.datagrams_in, SEGMENTS);
    assert_in_range(p.b.stats.reads, 1, SEGMENTS - 1);
    pair_close(&p);
}

static void falls_back_for_good(void **state)
{
    (void)state;
    const int errors[] = {EIO, EINVAL};
    for (size_t i = 0; i < 2; i++) {
        struct pair p;
        size_t sent = 0;
        pair_open(&p);
        fake.segmented_error = errors[i];
        assert_int_equal(send_run(&p, 0, &sent), 0);
        assert_int_equal(sent, BYTES);
        assert_arrives(&p, BYTES);
        assert_false(p.a.offload);
        assert_int_equal(p.a.stats.segmentation_off, 1);
        assert_int_equal(p.a.stats.datagrams_out, SEGMENTS);
        assert_int_equal(send_run(&p, 0, NULL), 0);
        assert_int_equal(fake.segmented_calls, 1); /* not tried again */
        assert_arrives(&p, BYTES);
        pair_close(&p);
    }
}

/* A kernel that may not compute checksums may not segment. */
static void falls_back_when_the_real_kernel_refuses(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    assert_true(set_option(p.a.fd, SOL_SOCKET, SO_NO_CHECK, 1));
    assert_int_equal(send_run(&p, 0, NULL), 0);
    assert_int_equal(fake.segmented_calls, 1);
    assert_arrives(&p, BYTES);
    assert_false(p.a.offload);
    pair_close(&p);
}

static void resumes_a_blocked_fallback_without_duplicates(void **state)
{
    (void)state;
    struct pair p;
    size_t sent = 0;
    size_t rest = 0;
    pair_open(&p);
    fake.segmented_error = EIO;
    fake.plain_stop = 7;
    fake.plain_error = EAGAIN;
    assert_int_equal(send_run(&p, 0, &sent), -EAGAIN);
    assert_int_equal(sent, 7 * SEGMENT);
    assert_int_equal(p.a.stats.send_blocked, 1);
    assert_int_equal(p.a.stats.datagrams_out, 7);
    fake.plain_error = 0;
    assert_int_equal(send_run(&p, sent, &rest), 0);
    assert_int_equal(sent + rest, BYTES);
    assert_arrives(&p, BYTES);
    assert_int_equal(p.a.stats.datagrams_out, SEGMENTS);
    pair_close(&p);
}

static void goes_on_after_partial_and_interrupted_calls(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    fake.segmented_error = EIO;
    fake.plain_burst = 4;
    fake.interrupt = true;
    assert_int_equal(send_run(&p, 0, NULL), 0);
    assert_int_equal(fake.plain_calls, (SEGMENTS + 3) / 4);
    assert_arrives(&p, BYTES);
    fake.interrupt = true;
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 10, 0, NULL), 0);
    assert_arrives(&p, 10);
    pair_close(&p);
}

/* The address or the size was the reason, not segmentation: it stays on. */
static void keeps_segmentation_when_plain_sending_fails_too(void **state)
{
    (void)state;
    const int errors[] = {EINVAL, EMSGSIZE, EAGAIN};
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        size_t sent = 99;
        pair_open(&p);
        fake.segmented_error = EINVAL;
        fake.plain_error = errors[i];
        assert_int_equal(send_run(&p, 0, &sent), -errors[i]);
        assert_int_equal(sent, 0);
        assert_true(p.a.offload);
        assert_int_equal(p.a.stats.segmentation_off, 0);
        pair_close(&p);
    }
}

/* The whole run, not a part of it, waits or is lost; nothing is tried a second time. */
static void passes_other_errors_up(void **state)
{
    (void)state;
    const int errors[] = {EAGAIN,  EMSGSIZE,     EPERM,       EACCES,
                          ENOBUFS, EHOSTUNREACH, ENETUNREACH, ECONNREFUSED};
    struct pair p;
    pair_open(&p);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        size_t sent = 99;
        fake.segmented_error = errors[i];
        assert_int_equal(send_run(&p, 0, &sent), -errors[i]);
        assert_int_equal(sent, 0);
    }
    assert_true(p.a.offload);
    assert_int_equal(fake.plain_calls, 0);
    assert_int_equal(p.a.stats.send_blocked, 1);
    assert_int_equal(p.a.stats.send_too_large, 1);
    assert_int_equal(p.a.stats.send_denied, 2);
    assert_int_equal(p.a.stats.send_no_buffers, 1);
    assert_int_equal(p.a.stats.send_unreachable, 3);
    assert_int_equal(p.a.stats.bytes_out, 0);
    pair_close(&p);
}

static void counts_what_the_full_buffer_lost(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    udp_close(&p.b);
    struct addr host = addr_ipv4(127, 0, 0, 1, 0);
    struct udp_options options = {.bind = &host, .rcvbuf = 4096};
    assert_int_equal(udp_open(&p.b, &options), 0);
    assert_int_equal(udp_local(&p.b, &p.to_b), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 1000, 0, NULL), 0);
    }
    while (udp_receive(&p.b, &p.batch) > 0) {
    }
    /* The count travels with the next datagram that does get in. */
    assert_int_equal(udp_send(&p.a, &p.to_b, p.data, 1000, 0, NULL), 0);
    assert_int_equal(udp_receive(&p.b, &p.batch), 1);
    assert_in_range(p.b.stats.datagrams_in, 2, 100);
    assert_int_equal(p.b.stats.datagrams_in + p.b.stats.receive_overflows, 101);
    pair_close(&p);
}

static void distrusts_the_releases_that_corrupt(void **state)
{
    (void)state;
    const char *bad[] = {"7.0.0", "7.0.12-generic", "7.1.0-rc1", "7.1.4", "7.0-rc1"};
    const char *good[] = {"6.18.44", "7.1.5", "7.2.0", "7.10.1", "5.10", "8.0.0", "8.1.2", "odd"};
    for (size_t i = 0; i < 5; i++) {
        assert_false(udp_release_trusted(bad[i]));
    }
    for (size_t i = 0; i < 8; i++) {
        assert_true(udp_release_trusted(good[i]));
    }
}

/* --- a network of our own, in a child process, where loopback has an MTU like a real link's ----
 */

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        (void)close(fd);
    }
    return done;
}

static bool enter_own_network(int mtu)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || !write_text("/proc/self/setgroups", "deny")) {
        return false;
    }
    struct ifreq r = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    r.ifr_mtu = mtu;
    bool done = fd >= 0 && ioctl(fd, SIOCSIFMTU, &r) == 0;
    r.ifr_flags = IFF_UP;
    done = done && ioctl(fd, SIOCSIFFLAGS, &r) == 0;
    (void)close(fd);
    return done;
}

enum { CHILD_FINE = 0, CHILD_WRONG = 1, CHILD_SKIP = 2 };

/* Segments up to the MTU pass; larger ones are told as such and cost nothing else. */
static int try_segments_over_mtu(void)
{
    static struct pair p;
    struct addr host = addr_ipv4(127, 0, 0, 1, 0);
    struct udp_options options = {.bind = &host, .offload = true};
    size_t sent = 0;
    if (!enter_own_network(1500)) {
        return CHILD_SKIP;
    }
    if (udp_open(&p.a, &options) < 0 || udp_open(&p.b, &options) < 0 ||
        udp_local(&p.b, &p.to_b) < 0) {
        return CHILD_WRONG;
    }
    bool fine = udp_send(&p.a, &p.to_b, p.data, 10 * 1472, 1472, &sent) == 0 &&
                udp_send(&p.a, &p.to_b, p.data, 10 * 1473, 1473, &sent) == -EMSGSIZE && sent == 0 &&
                udp_send(&p.a, &p.to_b, p.data, 1473, 0, &sent) == -EMSGSIZE && sent == 0 &&
                p.a.stats.send_too_large == 2 && p.a.offload && p.a.dont_fragment;
    return fine ? CHILD_FINE : CHILD_WRONG;
}

static void tells_a_segment_over_the_mtu(void **state)
{
    (void)state;
    int status;
    memset(&fake, 0, sizeof(fake));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(try_segments_over_mtu());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_SKIP) {
        skip(); /* no user namespaces here */
    }
    assert_int_equal(WEXITSTATUS(status), CHILD_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_and_coalesces_in_one_call),
        cmocka_unit_test(falls_back_for_good),
        cmocka_unit_test(falls_back_when_the_real_kernel_refuses),
        cmocka_unit_test(resumes_a_blocked_fallback_without_duplicates),
        cmocka_unit_test(goes_on_after_partial_and_interrupted_calls),
        cmocka_unit_test(keeps_segmentation_when_plain_sending_fails_too),
        cmocka_unit_test(passes_other_errors_up),
        cmocka_unit_test(counts_what_the_full_buffer_lost),
        cmocka_unit_test(distrusts_the_releases_that_corrupt),
        cmocka_unit_test(tells_a_segment_over_the_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 0;
}
#endif
