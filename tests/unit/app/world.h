/* Real loopback sockets for the tests of proxy/app: plain descriptors at both ends, the code under
 * test on a loop in the middle, all in one thread. Nothing sleeps: the loop is turned until what
 * is waited for is there, and a test that waits for too long fails.
 */
#ifndef TESTS_UNIT_APP_WORLD_H
#define TESTS_UNIT_APP_WORLD_H

#include "app/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum {
    WORLD_PATIENCE_MS = 20000,
    WORLD_TICK_MS = 1,
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick; /* lets the test look at its descriptors */
};

static inline void world_on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static inline void world_init(struct world *w)
{
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->tick), 0);
    assert_int_equal(uv_timer_start(&w->tick, world_on_tick, WORLD_TICK_MS, WORLD_TICK_MS), 0);
}

/* After everything on the loop was told to close. */
static inline void world_deinit(struct world *w)
{
    uv_close((uv_handle_t *)&w->tick, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static inline void world_turn(struct world *w)
{
    (void)uv_run(&w->loop, UV_RUN_ONCE);
}

/* Turns the loop until the condition holds. */
#define WORLD_UNTIL(w, condition)                                                                  \
    do {                                                                                           \
        uint64_t start_ms_ = uv_now(&(w)->loop);                                                   \
        while (!(condition)) {                                                                     \
            world_turn(w);                                                                         \
            if (uv_now(&(w)->loop) - start_ms_ > WORLD_PATIENCE_MS) {                              \
                fail_msg("waited too long for %s", #condition);                                    \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static inline int world_socket(const struct addr *a, struct sockaddr_storage *sa, socklen_t *len)
{
    tcp_sockaddr(a, sa);
    *len = a->family == ADDR_IPV4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(sa->ss_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* A socket bound to a free port of 127.0.0.1; it refuses connections unless it listens. */
static inline int world_bind(struct addr *at)
{
    struct sockaddr_storage sa;
    socklen_t len;
    *at = addr_ipv4(127, 0, 0, 1, 0);
    int fd = world_socket(at, &sa, &len);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *at = tcp_addr((struct sockaddr *)&sa);
    return fd;
}

static inline int world_listen(struct addr *at)
{
    int fd = world_bind(at);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static inline int world_accept(struct world *w, int listener)
{
    int fd = -1;
    WORLD_UNTIL(w, (fd = accept(listener, NULL, NULL)) >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline int world_connect(const struct addr *to)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int fd = world_socket(to, &sa, &len);
    int status = connect(fd, (struct sockaddr *)&sa, len);
    assert_true(status == 0 || errno == EINPROGRESS);
    return fd;
}

static inline void world_put(struct world *w, int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = -1;
        WORLD_UNTIL(w, (n = send(fd, at, len, MSG_NOSIGNAL)) >= 0 ||
                           (errno != EAGAIN && errno != ENOTCONN));
        assert_true(n >= 0);
        at += n;
        len -= (size_t)n;
    }
}

/* Bytes received: `len`, or fewer if the other end finished; -errno if the connection broke. */
static inline ssize_t world_get(struct world *w, int fd, void *out, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = -1;
        WORLD_UNTIL(w, (n = recv(fd, (char *)out + have, len - have, 0)) >= 0 ||
                           (errno != EAGAIN && errno != ENOTCONN));
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* 0: finished in order; -errno: broke. A byte fails the test. */
static inline ssize_t world_end(struct world *w, int fd)
{
    char byte;
    ssize_t n = world_get(w, fd, &byte, 1);
    assert_true(n <= 0);
    return n;
}

static inline void world_reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(close(fd), 0);
}

/* Greets and asks for a name (or an IP as text) at a SOCKS5 port. */
static inline int world_ask(struct world *w, const struct addr *socks, const char *host,
                            uint16_t port)
{
    uint8_t out[3 + 5 + 255 + 2] = {5, 1, 0, 5, 1, 0, 3};
    size_t len = strlen(host);
    out[7] = (uint8_t)len;
    memcpy(out + 8, host, len);
    out[8 + len] = (uint8_t)(port >> 8);
    out[9 + len] = (uint8_t)port;
    int fd = world_connect(socks);
    world_put(w, fd, out, 10 + len);
    return fd;
}

/* The REP byte of the answer to world_ask. */
static inline unsigned world_rep(struct world *w, int fd)
{
    uint8_t in[12];
    assert_int_equal(world_get(w, fd, in, sizeof(in)), sizeof(in));
    assert_memory_equal(in, "\x05\x00\x05", 3);
    return in[3];
}

#endif
