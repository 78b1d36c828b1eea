/* The system calls that libuv makes, as the kernel in memory answers them. */
#include "fuzz/relay_uv/kernel_internal.h"

#include "os/sockaddr.h"

#include <base/check.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

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

static struct kernel_sock *find(int fd)
{
    for (size_t i = 0; kernel.runs && i < KERNEL_SOCKETS; i++) {
        if (kernel.socks[i].fd == fd) {
            return kernel.socks[i].kind != KERNEL_FREE && kernel.socks[i].server ? &kernel.socks[i]
                                                                                 : NULL;
        }
    }
    return NULL;
}

/* Takes one of what is still to fail; false if nothing is. */
static bool fails(struct kernel_fault *f)
{
    if (f->times == 0) {
        return false;
    }
    f->times--;
    errno = f->error;
    return true;
}

/* --- making and ending --- */

int socket(int domain, int type, int protocol)
{
    if (!kernel.runs || (domain != AF_INET && domain != AF_INET6) || !(type & SOCK_STREAM)) {
        return (int)REAL(SYS_socket, domain, type, protocol);
    }
    struct kernel_sock *s = kernel_take_free(KERNEL_LISTENER);
    if (!s) {
        errno = EMFILE;
        return -1;
    }
    s->server = true;
    return s->fd;
}

int bind(int fd, const struct sockaddr *at, socklen_t len)
{
    struct kernel_sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_bind, fd, at, len);
    }
    struct sockaddr_storage ss = {0};
    memcpy(&ss, at, len);
    s->name = sockaddr_decode(&ss, len);
    s->name.port = s->name.port ? s->name.port : kernel.next_port++;
    return 0;
}

int listen(int fd, int backlog)
{
    return find(fd) ? 0 : (int)REAL(SYS_listen, fd, backlog);
}

int accept4(int fd, struct sockaddr *restrict at, socklen_t *restrict len, int flags)
{
    struct kernel_sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_accept4, fd, at, len, flags);
    }
    if (s->waiting_count == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (fails(&kernel.accept)) {
        return -1;
    }
    struct kernel_sock *c = &kernel.socks[s->waiting[0]];
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
    const struct kernel_sock *s = find(fd);
    return s ? tell_name(&s->name, at, len) : (int)REAL(SYS_getsockname, fd, at, len);
}

int getpeername(int fd, struct sockaddr *restrict at, socklen_t *restrict len)
{
    const struct kernel_sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_getpeername, fd, at, len);
    }
    if (s->kind != KERNEL_CONN || s->broken) {
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
    struct kernel_sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_shutdown, fd, how);
    }
    if (s->kind != KERNEL_CONN || s->broken) {
        errno = ENOTCONN;
        return -1;
    }
    s->out_end = s->out_end || how != SHUT_RD;
    return 0;
}

/* Those that nobody accepted find out. */
static void end_listener(struct kernel_sock *s)
{
    for (size_t i = 0; i < s->waiting_count; i++) {
        struct kernel_sock *c = &kernel.socks[s->waiting[i]];
        c->server = false;
        c->broken = true;
        kernel_let_go(c);
    }
}

/* What was not read makes TCP break off, and what is on its way is lost (RFC 1122 4.2.2.13). */
int close(int fd)
{
    struct kernel_sock *s = find(fd);
    if (!s) {
        return (int)REAL(SYS_close, fd);
    }
    if (s->kind == KERNEL_LISTENER) {
        end_listener(s);
    } else if (s->in.len > 0) {
        kernel_empty(&s->out);
        s->broken = true;
    }
    s->watched = s->server = false;
    s->out_end = true;
    kernel_empty(&s->in);
    kernel_let_go(s);
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

static ssize_t receive(struct kernel_sock *s, void *out, size_t cap)
{
    CHECK(s->kind == KERNEL_CONN && s->accepted);
    if (fails(&s->read)) {
        return -1;
    }
    if (s->in.len > 0) {
        return (ssize_t)kernel_take(&s->in, out,
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
    struct kernel_sock *s = find(fd);
    return s ? receive(s, out, cap) : REAL(SYS_read, fd, out, cap);
}

ssize_t recv(int fd, void *out, size_t cap, int flags)
{
    struct kernel_sock *s = find(fd);
    return s ? receive(s, out, cap) : REAL(SYS_recvfrom, fd, out, cap, flags, NULL, NULL);
}

/* To a client that is gone the first bytes go, and it answers that it is gone. */
static size_t put(struct kernel_sock *s, const uint8_t *data, size_t len, size_t *bite)
{
    size_t free_room = s->room > s->out.len ? s->room - s->out.len : 0;
    size_t n = len < free_room ? len : free_room;
    n = n < *bite ? n : *bite;
    *bite -= n;
    if (s->client) {
        kernel_put(&s->out, data, n);
    } else {
        s->broken = true;
    }
    return n;
}

static ssize_t send_all(struct kernel_sock *s, const struct iovec *pieces, int count)
{
    size_t bite = s->bite_out > 0 ? s->bite_out : SIZE_MAX;
    size_t sum = 0;
    CHECK(s->kind == KERNEL_CONN && s->accepted);
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
    struct kernel_sock *s = find(fd);
    return s ? send_all(s, pieces, count) : REAL(SYS_writev, fd, pieces, count);
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct kernel_sock *s = find(fd);
    struct iovec piece = {.iov_len = len};
    memcpy(&piece.iov_base, &data, sizeof(data)); /* it is only read from */
    return s ? send_all(s, &piece, 1) : REAL(SYS_write, fd, data, len);
}

/* --- epoll and the clock --- */

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    struct kernel_sock *s = find(fd);
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

static uint32_t state_of(const struct kernel_sock *s)
{
    if (s->kind == KERNEL_LISTENER) {
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
    kernel.turn++;
    for (unsigned i = 0; i < KERNEL_SOCKETS && n < max; i++) {
        const struct kernel_sock *s = &kernel.socks[(kernel.turn + i) % KERNEL_SOCKETS];
        if (s->kind == KERNEL_FREE || !s->watched) {
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
    return kernel.runs ? collect(out, max)
                       : (int)REAL(SYS_epoll_pwait, epoll, out, max, timeout_ms, mask, 8);
}

int epoll_wait(int epoll, struct epoll_event *out, int max, int timeout_ms)
{
    return epoll_pwait(epoll, out, max, timeout_ms, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const uint64_t second = 1000000000;
    if (!kernel.runs || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)) {
        return (int)REAL(SYS_clock_gettime, clock, out);
    }
    out->tv_sec = (time_t)(kernel.now / second);
    out->tv_nsec = (long)(kernel.now % second);
    return 0;
}
