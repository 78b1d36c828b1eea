#include "app/control_client.h"

#include "control/http.h"

#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 << 20,
    ANSWER_STEP = 65536,
    TIMEOUT_S = 5,
};

static int dial(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sa.sun_path)) {
        return -ENAMETOOLONG;
    }
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return -errno;
    }
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

static int ask(int fd, const char *path)
{
    char request[256];
    int n = snprintf(request, sizeof(request), "GET %.100s HTTP/1.1\r\nHost: adit\r\n\r\n", path);
    ssize_t sent = send(fd, request, (size_t)n, MSG_NOSIGNAL);
    return sent == n ? 0 : sent < 0 ? -errno : -EIO;
}

/* Everything until the other end finishes. */
static int receive(int fd, char **out, size_t *len)
{
    size_t have = 0;
    char *data = NULL;
    for (;;) {
        char *more = have < ANSWER_MAX ? mem_resize(data, have + ANSWER_STEP) : NULL;
        if (!more) {
            mem_free(data);
            return -ENOMEM;
        }
        data = more;
        ssize_t n = recv(fd, data + have, ANSWER_STEP, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int err = errno == EAGAIN ? -ETIMEDOUT : -errno;
            mem_free(data);
            return err;
        }
        if (n == 0) {
            *out = data;
            *len = have;
            return 0;
        }
        have += (size_t)n;
    }
}

static int take_body(const char *data, size_t len, char **body, size_t *body_len)
{
    struct control_answer a;
    if (control_parse_answer(&a, data, len, true) != CONTROL_COMPLETE || a.status != 200) {
        return ERR_PROTOCOL;
    }
    *body = mem_new(1, a.body_len + 1);
    if (!*body) {
        return -ENOMEM;
    }
    memcpy(*body, a.body, a.body_len);
    *body_len = a.body_len;
    return 0;
}

int control_client_get(const char *socket_path, const char *path, char **body, size_t *len)
{
    char *data = NULL;
    size_t data_len = 0;
    int fd = dial(socket_path);
    if (fd < 0) {
        return fd;
    }
    int err = ask(fd, path);
    if (err == 0) {
        err = receive(fd, &data, &data_len);
    }
    (void)close(fd);
    if (err == 0) {
        err = take_body(data, data_len, body, len);
        mem_free(data);
    }
    return err;
}
