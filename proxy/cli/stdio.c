#include "cli/stdio.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    BLOCK = 65536,
    LOOK_AGAIN_MS = 100,
};

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* True at the end of `from`; false if either broke. */
static bool copy(int from, int to)
{
    static char block[BLOCK];
    for (;;) {
        ssize_t n = read(from, block, sizeof(block));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0;
        }
        if (!write_all(to, block, (size_t)n)) {
            return false;
        }
    }
}

/* The other end has finished; it may still read. When it has gone altogether, nobody needs what
 * standard input still brings. */
static void wait_for_input(int fd, pid_t child)
{
    struct pollfd p = {.fd = fd, .events = 0};
    while (waitpid(child, NULL, WNOHANG) == 0) {
        if (poll(&p, 1, LOOK_AGAIN_MS) > 0) {
            (void)kill(child, SIGTERM);
            (void)waitpid(child, NULL, 0);
            return;
        }
    }
}

/* One process for each direction: so neither can block the other, and nobody's descriptors are made
 * non-blocking under his hands. */
int stdio_join(int fd)
{
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child < 0) {
        (void)close(fd);
        return EX_OSERR;
    }
    if (child == 0) {
        bool whole = copy(STDIN_FILENO, fd);
        (void)shutdown(fd, SHUT_WR);
        _exit(whole ? EX_OK : EX_IOERR);
    }
    bool whole = copy(fd, STDOUT_FILENO);
    if (whole) {
        (void)close(STDOUT_FILENO);
        wait_for_input(fd, child);
    } else {
        (void)kill(child, SIGTERM);
        (void)waitpid(child, NULL, 0);
    }
    (void)close(fd);
    return whole ? EX_OK : EX_IOERR;
}
