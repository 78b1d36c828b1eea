#include "os/udp.h"

#include "os/sockaddr.h"
#include "os/udp_ops.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Errors that one udp_receive skips; a flood of ICMP must not keep the loop here. */
enum { RECEIVE_ERRORS_MAX = 16 };

/* Below this a refused buffer size is not worth another try. */
enum { BUFFER_BYTES_MIN = 64 * 1024 };

/* --- opening --------------------------------------------------------------------------------- */

static int new_socket(int family)
{
#ifdef SOCK_CLOEXEC
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 ? fd : -errno;
#else
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd < 0) {
        return -errno;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    return fd;
#endif
}

/* Asks for `want` bytes, for less where the system refuses instead of granting what it can (the
 * BSDs), and returns what was granted. */
static int set_buffer(int fd, int option, int force, int want)
{
    int granted = 0;
    socklen_t len = sizeof(granted);
    if (force < 0 || setsockopt(fd, SOL_SOCKET, force, &want, sizeof(want)) < 0) {
        while (setsockopt(fd, SOL_SOCKET, option, &want, sizeof(want)) < 0 &&
               want > BUFFER_BYTES_MIN) {
            want /= 2;
        }
    }
    if (getsockopt(fd, SOL_SOCKET, option, &granted, &len) < 0) {
        return 0;
    }
#ifdef __linux__
    granted /= 2; /* Linux doubles what is asked, for its own bookkeeping, and reports that */
#endif
    return granted;
}

static void set_buffers(struct udp_socket *s, const struct udp_options *options)
{
    int force_in = -1;
    int force_out = -1;
#ifdef __linux__
    force_in = SO_RCVBUFFORCE; /* past net.core.rmem_max, for who may */
    force_out = SO_SNDBUFFORCE;
#endif
    int in = options->rcvbuf > 0 ? options->rcvbuf : UDP_BUFFER_BYTES;
    int out = options->sndbuf > 0 ? options->sndbuf : UDP_BUFFER_BYTES;
    s->rcvbuf = set_buffer(s->fd, SO_RCVBUF, force_in, in);
    s->sndbuf = set_buffer(s->fd, SO_SNDBUF, force_out, out);
}

void udp_grow(struct udp_socket *s)
{
    set_buffers(s, &(struct udp_options){0});
}

void udp_batch_sends(struct udp_socket *s, bool on)
{
    s->offload = on && s->can_segment;
}

struct udp_socket udp_lend(const struct udp_socket *s)
{
    struct udp_socket lent = *s;
    lent.stats = (struct udp_stats){0};
    return lent;
}

void udp_return(struct udp_socket *s, const struct udp_socket *lent)
{
    const struct udp_stats *more = &lent->stats;
    struct udp_stats *st = &s->stats;
    st->datagrams_out += more->datagrams_out;
    st->datagrams_batched += more->datagrams_batched;
    st->bytes_out += more->bytes_out;
    st->send_blocked += more->send_blocked;
    st->send_too_large += more->send_too_large;
    st->send_unreachable += more->send_unreachable;
    st->send_denied += more->send_denied;
    st->send_no_buffers += more->send_no_buffers;
    st->send_other += more->send_other;
    if (more->segmentation_off) {
        st->segmentation_off = 1;
        s->offload = s->can_segment = false;
    }
}

static int open_bound(struct udp_socket *s, const struct addr *bind_to,
                      const struct udp_options *options)
{
    struct sockaddr_storage ss;
    socklen_t len = sockaddr_encode(&ss, bind_to, AF_UNSPEC);
    CHECK(len > 0);
    s->family = ss.ss_family;
    s->dual = s->family == AF_INET6 && addr_is_unspecified(bind_to);
    s->fd = new_socket(s->family);
    if (s->fd < 0) {
        int rc = s->fd;
        s->fd = -1;
        return rc;
    }
    int v6only = !s->dual;
    if (s->family == AF_INET6 &&
        setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0) {
        goto failed;
    }
    set_buffers(s, options);
    s->ops->setup(s, options->offload);
    if (bind(s->fd, (const struct sockaddr *)&ss, len) < 0) {
        goto failed;
    }
    return 0;
failed:;
    int rc = -errno;
    udp_close(s);
    return rc;
}

static int set_hops(int fd, int level, int option, int hops)
{
    return setsockopt(fd, level, option, &hops, sizeof(hops)) < 0 ? -errno : 0;
}

/* What the system would take for a socket of this kind. */
static int usual_hops(int family)
{
    bool ipv6 = family == AF_INET6;
    int hops = 64;
    socklen_t len = sizeof(hops);
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd >= 0) {
        (void)getsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_UNICAST_HOPS : IP_TTL,
                         &hops, &len);
        (void)close(fd);
    }
    return hops;
}

int udp_set_hops(struct udp_socket *s, int hops)
{
    int rc = 0;
    if (s->family == AF_INET || s->dual) { /* where a dual one refuses, it has none for IPv4 */
        rc = set_hops(s->fd, IPPROTO_IP, IP_TTL, hops > 0 ? hops : usual_hops(AF_INET));
    }
    if (s->family == AF_INET6) {
        rc = set_hops(s->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS,
                      hops > 0 ? hops : usual_hops(AF_INET6));
    }
    return rc;
}

static const struct udp_ops *best_ops(void)
{
#ifdef __linux__
    return &udp_ops_linux;
#else
    return &udp_ops_posix;
#endif
}

int udp_open(struct udp_socket *s, const struct udp_options *options)
{
    *s = (struct udp_socket){.fd = -1, .ops = options->ops ? options->ops : best_ops()};
    if (options->bind && options->bind->family != ADDR_NONE) {
        struct addr given = addr_normalize(options->bind);
        return open_bound(s, &given, options);
    }
    uint16_t port = options->bind ? options->bind->port : 0;
    struct addr any = {.family = ADDR_IPV6, .port = port};
    int rc = open_bound(s, &any, options);
    /* No IPv6 in the kernel, none in this namespace, or no dual-stack sockets. A port in use is a
     * port in use in IPv4 too. */
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL || rc == -EINVAL || rc == -ENOPROTOOPT) {
        any.family = ADDR_IPV4;
        rc = open_bound(s, &any, options);
    }
    return rc;
}

void udp_close(struct udp_socket *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
}

int udp_local(const struct udp_socket *s, struct addr *out)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(s->fd, (struct sockaddr *)&ss, &len) < 0) {
        return -errno;
    }
    *out = sockaddr_decode(&ss, len);
    return 0;
}

/* --- batches --------------------------------------------------------------------------------- */

int udp_batch_init(struct udp_batch *b)
{
    *b = (struct udp_batch){.buffer = mem_new(UDP_BATCH_MESSAGES, UDP_MESSAGE_BYTES)};
    return b->buffer ? 0 : ERR_NO_MEMORY;
}

void udp_batch_deinit(struct udp_batch *b)
{
    mem_free(b->buffer);
    *b = (struct udp_batch){0};
}

size_t udp_batch_bytes(const struct udp_batch *b)
{
    size_t bytes = 0;
    for (size_t i = 0; i < b->count; i++) {
        bytes += b->messages[i].len;
    }
    return bytes;
}

uint8_t *udp_batch_trade(struct udp_batch *b, uint8_t *fresh)
{
    uint8_t *used = b->buffer;
    b->buffer = fresh;
    return used;
}

void udp_batch_limit(struct udp_batch *b, size_t bytes)
{
    b->limit = bytes;
}

/* Messages of one size follow each other, and differ: packets that the system joined, or single
 * ones. */
static void choose_most(struct udp_batch *b)
{
    size_t bytes = udp_batch_bytes(b);
    if (b->limit == 0 || b->most == 0) {
        b->most = UDP_BATCH_MESSAGES;
    } else if (bytes > 0) {
        size_t fits = b->limit * b->count / bytes;
        fits = fits > UDP_BATCH_LEAST ? fits : UDP_BATCH_LEAST;
        b->most = fits < UDP_BATCH_MESSAGES ? fits : UDP_BATCH_MESSAGES;
    }
}

bool udp_batch_next(struct udp_batch *b, struct udp_datagram *out)
{
    if (b->at == b->count) {
        return false;
    }
    const struct udp_message *m = &b->messages[b->at];
    size_t left = m->len - b->offset;
    size_t len = left < m->stride ? left : m->stride;
    *out = (struct udp_datagram){m->from, m->data + b->offset, len, m->ecn};
    b->offset += len;
    if (b->offset == m->len) {
        b->at++;
        b->offset = 0;
    }
    return true;
}

void udp_batch_add(struct udp_socket *s, struct udp_batch *b, uint8_t *data, size_t len,
                   const struct msghdr *m, const struct udp_ancillary *a)
{
    struct addr from = sockaddr_decode(m->msg_name, m->msg_namelen);
    s->stats.reads++;
    if (m->msg_flags & MSG_TRUNC || from.family == ADDR_NONE) {
        s->stats.receive_truncated++;
        return;
    }
    CHECK(b->count < UDP_BATCH_MESSAGES);
    size_t stride = a->stride > 0 && a->stride < len ? a->stride : len;
    b->messages[b->count++] = (struct udp_message){from, data, len, stride, a->ecn};
    b->datagrams += stride > 0 ? (len + stride - 1) / stride : 1;
    s->stats.bytes_in += len;
}

bool udp_ancillary_ecn(struct udp_ancillary *a, const struct cmsghdr *c)
{
    const unsigned char *data = CMSG_DATA(c);
    int tos = 0;
    bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS;
#ifdef IP_RECVTOS
    v4 = v4 || (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVTOS); /* the BSDs' name */
#endif
    bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS;
    if (!v4 && !v6) {
        return false;
    }
    /* One byte or an int, whatever the system likes: the length tells. */
    if (c->cmsg_len >= CMSG_LEN(sizeof(tos))) {
        memcpy(&tos, data, sizeof(tos));
    } else if (c->cmsg_len > CMSG_LEN(0)) {
        tos = data[0];
    }
    a->ecn = (uint8_t)(tos & 3);
    return true;
}

/* Errors after which this socket never receives again; all others belong to some packet. */
static bool is_fatal(int rc)
{
    return rc == -EBADF || rc == -ENOTSOCK || rc == -EINVAL || rc == -EFAULT || rc == -ENOTCONN ||
           rc == -EPIPE;
}

static bool is_again(int rc)
{
    return rc == -EAGAIN || rc == -EWOULDBLOCK;
}

int udp_receive(struct udp_socket *s, struct udp_batch *b)
{
    choose_most(b);
    b->count = b->datagrams = b->at = b->offset = 0;
    b->more = false;
    for (int i = 0; i < RECEIVE_ERRORS_MAX; i++) {
        int rc = s->ops->receive(s, b);
        if (rc == 0) {
            s->stats.datagrams_in += b->datagrams;
            return (int)b->datagrams;
        }
        if (is_again(rc)) {
            return 0;
        }
        s->stats.receive_errors++;
        if (is_fatal(rc)) {
            return rc;
        }
    }
    return 0;
}

/* --- sending --------------------------------------------------------------------------------- */

static void count_send_error(struct udp_stats *st, int rc)
{
    switch (-rc) {
    case EAGAIN:
        st->send_blocked++;
        break;
    case EMSGSIZE:
        st->send_too_large++;
        break;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ECONNREFUSED:
        st->send_unreachable++;
        break;
    case EPERM:
    case EACCES:
        st->send_denied++;
        break;
    case ENOBUFS:
    case ENOMEM:
        st->send_no_buffers++;
        break;
    default:
        st->send_other++;
        break;
    }
}

/* The most whole segments that one system call takes. */
static size_t chunk_max(size_t segment)
{
    size_t count = segment < UDP_PAYLOAD_MAX ? UDP_PAYLOAD_MAX / segment : 1;
    return segment * (count < UDP_SEGMENTS_MAX ? count : UDP_SEGMENTS_MAX);
}

/* Datagrams in `went` bytes; an empty one shows only by its success. */
static size_t datagrams_in(size_t went, size_t segment, bool success)
{
    if (segment == 0) {
        return success ? 1 : 0;
    }
    return (went + segment - 1) / segment;
}

static int send_chunks(struct udp_socket *s, struct udp_chunk *c, size_t len, size_t *sent)
{
    const uint8_t *data = c->data;
    size_t most = c->segment > 0 ? chunk_max(c->segment) : 0;
    do {
        size_t went = 0;
        c->data = data + *sent;
        c->len = len - *sent < most ? len - *sent : most;
        int rc = s->ops->send(s, c, &went);
        *sent += went;
        s->stats.bytes_out += went;
        s->stats.datagrams_out += datagrams_in(went, c->segment, rc == 0);
        if (rc < 0) {
            return is_again(rc) ? -EAGAIN : rc;
        }
    } while (*sent < len);
    return 0;
}

int udp_send(struct udp_socket *s, const struct addr *to, const uint8_t *data, size_t len,
             size_t segment, size_t *sent)
{
    struct sockaddr_storage ss;
    size_t went = 0;
    struct udp_chunk c = {&ss, sockaddr_encode(&ss, to, s->family), data, len,
                          segment > 0 && segment < len ? segment : len};
    bool possible = c.to_len > 0 && (to->family != ADDR_IPV4 || s->family == AF_INET || s->dual);
    int rc = possible ? send_chunks(s, &c, len, &went) : -EAFNOSUPPORT;
    if (rc < 0) {
        count_send_error(&s->stats, rc);
    }
    if (sent) {
        *sent = went;
    }
    return rc;
}
