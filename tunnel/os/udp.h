/* One UDP socket that moves datagrams in batches.
 *
 * In: udp_receive fills a batch (on Linux one recvmmsg with UDP_GRO), udp_batch_next walks over its
 * datagrams where they lie, so that packets are opened in place. Out: udp_send takes a run of
 * equal segments for one address (on Linux one sendmsg with UDP_SEGMENT). Elsewhere plain calls do
 * the same, one datagram each. The socket never blocks, is closed on exec, and its datagrams are
 * never fragmented (path MTU search, RFC 8899, needs that).
 *
 * Errors are -errno. What the network does to a packet is never an error of the socket.
 * Belongs to one thread; others send with a copy (udp_lend).
 */
#ifndef OS_UDP_H
#define OS_UDP_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    UDP_BATCH_MESSAGES = 16,   /* reads of one udp_receive */
    UDP_BATCH_LEAST = 2,       /* however large they are */
    UDP_MESSAGE_BYTES = 65536, /* a coalesced read never is larger */
    UDP_BATCH_BYTES = UDP_BATCH_MESSAGES * UDP_MESSAGE_BYTES,
    UDP_SEGMENTS_MAX = 64,   /* of one system call; older kernels' limit */
    UDP_PAYLOAD_MAX = 65507, /* of one datagram over IPv4, and of all segments together */
    UDP_BUFFER_BYTES = 7 * 1024 * 1024, /* asked for unless the options say otherwise */
};

struct udp_ops;

struct udp_options {
    /* NULL or ADDR_NONE = every address, IPv6 and IPv4 alike, or IPv4 alone where the system has no
     * IPv6; its port counts. Also [::] is dual-stack. Port 0 = the system chooses. */
    const struct addr *bind;
    int rcvbuf; /* bytes wanted, 0 = UDP_BUFFER_BYTES */
    int sndbuf;
    bool offload;              /* segmentation and coalescing by the kernel, where it has them */
    const struct udp_ops *ops; /* NULL = the best of this system; tests hand in others */
};

struct udp_stats {
    uint64_t datagrams_in;
    uint64_t bytes_in;
    uint64_t reads; /* messages, each of one or more coalesced datagrams */
    uint64_t datagrams_out;
    uint64_t datagrams_batched; /* of these in batches that the kernel cut up */
    uint64_t bytes_out;
    uint64_t receive_errors;    /* ICMP errors and the like that a read stumbled over */
    uint64_t receive_truncated; /* dropped: larger than UDP_MESSAGE_BYTES or from no address */
    uint64_t receive_overflows; /* the kernel's count of datagrams its full buffer lost (Linux) */
    uint64_t send_blocked;      /* -EAGAIN */
    uint64_t send_too_large;    /* -EMSGSIZE */
    uint64_t send_unreachable; /* no route, no source address, no such family, peer's port closed */
    uint64_t send_denied;      /* firewall: -EPERM, -EACCES */
    uint64_t send_no_buffers;  /* -ENOBUFS, -ENOMEM */
    uint64_t send_other;
    uint64_t segmentation_off; /* 1 once the kernel or the device refused to segment */
};

struct udp_socket {
    int fd;             /* -1 = closed */
    int family;         /* AF_INET or AF_INET6 */
    bool dual;          /* IPv6 that carries IPv4 too */
    bool can_segment;   /* the system takes batches that it cuts up itself */
    bool offload;       /* send segmentation in use; goes off for good when it fails */
    bool coalesce;      /* the kernel may join datagrams on the way in */
    bool dont_fragment; /* the system promised not to fragment */
    int rcvbuf;         /* bytes granted, in the unit in which they were asked for */
    int sndbuf;
    const struct udp_ops *ops;
    struct udp_stats stats;
};

/* What one read brought: datagrams of `stride` bytes, the last may be shorter. */
struct udp_message {
    struct addr from;
    uint8_t *data;
    size_t len;
    size_t stride;
    uint8_t ecn;
};

struct udp_batch {
    uint8_t *buffer; /* UDP_BATCH_BYTES */
    struct udp_message messages[UDP_BATCH_MESSAGES];
    size_t count;
    size_t datagrams; /* in all messages */
    bool more;        /* filled to the brim: another udp_receive may find more */
    size_t most;      /* messages that the next udp_receive reads */
    size_t limit;     /* bytes that it shall stop at; 0 = none */
    size_t at;        /* cursor: message and byte */
    size_t offset;
};

/* Points into the batch; may be written to. */
struct udp_datagram {
    struct addr from; /* normalised */
    uint8_t *data;
    size_t len;  /* 0 is possible */
    uint8_t ecn; /* RFC 3168: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE */
};

/* 0 or -errno, then nothing is left open. */
int udp_open(struct udp_socket *s, const struct udp_options *options);
void udp_close(struct udp_socket *s);
/* Asks for buffers of UDP_BUFFER_BYTES for a socket that was opened with smaller ones. */
void udp_grow(struct udp_socket *s);
/* Batches in one piece, or datagram by datagram; on where the system refused them does nothing. */
void udp_batch_sends(struct udp_socket *s, bool on);
/* For another thread that sends, while this one goes on using the socket: a copy with counters of
 * its own, good as long as the socket is open; and what came of it, back on the socket's thread. */
struct udp_socket udp_lend(const struct udp_socket *s);
void udp_return(struct udp_socket *s, const struct udp_socket *lent);
/* The bound address; the unspecified one unless the options named one. */
int udp_local(const struct udp_socket *s, struct addr *out);

/* 0 or ERR_NO_MEMORY (1 MiB). One batch can serve any number of sockets of a thread in turn. */
int udp_batch_init(struct udp_batch *b);
void udp_batch_deinit(struct udp_batch *b);
/* From now on a udp_receive stops after about so many bytes, as far as the size of what came last
 * tells, but not before UDP_BATCH_LEAST messages; 0 = it takes what the batch holds. */
void udp_batch_limit(struct udp_batch *b, size_t bytes);
/* The next datagram; false at the end. Valid until the batch is filled again. */
bool udp_batch_next(struct udp_batch *b, struct udp_datagram *out);

/* Of all its datagrams. */
size_t udp_batch_bytes(const struct udp_batch *b);
/* Its memory, with the datagrams in it, becomes the caller's, and `fresh` (mem_new,
 * UDP_BATCH_BYTES) the batch's. */
uint8_t *udp_batch_trade(struct udp_batch *b, uint8_t *fresh);

/* Datagrams from now on pass at most so many routers (IP_TTL, IPV6_UNICAST_HOPS); 0 = as many as
 * usual. 0 or -errno. */
int udp_set_hops(struct udp_socket *s, int hops);

/* Empties the batch and fills it. Returns the number of datagrams, 0 when there are none now, or
 * -errno when the socket itself is unusable (closed, taken away by the system). ICMP errors are
 * counted and skipped. */
int udp_receive(struct udp_socket *s, struct udp_batch *b);

/* Sends `len` bytes as datagrams of `segment` bytes, the last one shorter when it does not divide;
 * segment 0 = one datagram. Any number of segments, in as few system calls as possible.
 *
 * 0: all of it went out. Otherwise *sent (may be NULL) bytes, whole segments, had gone out before:
 *   -EAGAIN    the socket's buffer is full: wait until it is writable, then send the rest, from
 *              data + *sent, or duplicates appear.
 *   -EMSGSIZE  a segment is larger than the way out allows (a lost MTU probe).
 *   -EPERM, -EACCES, -ENOBUFS, -ENOMEM, -EHOSTUNREACH, -ENETUNREACH, -ENETDOWN, -EADDRNOTAVAIL,
 *   -EAFNOSUPPORT, -ECONNREFUSED, -EINVAL (an address that cannot be sent to)
 *              these packets are lost, the socket is well.
 *   -EBADF     the socket is not open.
 * When the kernel or the device refuses to segment (EIO, EINVAL), the same bytes are sent one by
 * one and `offload` goes off. */
int udp_send(struct udp_socket *s, const struct addr *to, const uint8_t *data, size_t len,
             size_t segment, size_t *sent);

#endif
