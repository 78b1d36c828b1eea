/* recvmmsg and sendmmsg, UDP_SEGMENT (GSO, Linux 4.18) and UDP_GRO (5.0). */
#define _GNU_SOURCE
#include "os/udp.h"
#include "os/udp_ops.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

/* linux/udp.h; older C libraries lack them. */
enum {
    LEVEL_UDP = 17,
    OPTION_SEGMENT = 103,
    OPTION_GRO = 104,
};

/* Traffic class, GRO stride and overflow count of one message, each an int. */
enum { CONTROL_BYTES = 3 * CMSG_SPACE(sizeof(int)) };

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

bool udp_release_trusted(const char *release)
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;
    if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2 || major != 7) {
        return true;
    }
    return minor > 1 || (minor == 1 && patch > 4);
}

/* A kernel that takes the option for the whole socket also takes it for each message. */
static bool can_segment(int fd)
{
    struct utsname u;
    return uname(&u) == 0 && udp_release_trusted(u.release) &&
           set_option(fd, LEVEL_UDP, OPTION_SEGMENT, 1200) &&
           set_option(fd, LEVEL_UDP, OPTION_SEGMENT, 0);
}

/* An IPv6 socket has both sets of options: IPv4 packets of a dual-stack one obey the IPv4 set. */
static void linux_setup(struct udp_socket *s, bool offload)
{
    s->dont_fragment = set_option(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    (void)set_option(s->fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (s->family == AF_INET6) {
        bool v6 = set_option(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        s->dont_fragment = s->dont_fragment && v6;
        (void)set_option(s->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
    (void)set_option(s->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    s->can_segment = offload && can_segment(s->fd);
    s->offload = s->can_segment;
    s->coalesce = offload && set_option(s->fd, LEVEL_UDP, OPTION_GRO, 1);
}

/* --- in -------------------------------------------------------------------------------------- */

static struct udp_ancillary read_ancillary(struct msghdr *m)
{
    struct udp_ancillary a = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (udp_ancillary_ecn(&a, c)) {
            continue;
        }
        if (c->cmsg_level == LEVEL_UDP && c->cmsg_type == OPTION_GRO) {
            int stride;
            memcpy(&stride, CMSG_DATA(c), sizeof(stride));
            a.stride = stride > 0 ? (size_t)stride : 0;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t overflows;
            memcpy(&overflows, CMSG_DATA(c), sizeof(overflows));
            a.overflows = overflows;
        }
    }
    return a;
}

static int linux_receive(struct udp_socket *s, struct udp_batch *b)
{
    struct mmsghdr headers[UDP_BATCH_MESSAGES];
    struct iovec parts[UDP_BATCH_MESSAGES];
    struct sockaddr_storage names[UDP_BATCH_MESSAGES];
    _Alignas(struct cmsghdr) uint8_t control[UDP_BATCH_MESSAGES][CONTROL_BYTES];
    for (size_t i = 0; i < b->most; i++) {
        parts[i] = (struct iovec){udp_batch_buffer(b, i), UDP_MESSAGE_BYTES};
        headers[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
                                             .msg_namelen = sizeof(names[i]),
                                             .msg_iov = &parts[i],
                                             .msg_iovlen = 1,
                                             .msg_control = control[i],
                                             .msg_controllen = CONTROL_BYTES};
    }
    int n;
    do {
        n = recvmmsg(s->fd, headers, (unsigned)b->most, MSG_DONTWAIT, NULL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    for (int i = 0; i < n; i++) {
        struct udp_ancillary a = read_ancillary(&headers[i].msg_hdr);
        if (a.overflows > 0) {
            s->stats.receive_overflows = a.overflows;
        }
        udp_batch_add(s, b, parts[i].iov_base, headers[i].msg_len, &headers[i].msg_hdr, &a);
    }
    b->more = (size_t)n == b->most;
    return 0;
}

/* --- out ------------------------------------------------------------------------------------- */

/* The system calls only read these; their types come from before const. */
static struct msghdr header_of(const struct udp_chunk *c, struct iovec *part)
{
    return (struct msghdr){.msg_name = (void *)(uintptr_t)c->to,
                           .msg_namelen = c->to_len,
                           .msg_iov = part,
                           .msg_iovlen = 1};
}

static struct iovec part_of(const uint8_t *data, size_t len)
{
    return (struct iovec){(void *)(uintptr_t)data, len};
}

static int send_header(int fd, const struct msghdr *m)
{
    ssize_t n;
    do {
        n = sendmsg(fd, m, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int send_one(struct udp_socket *s, const struct udp_chunk *c)
{
    struct iovec part = part_of(c->data, c->len);
    struct msghdr m = header_of(c, &part);
    return send_header(s->fd, &m);
}

/* All or nothing: the kernel cuts the datagram into segments. */
static int send_segmented(struct udp_socket *s, const struct udp_chunk *c)
{
    struct iovec part = part_of(c->data, c->len);
    struct msghdr m = header_of(c, &part);
    uint16_t segment = (uint16_t)c->segment; /* < UDP_PAYLOAD_MAX, since there are several */
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(segment))] = {0};
    m.msg_control = control;
    m.msg_controllen = sizeof(control);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = LEVEL_UDP;
    h->cmsg_type = OPTION_SEGMENT;
    h->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(h), &segment, sizeof(segment));
    return send_header(s->fd, &m);
}

/* sendmmsg that may stop midway; it tells the reason of the stop only when called again. */
static int send_each(struct udp_socket *s, const struct udp_chunk *c, size_t *sent)
{
    struct mmsghdr headers[UDP_SEGMENTS_MAX];
    struct iovec parts[UDP_SEGMENTS_MAX];
    unsigned count = 0;
    for (size_t at = 0; at < c->len && count < UDP_SEGMENTS_MAX; at += c->segment) {
        size_t left = c->len - at;
        parts[count] = part_of(c->data + at, left < c->segment ? left : c->segment);
        headers[count].msg_hdr = header_of(c, &parts[count]);
        count++;
    }
    for (unsigned i = 0; i < count;) {
        int n = sendmmsg(s->fd, headers + i, count - i, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EAGAIN;
        }
        for (unsigned end = i + (unsigned)n; i < end; i++) {
            *sent += parts[i].iov_len;
        }
    }
    return 0;
}

/* EIO: the device cannot compute checksums (or IPsec), on kernels before 6.11. EINVAL: a segment
 * over the device's MTU on older kernels, no checksums, or the regression of 6.6.44; but also an
 * address that nothing can be sent to. So segmentation goes off only if the plain way proves
 * better: a peer's odd address or a probe for a larger MTU does not cost us the fast way. */
static int linux_send(struct udp_socket *s, const struct udp_chunk *c, size_t *sent)
{
    if (c->len <= c->segment) {
        int rc = send_one(s, c);
        *sent = rc == 0 ? c->len : 0;
        return rc;
    }
    if (!s->offload) {
        return send_each(s, c, sent);
    }
    int rc = send_segmented(s, c);
    if (rc == 0) {
        *sent = c->len;
        s->stats.datagrams_batched += (c->len + c->segment - 1) / c->segment;
    }
    if (rc != -EIO && rc != -EINVAL) {
        return rc;
    }
    rc = send_each(s, c, sent);
    if (*sent > 0) {
        s->offload = s->can_segment = false;
        s->stats.segmentation_off = 1;
    }
    return rc;
}

const struct udp_ops udp_ops_linux = {linux_setup, linux_receive, linux_send};
