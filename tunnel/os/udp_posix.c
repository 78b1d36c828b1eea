/* One datagram per system call, for systems without batches. */
#ifdef __APPLE__
#define _DARWIN_C_SOURCE
#define __APPLE_USE_RFC_3542 /* IPV6_RECVTCLASS */
#elif !defined(__linux__)
#undef _POSIX_C_SOURCE /* hides IP_RECVTOS on the BSDs */
#endif
#include "os/udp.h"
#include "os/udp_ops.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static bool set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static bool keep_whole(const struct udp_socket *s)
{
    bool v4 = false;
    bool v6 = s->family == AF_INET;
#ifdef IP_DONTFRAG
    v4 = set_option(s->fd, IPPROTO_IP, IP_DONTFRAG);
#endif
#ifdef IPV6_DONTFRAG
    v6 = v6 || set_option(s->fd, IPPROTO_IPV6, IPV6_DONTFRAG);
#endif
    /* A dual-stack socket of the BSDs does not take IPv4's options; the IPv6 one covers both. */
    return s->family == AF_INET ? v4 : v6;
}

static void posix_setup(struct udp_socket *s, bool offload)
{
    (void)offload; /* there is none */
    s->dont_fragment = keep_whole(s);
#ifdef IP_RECVTOS
    (void)set_option(s->fd, IPPROTO_IP, IP_RECVTOS);
#endif
#ifdef IPV6_RECVTCLASS
    if (s->family == AF_INET6) {
        (void)set_option(s->fd, IPPROTO_IPV6, IPV6_RECVTCLASS);
    }
#endif
}

/* One datagram into the batch. 0 or -errno. */
static int receive_one(struct udp_socket *s, struct udp_batch *b, size_t slot)
{
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[2 * CMSG_SPACE(sizeof(int))];
    struct udp_ancillary a = {0};
    struct iovec part = {udp_batch_buffer(b, slot), UDP_MESSAGE_BYTES};
    struct msghdr m = {.msg_name = &name,
                       .msg_namelen = sizeof(name),
                       .msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    ssize_t n;
    do {
        n = recvmsg(s->fd, &m, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        (void)udp_ancillary_ecn(&a, c);
    }
    udp_batch_add(s, b, part.iov_base, (size_t)n, &m, &a);
    return 0;
}

static int posix_receive(struct udp_socket *s, struct udp_batch *b)
{
    size_t slot = 0;
    int rc = 0;
    while (slot < b->most && rc == 0) {
        rc = receive_one(s, b, slot);
        slot += rc == 0;
    }
    if (slot == 0) {
        return rc;
    }
    if (rc < 0 && rc != -EAGAIN && rc != -EWOULDBLOCK) {
        /* Reading has cleared this error: what lies behind it can be read at once. */
        s->stats.receive_errors++;
        rc = 0;
    }
    b->more = rc == 0;
    return 0;
}

static int send_one(int fd, const struct udp_chunk *c, const uint8_t *data, size_t len)
{
    ssize_t n;
    do {
        n = sendto(fd, data, len, 0, (const struct sockaddr *)c->to, c->to_len);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int posix_send(struct udp_socket *s, const struct udp_chunk *c, size_t *sent)
{
    do {
        size_t left = c->len - *sent;
        size_t len = left < c->segment ? left : c->segment;
        int rc = send_one(s->fd, c, c->data + *sent, len);
        if (rc < 0) {
            return rc;
        }
        *sent += len;
    } while (*sent < c->len);
    return 0;
}

const struct udp_ops udp_ops_posix = {posix_setup, posix_receive, posix_send};
