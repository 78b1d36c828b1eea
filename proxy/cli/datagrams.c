#include "cli/datagrams.h"

#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { DATAGRAM_MAX = 65507, WAIT_FOR_EVER = -1 };

enum { INPUT, SOCKET, CONTROL, SOURCES };

static int open_socket(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* False at the end of input. What the system does not take is lost, as datagrams are. */
static bool send_one(int fd)
{
    static char block[DATAGRAM_MAX];
    ssize_t n = read(STDIN_FILENO, block, sizeof(block));
    if (n > 0) {
        (void)send(fd, block, (size_t)n, 0);
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

/* False if nobody takes the output any more. */
static bool receive_one(int fd)
{
    static char block[DATAGRAM_MAX];
    ssize_t n = recv(fd, block, sizeof(block), 0);
    if (n <= 0) {
        return true; /* empty, or an error that an earlier one of ours met */
    }
    return write(STDOUT_FILENO, block, (size_t)n) == n;
}

static int join(struct pollfd p[SOURCES], int wait_ms)
{
    for (;;) {
        int n = poll(p, SOURCES, p[INPUT].fd < 0 ? wait_ms : WAIT_FOR_EVER);
        if (n < 0 && errno != EINTR) {
            return EX_OSERR;
        }
        if (n == 0) {
            return EX_OK;
        }
        if (n > 0 && p[SOCKET].revents != 0 && !receive_one(p[SOCKET].fd)) {
            return EX_IOERR;
        }
        if (n > 0 && p[INPUT].revents != 0 && !send_one(p[SOCKET].fd)) {
            p[INPUT].fd = -1; /* the end */
        }
        if (n > 0 && p[CONTROL].revents != 0) {
            cli_error("the node has stopped");
            return EX_UNAVAILABLE;
        }
    }
}

int datagrams_join(int control, uint16_t port, unsigned wait_s)
{
    int fd = open_socket(port);
    int code = EX_OSERR;
    if (fd >= 0) {
        struct pollfd p[SOURCES] = {
            [INPUT] = {.fd = STDIN_FILENO, .events = POLLIN},
            [SOCKET] = {.fd = fd, .events = POLLIN},
            [CONTROL] = {.fd = control, .events = POLLIN},
        };
        code = join(p, (int)wait_s * 1000);
        (void)close(fd);
    }
    (void)close(control);
    return code;
}
