/* The limit: a tunnel that does nothing but carry bytes. TCP in, seal, UDP_SEGMENT, UDP_GRO, open,
 * TCP out, in one thread at each end, with the sockets and the AEADs of libadit. Nothing is
 * repeated, nothing paced, nothing ordered: what comes out is measured, not read.
 *
 *   bench_tunnel exit ADDRESS PORT TARGET_PORT KIND      dials 127.0.0.1:TARGET_PORT
 *   bench_tunnel front LISTEN_PORT ADDRESS PORT KIND     speaks SOCKS5 on 127.0.0.1, asks nobody
 *   KIND: aes256gcm, chacha20, none
 *
 * One connection at a time; a new one ends the former. A sender is at most WINDOW packets ahead of
 * what its receiver has said to have: without that it would only fill the other's socket.
 */
#include <base/addr.h>
#include <base/check.h>
#include <base/mem.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "os/udp.h"
#include "wire/packet.h"

enum {
    DATAGRAM = 1472, /* Ethernet's 1500, less 28 */
    PAYLOAD = DATAGRAM - PACKET_DATA_OVERHEAD,
    SEGMENTS = 44,
    WINDOW = 512,
    PIECES = 1024, /* of one writev: IOV_MAX */
    STALL_MS = 100,
};

/* What a packet is stands in the place of its path id, and its connection in that of the receiver.
 */
enum kind { DATA = 1, CREDIT = 2, END = 3 };

struct tunnel {
    bool is_front;
    bool sealed;
    struct aead_key send, recv;
    struct udp_socket udp;
    struct udp_batch batch;
    struct addr peer; /* the front's is known by its first packet */
    uint16_t target_port;
    int listener; /* -1 at the exit */
    int tcp;      /* -1 = none */
    uint32_t connection;
    uint64_t numbers[END + 1]; /* of the next packet of each kind */
    uint64_t credited;         /* packets of data that the other end has */
    uint64_t heard;            /* and that we have */
    struct iovec pieces[PIECES];
    size_t count; /* of pieces that wait to be written */
    uint8_t out[SEGMENTS * DATAGRAM];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_tunnel: %s: %s\n", what, strerror(errno));
    exit(EX_UNAVAILABLE);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

/* --- out --- */

/* Seals what stands behind the header's place; returns the packet's length. */
static size_t seal(struct tunnel *t, enum kind kind, uint8_t *at, size_t len)
{
    struct packet_data_header h = {(uint8_t)kind, t->connection, t->numbers[kind]++};
    uint8_t *payload = at + PACKET_DATA_HEADER_LEN;
    packet_write_data(at, &h);
    if (t->sealed) {
        (void)aead_seal(&t->send, h.path, h.number, at, PACKET_DATA_HEADER_LEN, payload, len);
    }
    return len + PACKET_DATA_OVERHEAD;
}

static void say(struct tunnel *t, enum kind kind, uint64_t what)
{
    uint8_t packet[PACKET_DATA_OVERHEAD + sizeof(what)];
    memcpy(packet + PACKET_DATA_HEADER_LEN, &what, sizeof(what));
    size_t len = seal(t, kind, packet, sizeof(what));
    (void)udp_send(&t->udp, &t->peer, packet, len, 0, NULL);
}

static void hang_up(struct tunnel *t, bool tell)
{
    if (t->tcp >= 0) {
        (void)close(t->tcp);
        t->tcp = -1;
        t->count = 0;
        if (tell) {
            say(t, END, 0);
        }
    }
}

/* Straight into the packets, one read for a batch. */
static void forward(struct tunnel *t)
{
    struct iovec room[SEGMENTS];
    for (size_t i = 0; i < SEGMENTS; i++) {
        room[i] = (struct iovec){t->out + i * DATAGRAM + PACKET_DATA_HEADER_LEN, PAYLOAD};
    }
    ssize_t n = readv(t->tcp, room, SEGMENTS);
    if (n <= 0) {
        hang_up(t, true);
        return;
    }
    size_t len = 0;
    for (size_t left = (size_t)n; left > 0;) {
        size_t piece = left < PAYLOAD ? left : PAYLOAD;
        len += seal(t, DATA, t->out + len, piece);
        left -= piece;
    }
    (void)udp_send(&t->udp, &t->peer, t->out, len, DATAGRAM, NULL); /* lost is lost */
}

/* --- in --- */

static void write_all(struct tunnel *t)
{
    struct iovec *at = t->pieces;
    while (t->count > 0) {
        ssize_t n = writev(t->tcp, at, (int)t->count);
        if (n < 0) {
            hang_up(t, true);
            return;
        }
        size_t done = (size_t)n;
        for (; t->count > 0 && done >= at->iov_len; t->count--) {
            done -= at++->iov_len;
        }
        if (t->count > 0) {
            at->iov_base = (uint8_t *)at->iov_base + done;
            at->iov_len -= done;
        }
    }
}

/* A new connection: all begins anew, but the numbers, since the keys stay. */
static void begin(struct tunnel *t, uint32_t connection, int tcp)
{
    hang_up(t, false);
    (void)setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    t->connection = connection;
    t->tcp = tcp;
    t->credited = t->numbers[DATA];
    t->heard = 0;
}

static void dial(struct tunnel *t, uint32_t connection)
{
    struct sockaddr_in to = loopback(t->target_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        die("the target");
    }
    begin(t, connection, fd);
}

static void take(struct tunnel *t, const struct packet_data_header *h, uint8_t *data, size_t len)
{
    if (h->path == DATA && t->tcp >= 0) {
        t->heard = h->number + 1;
        t->pieces[t->count++] = (struct iovec){data, len};
        if (t->count == PIECES) {
            write_all(t);
        }
    } else if (h->path == CREDIT && len == sizeof(t->credited)) {
        memcpy(&t->credited, data, sizeof(t->credited));
    } else if (h->path == END) {
        write_all(t);
        hang_up(t, false);
    }
}

static void receive(struct tunnel *t)
{
    struct udp_datagram d;
    uint64_t before = t->heard;
    if (udp_receive(&t->udp, &t->batch) < 0) {
        die("receiving");
    }
    while (udp_batch_next(&t->batch, &d)) {
        struct packet_data_header h;
        if (packet_read_data(&h, d.data, d.len) != 0) {
            continue;
        }
        uint8_t *payload = d.data + PACKET_DATA_HEADER_LEN;
        int len = (int)d.len - PACKET_DATA_OVERHEAD;
        if (t->sealed) {
            len = aead_open(&t->recv, h.path, h.number, d.data, PACKET_DATA_HEADER_LEN, payload,
                            d.len - PACKET_DATA_HEADER_LEN);
        }
        if (len < 0 || (t->is_front && h.receiver != t->connection)) {
            continue;
        }
        if (h.receiver != t->connection) {
            t->peer = d.from;
            dial(t, h.receiver);
        }
        take(t, &h, payload, (size_t)len);
    }
    write_all(t);
    if (t->heard != before) {
        say(t, CREDIT, t->heard);
    }
}

/* --- SOCKS5 --- */

static bool skip(int fd, size_t len)
{
    uint8_t bin[UINT8_MAX + 2];
    return recv(fd, bin, len, MSG_WAITALL) == (ssize_t)len;
}

/* RFC 1928, for who asks as bench_load does. Whatever it asks for is the exit's target. */
static bool negotiate(int fd)
{
    uint8_t head[5];
    if (!skip(fd, 3) || write(fd, "\x05", 2) != 2 || recv(fd, head, 5, MSG_WAITALL) != 5) {
        return false;
    }
    return skip(fd, head[3] == 1 ? 5 : (size_t)head[4] + 2) &&
           write(fd, "\x05\0\0\x01\0\0\0\0\0", 10) == 10;
}

static void greet(struct tunnel *t)
{
    int fd = accept(t->listener, NULL, NULL);
    if (fd < 0) {
        return;
    }
    if (negotiate(fd)) {
        begin(t, t->connection + 1, fd);
    } else {
        (void)close(fd);
    }
}

static int listen_at(uint16_t port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, SOMAXCONN) < 0) {
        die("listening");
    }
    return fd;
}

/* --- the loop --- */

static _Noreturn void run(struct tunnel *t)
{
    for (;;) {
        bool room = t->numbers[DATA] + SEGMENTS <= t->credited + WINDOW;
        struct pollfd fds[] = {
            {t->udp.fd, POLLIN, 0}, {room ? t->tcp : -1, POLLIN, 0}, {t->listener, POLLIN, 0}};
        int n = poll(fds, 3, room ? -1 : STALL_MS);
        if (n == 0) {
            t->credited = t->numbers[DATA]; /* the last ones were lost */
        }
        uint32_t connection = t->connection;
        if (fds[0].revents) {
            receive(t);
        }
        if (fds[1].revents && t->tcp >= 0 && t->connection == connection) {
            forward(t);
        }
        if (fds[2].revents) {
            greet(t);
        }
    }
}

static void open_udp(struct tunnel *t, const char *address, const char *port)
{
    struct addr at;
    char text[64];
    (void)snprintf(text, sizeof(text), "%s:%s", address, port);
    if (addr_parse(&at, text) != 0) {
        die("address");
    }
    struct udp_options options = {.bind = t->is_front ? NULL : &at, .offload = true};
    t->peer = at;
    if (udp_open(&t->udp, &options) != 0 || udp_batch_init(&t->batch) != 0) {
        die("socket");
    }
}

static void set_keys(struct tunnel *t, const char *kind)
{
    static const uint8_t keys[2][AEAD_KEY_LEN] = {{1}, {2}};
    enum aead_kind aead = strcmp(kind, "aes256gcm") == 0 ? AEAD_AES256GCM : AEAD_CHACHA20POLY1305;
    t->sealed = strcmp(kind, "none") != 0;
    if (crypto_init() != 0 || aead_key_init(&t->send, aead, keys[t->is_front]) != 0 ||
        aead_key_init(&t->recv, aead, keys[!t->is_front]) != 0) {
        die(kind);
    }
}

int main(int argc, char **argv)
{
    static struct tunnel t = {.listener = -1, .tcp = -1};
    if (argc != 6 || (strcmp(argv[1], "front") != 0 && strcmp(argv[1], "exit") != 0)) {
        fprintf(stderr, "usage: bench_tunnel exit ADDRESS PORT TARGET_PORT KIND\n"
                        "       bench_tunnel front LISTEN_PORT ADDRESS PORT KIND\n");
        return EX_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    t.is_front = argv[1][0] == 'f';
    set_keys(&t, argv[5]);
    open_udp(&t, argv[t.is_front ? 3 : 2], argv[t.is_front ? 4 : 3]);
    uint16_t port = (uint16_t)strtoul(argv[t.is_front ? 2 : 4], NULL, 10);
    if (t.is_front) {
        t.listener = listen_at(port);
    }
    t.target_port = port;
    run(&t);
}
