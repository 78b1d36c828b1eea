#include "fuzz/relay_uv/kernel.h"

#include "os/sockaddr.h"

#include <base/check.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 16, EPHEMERAL = 40000 };

enum kind { FREE, LISTENER, CONN };

struct bytes {
    uint8_t *data;
    size_t start, len, cap;
};

struct fault {
    int error;
    unsigned times;
};

struct sock {
    enum kind kind;
    int fd; /* a real descriptor of /dev/null: its number is ours */
    struct addr name;
    bool watched;
    struct epoll_event interest;

    int waiting[BACKLOG]; /* LISTENER: connections to be accepted */
    size_t waiting_count;

    bool client, server, accepted; /* whose end is open */
    struct bytes in, out;          /* to the server, to the client */
    bool in_end, out_end;          /* nothing more comes */
    bool broken;                   /* a reset */
    size_t room, bite_in, bite_out;
    struct fault read, write;
};

static struct {
    bool runs;
    uint64_t now;
    struct sock socks[KERNEL_SOCKETS];
    struct fault accept;
    uint16_t next_port;
    unsigned turn;
} k;

/* The C library's, which sys/socket.h shows to GNU programs only. */
int accept4(int fd, struct sockaddr *restrict at, socklen_t *restrict len, int flags);

/* The C library's own, which the one below stands before. */
static long (*real_syscall(void))(long number, ...)
{
    static long (*call)(long number, ...);
    if (!call) {
        void *found = dlsym(dlopen("libc.so.6", RTLD_LAZY), "syscall");
        CHECK(found);
        memcpy(&call, &found, sizeof(call));
    }
    return call;
}

#define REAL(...) real_syscall()(__VA_ARGS__)

/* --- bytes --- */

static void bytes_put(struct bytes *b, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    if (b->start > 0 && b->start + b->len + len > b->cap) {
        memmove(b->data, b->data + b->start, b->len);
        b->start = 0;
    }
    if (b->len + len > b->cap) {
        b->cap = 2 * (b->len + len);
        b->data = realloc(b->data, b->cap);
        CHECK(b->data);
    }
    memcpy(b->data + b->start + b->len, data, len);
    b->len += len;
}

static size_t bytes_take(struct bytes *b, void *out, size_t cap)
{
    size_t n = b->len < cap ? b->len : cap;
    if (n > 0) {
        memcpy(out, b->data + b->start, n);
        b->start += n;
        b->len -= n;
    }
    b->start = b->len > 0 ? b->start : 0;
    return n;
}

static void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* --- sockets --- */

static struct sock *find(int fd)
{
    for (size_t i = 0; k.runs && i < KERNEL_SOCKETS; i++) {
        if (k.socks[i].fd == fd) {
            return k.socks[i].kind != FREE && k.socks[i].server ? &k.socks[i] : NULL;
        }
    }
    return NULL;
}

static struct sock *take_free(enum kind kind)
{
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        if (k.socks[i].kind == FREE) {
            k.socks[i] = (struct sock){.kind = kind, .fd = k.socks[i].fd, .room = KERNEL_ROOM};
            return &k.socks[i];
        }
    }
    return NULL;
}

static void let_go(struct sock *s)
{
    if (!s->client && !s->server) {
        bytes_free(&s->in);
        bytes_free(&s->out);
        s->kind = FREE;
    }
}

static struct sock *client_end(int conn)
{
    CHECK(conn >= 0 && conn < KERNEL_SOCKETS);
    CHECK(k.socks[conn].kind == CONN && k.socks[conn].client);
    return &k.socks[conn];
}

/* Takes one of what is still to fail; false if nothing is. */
static bool fails(struct fault *f)
{
    if (f->times == 0) {
        return false;
    }
    f->times--;
    errno = f->error;
    return true;
}

/* --- the client --- */

void kernel_start(uint64_t now)
{
    for (size_t i = 0; i < KERNEL_SOCKETS && k.socks[i].fd == 0; i++) {
        k.socks[i].fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(k.socks[i].fd > 0);
    }
    CHECK(!k.runs);
    k.runs = true;
    k.now = now;
    k.next_port = EPHEMERAL;
    k.accept = (struct fault){0};
    k.turn = 0;
}

size_t kernel_server_sockets(void)
{
    size_t count = 0;
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        count += k.socks[i].kind != FREE && k.socks[i].server;
    }
    return count;
}

size_t kernel_waiting(void)
{
    size_t count = 0;
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        count += k.socks[i].kind == LISTENER ? k.socks[i].waiting_count : 0;
    }
    return count;
}

void kernel_stop(void)
{
    CHECK(k.runs && kernel_server_sockets() == 0);
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        k.socks[i].client = false;
        let_go(&k.socks[i]);
    }
    k.runs = false;
}

void kernel_advance(uint64_t ns)
{
    k.now += ns;
}

int kernel_connect(uint16_t port, const struct addr *from)
{
    struct sock *l = NULL;
    for (size_t i = 0; i < KERNEL_SOCKETS && !l; i++) {
        struct sock *s = &k.socks[i];
        l = s->kind == LISTENER && s->server && s->name.port == port ? s : NULL;
    }
    struct sock *s = l && l->waiting_count < BACKLOG ? take_free(CONN) : NULL;
    if (!s) {
        return -1;
    }
    s->name = *from;
    s->client = s->server = true;
    l->waiting[l->waiting_count++] = (int)(s - k.socks);
    return (int)(s - k.socks);
}

void kernel_fail_accepts(int error, unsigned times)
{
    k.accept = (struct fault){error, times};
}

void kernel_write(int conn, const void *data, size_t len)
{
    struct sock *s = client_end(conn);
    if (s->server && !s->in_end && !s->broken) {
        bytes_put(&s->in, data, len);
    }
}

size_t kernel_read(int conn, void *out, size_t cap)
{
    return bytes_take(&client_end(conn)->out, out, cap);
}

size_t kernel_unread(int conn)
{
    return client_end(conn)->in.len;
}

bool kernel_is_over(int conn)
{
    const struct sock *s = client_end(conn);
    return s->broken || (s->out_end && s->out.len == 0);
}

bool kernel_is_served(int conn)
{
    const struct sock *s = client_end(conn);
    return s->accepted && s->server;
}

void kernel_shut(int conn)
{
    client_end(conn)->in_end = true;
}

void kernel_reset(int conn)
{
    client_end(conn)->broken = true;
}

void kernel_leave(int conn)
{
    struct sock *s = client_end(conn);
    s->in_end = true;
    s->client = false;
    let_go(s);
}

void kernel_set_room(int conn, size_t room)
{
    client_end(conn)->room = room;
}

void kernel_set_bite(int conn, size_t in, size_t out)
{
    struct sock *s = client_end(conn);
    s->bite_in = in;
    s->bite_out = out;
}

void kernel_fail_writes(int conn, int error, unsigned times)
{
    client_end(conn)->write = (struct fault){error, times};
}

void kernel_fail_reads(int conn, int error, unsigned times)
{
    client_end(conn)->read = (struct fault){error, times};
}

/* --- the server's calls: making and ending --- */

int socket(int domain, int type, int protocol)
{
    if (!k.runs || (domain != AF_INET && domain != AF_INET6) || !(type & SOCK_STREAM)) {
        return (int)REAL(SYS_socket, domain, type, protocol);
    }
    struct sock *s = take_free(LISTENER);
    if (!s) {
        errno = EMFILE;
        return -1;
    }
    s->server = true;
    return s->fd;
}

int bind(int fd, const struct sockaddr *at, socklen_t len)
{
    struct sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_bind, fd, at, len);
    }
    struct sockaddr_storage ss = {0};
    memcpy(&ss, at, len);
    s->name = sockaddr_decode(&ss, len);
    s->name.port = s->name.port ? s->name.port : k.next_port++;
    return 0;
}

int listen(int fd, int backlog)
{
    return find(fd) ? 0 : (int)REAL(SYS_listen, fd, backlog);
}

int accept4(int fd, struct sockaddr *restrict at, socklen_t *restrict len, int flags)
{
    struct sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_accept4, fd, at, len, flags);
    }
    if (s->waiting_count == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (fails(&k.accept)) {
        return -1;
    }
    struct sock *c = &k.socks[s->waiting[0]];
    s->waiting_count--;
    memmove(s->waiting, s->waiting + 1, s->waiting_count * sizeof(s->waiting[0]));
    c->accepted = true;
    return c->fd;
}

static int tell_name(const struct addr *name, struct sockaddr *restrict at, socklen_t *restrict len)
{
    struct sockaddr_storage ss;
    socklen_t have = sockaddr_encode(&ss, name, AF_UNSPEC);
    memcpy(at, &ss, have < *len ? have : *len);
    *len = have;
    return 0;
}

int getsockname(int fd, struct sockaddr *restrict at, socklen_t *restrict len)
{
    const struct sock *s = find(fd);
    return s ? tell_name(&s->name, at, len) : (int)REAL(SYS_getsockname, fd, at, len);
}

int getpeername(int fd, struct sockaddr *restrict at, socklen_t *restrict len)
{
    const struct sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_getpeername, fd, at, len);
    }
    if (s->kind != CONN || s->broken) {
        errno = ENOTCONN;
        return -1;
    }
    return tell_name(&s->name, at, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return find(fd) ? 0 : (int)REAL(SYS_setsockopt, fd, level, name, value, len);
}

int shutdown(int fd, int how)
{
    struct sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_shutdown, fd, how);
    }
    if (s->kind != CONN || s->broken) {
        errno = ENOTCONN;
        return -1;
    }
    s->out_end = s->out_end || how != SHUT_RD;
    return 0;
}

/* Those that nobody accepted find out. */
static void end_listener(struct sock *s)
{
    for (size_t i = 0; i < s->waiting_count; i++) {
        struct sock *c = &k.socks[s->waiting[i]];
        c->server = false;
        c->broken = true;
        let_go(c);
    }
}

/* What was not read makes TCP break off, and what is on its way is lost (RFC 1122 4.2.2.13). */
int close(int fd)
{
    struct sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_close, fd);
    }
    if (s->kind == LISTENER) {
        end_listener(s);
    } else if (s->in.len > 0) {
        bytes_free(&s->out);
        s->broken = true;
    }
    s->watched = s->server = false;
    s->out_end = true;
    bytes_free(&s->in);
    let_go(s);
    return 0;
}

/* How libuv closes. */
long syscall(long number, ...)
{
    long a[6];
    va_list args;
    va_start(args, number);
    for (size_t i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    return number == SYS_close ? close((int)a[0])
                               : REAL(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- reading and writing --- */

static ssize_t receive(struct sock *s, void *out, size_t cap)
{
    CHECK(s->kind == CONN && s->accepted);
    if (fails(&s->read)) {
        return -1;
    }
    if (s->in.len > 0) {
        return (ssize_t)bytes_take(&s->in, out,
                                   s->bite_in > 0 && s->bite_in < cap ? s->bite_in : cap);
    }
    if (s->broken || !s->in_end) {
        errno = s->broken ? ECONNRESET : EAGAIN;
        return -1;
    }
    return 0;
}

ssize_t read(int fd, void *out, size_t cap)
{
    struct sock *s = find(fd);
    return s ? receive(s, out, cap) : REAL(SYS_read, fd, out, cap);
}

ssize_t recv(int fd, void *out, size_t cap, int flags)
{
    struct sock *s = find(fd);
    return s ? receive(s, out, cap) : REAL(SYS_recvfrom, fd, out, cap, flags, NULL, NULL);
}

/* To a client that is gone the first bytes go, and it answers that it is gone. */
static size_t put(struct sock *s, const uint8_t *data, size_t len, size_t *bite)
{
    size_t free_room = s->room > s->out.len ? s->room - s->out.len : 0;
    size_t n = len < free_room ? len : free_room;
    n = n < *bite ? n : *bite;
    *bite -= n;
    if (s->client) {
        bytes_put(&s->out, data, n);
    } else {
        s->broken = true;
    }
    return n;
}

static ssize_t send_all(struct sock *s, const struct iovec *pieces, int count)
{
    size_t bite = s->bite_out > 0 ? s->bite_out : SIZE_MAX;
    size_t sum = 0;
    CHECK(s->kind == CONN && s->accepted);
    if (fails(&s->write)) {
        return -1;
    }
    if (s->broken || s->out_end) {
        errno = EPIPE;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        size_t n = put(s, pieces[i].iov_base, pieces[i].iov_len, &bite);
        sum += n;
        if (n < pieces[i].iov_len) {
            break;
        }
    }
    if (sum == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)sum;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    struct sock *s = find(fd);
    return s ? send_all(s, pieces, count) : REAL(SYS_writev, fd, pieces, count);
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct sock *s = find(fd);
    struct iovec piece = {.iov_len = len};
    memcpy(&piece.iov_base, &data, sizeof(data)); /* it is only read from */
    return s ? send_all(s, &piece, 1) : REAL(SYS_write, fd, data, len);
}

/* --- epoll and the clock --- */

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    struct sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_epoll_ctl, epoll, what, fd, event);
    }
    if ((what == EPOLL_CTL_ADD) == s->watched) {
        errno = s->watched ? EEXIST : ENOENT;
        return -1;
    }
    s->watched = what != EPOLL_CTL_DEL;
    s->interest = s->watched ? *event : (struct epoll_event){0};
    return 0;
}

static uint32_t state_of(const struct sock *s)
{
    if (s->kind == LISTENER) {
        return s->waiting_count > 0 ? EPOLLIN : 0;
    }
    uint32_t in = s->in.len > 0 || s->in_end || s->broken ? EPOLLIN : 0;
    uint32_t out = s->out.len < s->room || s->broken ? EPOLLOUT : 0;
    uint32_t ended = s->in_end || s->broken ? EPOLLRDHUP : 0;
    uint32_t hup = s->broken || (s->in_end && s->out_end) ? EPOLLHUP : 0;
    return in | out | ended | hup | (s->broken ? EPOLLERR : 0);
}

/* Beginning with another one each time. Real descriptors have nothing to say: nobody writes to
 * libuv's own while the kernel runs. */
static int collect(struct epoll_event *out, int max)
{
    int n = 0;
    k.turn++;
    for (unsigned i = 0; i < KERNEL_SOCKETS && n < max; i++) {
        const struct sock *s = &k.socks[(k.turn + i) % KERNEL_SOCKETS];
        if (s->kind == FREE || !s->watched) {
            continue;
        }
        uint32_t ready = state_of(s) & (s->interest.events | EPOLLHUP | EPOLLERR);
        if (ready) {
            out[n] = s->interest;
            out[n++].events = ready;
        }
    }
    return n;
}

int epoll_pwait(int epoll, struct epoll_event *out, int max, int timeout_ms, const sigset_t *mask)
{
    return k.runs ? collect(out, max)
                  : (int)REAL(SYS_epoll_pwait, epoll, out, max, timeout_ms, mask, 8);
}

int epoll_wait(int epoll, struct epoll_event *out, int max, int timeout_ms)
{
    return epoll_pwait(epoll, out, max, timeout_ms, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const uint64_t second = 1000000000;
    if (!k.runs || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)) {
        return (int)REAL(SYS_clock_gettime, clock, out);
    }
    out->tv_sec = (time_t)(k.now / second);
    out->tv_nsec = (long)(k.now % second);
    return 0;
}
