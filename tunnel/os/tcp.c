#include "os/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void tcp_set_user_timeout(int fd, unsigned ms)
{
#ifdef TCP_USER_TIMEOUT
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
#else
    (void)fd;
    (void)ms;
#endif
}

ssize_t tcp_read(int fd, void *out, size_t cap)
{
    ssize_t n;
    do {
        n = recv(fd, out, cap, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

void tcp_shut_write(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}
