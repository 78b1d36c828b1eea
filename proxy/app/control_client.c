#include "app/control_client.h"

#include "control/http.h"

#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 << 20,
    ANSWER_STEP = 65536,
    TIMEOUT_S = 5,
    ASK_TIMEOUT_S = 75,  /* longer than the node takes for anything */
    HOLD_TIMEOUT_S = 60, /* the node itself gives up after 30 */
    LINE_MAX_LEN = 640,
};

static int dial(const char *path, time_t timeout_s)
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
    const struct timeval limit = {.tv_sec = timeout_s};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

static int ask(int fd, const char *method, const char *path)
{
    char request[LINE_MAX_LEN + 64];
    int n =
        snprintf(request, sizeof(request), "%s%.600s HTTP/1.1\r\nHost: adit\r\n\r\n", method, path);
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

static int take_body(const char *data, size_t len, unsigned *status, char **body, size_t *body_len)
{
    struct control_answer a;
    if (control_parse_answer(&a, data, len, true) != CONTROL_COMPLETE) {
        return ERR_PROTOCOL;
    }
    *status = a.status;
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
    unsigned status;
    int err = control_client_ask(socket_path, path, &status, body, len);
    if (err == 0 && status != 200) {
        mem_free(*body);
        *body = NULL;
        return ERR_PROTOCOL;
    }
    return err;
}

int control_client_ask(const char *socket_path, const char *path, unsigned *status, char **body,
                       size_t *len)
{
    char *data = NULL;
    size_t data_len = 0;
    int fd = dial(socket_path, strcmp(path, "/status") == 0 ? TIMEOUT_S : ASK_TIMEOUT_S);
    if (fd < 0) {
        return fd;
    }
    int err = ask(fd, "GET ", path);
    if (err == 0) {
        err = receive(fd, &data, &data_len);
    }
    (void)close(fd);
    if (err == 0) {
        err = take_body(data, data_len, status, body, len);
        mem_free(data);
    }
    return err;
}

/* One byte; 0 at the end, or a negative system error. */
static int receive_byte(int fd, char *out)
{
    ssize_t n;
    do {
        n = recv(fd, out, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? (int)n : errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* Byte by byte, because what follows the head may be the tunnel's. */
static int receive_head(int fd, char *out, size_t cap)
{
    size_t len = 0;
    while (len + 1 < cap) {
        int n = receive_byte(fd, out + len);
        if (n <= 0) {
            return n < 0 ? n : ERR_PROTOCOL;
        }
        out[++len] = '\0';
        if (len >= 4 && memcmp(out + len - 4, "\r\n\r\n", 4) == 0) {
            return 0;
        }
    }
    return ERR_PROTOCOL;
}

static void receive_text(int fd, char *out, size_t cap, size_t want)
{
    size_t len = 0;
    while (len + 1 < cap && len < want && receive_byte(fd, out + len) == 1) {
        len++;
    }
    out[len] = '\0';
}

static int receive_reply(int fd, struct control_reply *r)
{
    static const char length[] = "\r\nContent-Length: ";
    char head[CONTROL_REPLY_MAX];
    int err = receive_head(fd, head, sizeof(head));
    if (err != 0) {
        return err;
    }
    if (strncmp(head, "HTTP/1.1 ", 9) != 0) {
        return ERR_PROTOCOL;
    }
    r->status = (unsigned)strtoul(head + 9, NULL, 10);
    const char *at = strstr(head, length);
    if (at) {
        receive_text(fd, r->text, sizeof(r->text), strtoul(at + sizeof(length) - 1, NULL, 10));
    }
    return r->status == 200 ? 0 : -ECONNREFUSED;
}

int control_client_hold(const char *socket_path, const char *line, struct control_reply *reply)
{
    const struct timeval none = {0};
    *reply = (struct control_reply){0};
    int fd = dial(socket_path, HOLD_TIMEOUT_S);
    if (fd < 0) {
        return fd;
    }
    int err = ask(fd, "", line);
    if (err == 0) {
        err = receive_reply(fd, reply);
    }
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
    return fd;
}
