/* Applications that send datagrams through two nodes (unit/app/two.h), and the targets' sockets. */
#ifndef TESTS_UNIT_APP_UDP_WORLD_H
#define TESTS_UNIT_APP_UDP_WORLD_H

#include "unit/app/two.h"

#include "proto/udphead.h"

#include <base/bytes.h>

#include <netinet/in.h>

#define PEER_ROUTE "[route]\ndefault = peer home\n"

static inline int udp_socket(uint8_t last, struct addr *at)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(struct sockaddr_in);
    *at = addr_ipv4(127, 0, 0, last, 0);
    tcp_sockaddr(at, &sa);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *at = tcp_addr((struct sockaddr *)&sa);
    return fd;
}

static inline void send_udp(int fd, const struct addr *to, const void *data, size_t len)
{
    struct sockaddr_storage sa;
    tcp_sockaddr(to, &sa);
    ssize_t n = sendto(fd, data, len, 0, (struct sockaddr *)&sa, sizeof(struct sockaddr_in));
    assert_int_equal(n, len);
}

/* Waits for one; its length. */
static inline size_t get_udp(struct two *t, int fd, void *out, size_t cap, struct addr *from)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    ssize_t n = -1;
    WORLD_UNTIL(&t->w, (n = recvfrom(fd, out, cap, 0, (struct sockaddr *)&sa, &len)) >= 0);
    *from = tcp_addr((struct sockaddr *)&sa);
    return (size_t)n;
}

static inline bool has_udp(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK) >= 0;
}

/* One application with a UDP association. */
struct user {
    struct two *t;
    int tcp, udp;
    struct addr at, relay; /* its UDP socket; where it sends */
};

static inline unsigned ask_socks(struct two *t, int fd, uint8_t command,
                                 const struct target *target, struct addr *bound)
{
    uint8_t out[64] = {5, 1, 0, 5, command, 0}, in[12];
    struct writer w = writer_of(out + 6, sizeof(out) - 6);
    socksaddr_write(&w, target);
    world_put(&t->w, fd, out, 6 + writer_len(&w));
    assert_int_equal(world_get(&t->w, fd, in, sizeof(in)), sizeof(in));
    assert_memory_equal(in, "\x05\x00\x05", 3);
    struct reader r = reader_of(in + 5, 7);
    struct target b;
    assert_int_equal(socksaddr_read(&r, &b), 0);
    *bound = b.addr;
    return in[3];
}

static inline struct target no_target(void)
{
    struct target t;
    struct addr none = addr_ipv4(0, 0, 0, 0, 0);
    target_set_addr(&t, &none);
    return t;
}

static inline struct user associate(struct two *t)
{
    struct user u = {.t = t, .tcp = world_connect(&t->socks)};
    struct target none = no_target();
    u.udp = udp_socket(1, &u.at);
    assert_int_equal(ask_socks(t, u.tcp, 3, &none, &u.relay), 0);
    assert_true(addr_is_loopback(&u.relay) && u.relay.port != 0); /* concrete */
    return u;
}

static inline void end_user(struct user *u)
{
    (void)close(u->tcp);
    (void)close(u->udp);
}

static inline void user_send(struct user *u, const struct target *to, const void *data, size_t len)
{
    static uint8_t buf[UDPHEAD_MAX + 65536];
    memcpy(buf + UDPHEAD_MAX, data, len);
    uint8_t *at = udphead_put(buf + UDPHEAD_MAX, true, to);
    send_udp(u->udp, &u->relay, at, len + (size_t)(buf + UDPHEAD_MAX - at));
}

/* Waits for one whose head says that it is from `from`. */
static inline void user_get(struct user *u, const struct addr *from, const void *data, size_t len)
{
    static uint8_t buf[65536];
    struct addr relay;
    struct udphead h;
    size_t n = get_udp(u->t, u->udp, buf, sizeof(buf), &relay);
    assert_true(addr_equal(&relay, &u->relay));
    assert_int_equal(udphead_read(&h, true, buf, n), 0);
    assert_int_equal(h.frag, 0);
    assert_true(h.target.kind == TARGET_ADDRESS && addr_equal(&h.target.addr, from));
    assert_int_equal(n - h.len, len);
    assert_memory_equal(buf + h.len, data, len);
}

static inline struct target target_of(const char *host, uint16_t port)
{
    struct target t;
    assert_int_equal(target_set_name(&t, host, strlen(host), port), 0);
    return t;
}

/* A target's own socket: takes one and answers. */
static inline void answer(struct two *t, int fd, const void *expected, size_t expected_len,
                          const void *data, size_t len)
{
    static uint8_t buf[65536];
    struct addr from;
    assert_int_equal(get_udp(t, fd, buf, sizeof(buf), &from), expected_len);
    assert_memory_equal(buf, expected, expected_len);
    send_udp(fd, &from, data, len);
}

static inline struct two *with_peer(const char *allow)
{
    return setup(allow, PEER_ROUTE);
}

#endif
