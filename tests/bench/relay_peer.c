/* One DERP client. Logs in with blocking calls, works without. */
#include "relay.h"

#include "wire/derp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void bench_die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(EX_UNAVAILABLE);
}

static void write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            bench_die("send");
        }
        data += n;
        len -= (size_t)n;
    }
}

static void read_all(int fd, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, data, len, 0);
        if (n <= 0) {
            bench_die("the relay closed during the login");
        }
        data += n;
        len -= (size_t)n;
    }
}

/* The payload of the next frame, which has to be of this type. */
static size_t read_frame(int fd, enum derp_type type, uint8_t out[1024])
{
    uint8_t header[DERP_HEADER];
    struct derp_frame f;
    read_all(fd, header, sizeof(header));
    errno = EPROTO;
    if (derp_parse_header(&f, header) || f.type != type || f.len > 1024) {
        bench_die("another frame than expected");
    }
    read_all(fd, out, f.len);
    return f.len;
}

static void connect_to(struct peer *p, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&to, sizeof(to))) {
        bench_die("connect");
    }
    (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void peer_open(struct peer *p, uint16_t port)
{
    static const char request[] = "GET /derp HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\n"
                                  "Upgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n";
    uint8_t frame[1024];
    uint8_t login[DERP_INFO_MAX];
    uint8_t secret[32];
    uint8_t nonce[DERP_NONCE];
    *p = (struct peer){.fd = -1};
    randombytes_buf(secret, sizeof(secret));
    randombytes_buf(nonce, sizeof(nonce));
    crypto_scalarmult_base(p->key, secret);
    connect_to(p, port);
    write_all(p->fd, (const uint8_t *)request, sizeof(request) - 1);
    (void)read_frame(p->fd, DERP_SERVER_KEY, frame);
    int len = derp_seal_client_info(login, nonce, p->key, secret, frame + DERP_MAGIC);
    if (len < 0) {
        bench_die("the relay's key is not usable");
    }
    write_all(p->fd, login, (size_t)len);
    (void)read_frame(p->fd, DERP_SERVER_INFO, frame);
}

void peer_close(struct peer *p)
{
    (void)close(p->fd);
    free(p->in);
    free(p->out);
}

void peer_unblock(struct peer *p)
{
    p->in = malloc(PEER_IN_BYTES);
    p->out = malloc(PEER_OUT_BYTES);
    if (!p->in || !p->out || fcntl(p->fd, F_SETFL, O_NONBLOCK)) {
        bench_die("a client's buffers");
    }
}

bool peer_flush(struct peer *p)
{
    while (p->out_at < p->out_len) {
        ssize_t n = send(p->fd, p->out + p->out_at, p->out_len - p->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            return false;
        }
        if (n <= 0) {
            bench_die("send");
        }
        p->out_at += (size_t)n;
    }
    p->out_at = p->out_len = 0;
    return true;
}

size_t peer_send(struct peer *p, const uint8_t to[32], size_t len, size_t count)
{
    size_t sent = 0;
    while (sent < count && p->out_len + DERP_PACKET_OVERHEAD + len <= PEER_OUT_BYTES) {
        p->out_len += derp_write_packet(p->out + p->out_len, DERP_SEND_PACKET, to, len);
        memset(p->out + p->out_len, 'x', len);
        p->out_len += len;
        sent++;
    }
    (void)peer_flush(p);
    return sent;
}

static void count_frames(struct peer *p, struct heard *heard)
{
    struct derp_reader r = {.at = p->in, .end = p->in + p->in_len, .frame_max = PEER_IN_BYTES};
    struct derp_frame f;
    int got;
    while ((got = derp_next(&r, &f)) > 0) {
        bool packet = f.type == DERP_RECV_PACKET;
        heard->packets += packet;
        heard->bytes += packet ? f.len - DERP_KEY : 0;
    }
    if (got < 0) {
        errno = EPROTO;
        bench_die("a frame that is none");
    }
    p->in_len = (size_t)(r.end - r.at);
    memmove(p->in, r.at, p->in_len);
}

struct heard peer_read(struct peer *p)
{
    struct heard heard = {0};
    ssize_t n = recv(p->fd, p->in + p->in_len, PEER_IN_BYTES - p->in_len, 0);
    if (n < 0 && errno == EAGAIN) {
        return heard;
    }
    if (n <= 0) {
        bench_die("the relay closed");
    }
    p->in_len += (size_t)n;
    count_frames(p, &heard);
    return heard;
}
