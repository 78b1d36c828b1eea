/* What the implementations of os/udp.h differ in; seen by them and by tests only.
 *
 * udp_linux.c and udp_posix.c each define one table. Both compile on Linux, so that the tests run
 * the plain one there too.
 */
#ifndef OS_UDP_OPS_H
#define OS_UDP_OPS_H

#include "os/udp.h"

#include <sys/socket.h>

/* Segments for one address that fit in one system call, or one datagram of any size. */
struct udp_chunk {
    const struct sockaddr_storage *to;
    socklen_t to_len;
    const uint8_t *data;
    size_t len;
    size_t segment; /* > 0 unless len is 0 */
};

struct udp_ops {
    /* Options of a new, unbound socket. What cannot be had is left off and told in *s. */
    void (*setup)(struct udp_socket *s, bool offload);
    /* Fills an empty batch: messages, count, more, and the counters of dropped reads.
     * 0, or -errno if the first read failed. */
    int (*receive)(struct udp_socket *s, struct udp_batch *b);
    /* 0 or -errno; *sent = bytes that went out, in either case. */
    int (*send)(struct udp_socket *s, const struct udp_chunk *c, size_t *sent);
};

#ifdef __linux__
extern const struct udp_ops udp_ops_linux;
#endif
extern const struct udp_ops udp_ops_posix;

/* Where the next message of a batch goes: its slot and its buffer. */
static inline uint8_t *udp_batch_buffer(const struct udp_batch *b, size_t slot)
{
    return b->buffer + slot * UDP_MESSAGE_BYTES;
}

/* ECN bits and other ancillary data of one received message. */
struct udp_ancillary {
    uint8_t ecn;
    size_t stride;      /* 0 = not coalesced */
    uint64_t overflows; /* 0 = not told */
};

/* Reads the part that all systems share (traffic class); true if `c` was one of those. */
bool udp_ancillary_ecn(struct udp_ancillary *a, const struct cmsghdr *c);

/* Appends what was read to the batch; drops and counts a truncated one. */
void udp_batch_add(struct udp_socket *s, struct udp_batch *b, uint8_t *data, size_t len,
                   const struct msghdr *m, const struct udp_ancillary *a);

/* False for the Linux releases whose segmentation corrupts batches of equal segments without any
 * error (7.0.0 up to 7.1.4). Back-ported bugs and fixes do not show in a release number. */
bool udp_release_trusted(const char *release);

#endif
