#include "load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

uint64_t load_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

bool load_write(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool load_read(int fd, void *data, size_t len)
{
    char *at = data;
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

void load_die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(EX_UNAVAILABLE);
}

void load_thread(void *(*run)(void *arg), void *arg, unsigned long *id)
{
    pthread_attr_t attr;
    pthread_t thread;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, LOAD_STACK);
    if (!id) {
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    }
    errno = pthread_create(&thread, &attr, run, arg);
    if (errno != 0) {
        load_die("thread");
    }
    if (id) {
        *id = thread;
    }
    (void)pthread_attr_destroy(&attr);
}

static int dial(const struct load_target *t)
{
    struct addrinfo hints = {.ai_family = AF_INET,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(t->front, t->front_port, &hints, &found) != 0) {
        errno = EINVAL;
        load_die(t->front);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        load_die("socket");
    }
    int rc = connect(fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (rc < 0) {
        (void)close(fd);
        return -1;
    }
    /* What is abandoned at the end of a measurement must not go on behind the next one. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    return fd;
}

/* RFC 1928: a request for the target; returns its length. */
static size_t make_request(uint8_t *out, const struct load_target *t)
{
    struct in_addr ip;
    size_t len = 0;
    memcpy(out, "\x05\x01\x00", 3);
    struct addrinfo hints = {.ai_family = AF_INET, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found;
    if (getaddrinfo(t->host, NULL, &hints, &found) == 0) {
        struct sockaddr_in in;
        memcpy(&in, found->ai_addr, sizeof(in));
        ip = in.sin_addr;
        freeaddrinfo(found);
        out[3] = 1;
        memcpy(out + 4, &ip, 4);
        len = 8;
    } else {
        size_t name = strlen(t->host);
        out[3] = 3;
        out[4] = (uint8_t)name;
        memcpy(out + 5, t->host, name);
        len = 5 + name;
    }
    out[len] = (uint8_t)(t->port >> 8);
    out[len + 1] = (uint8_t)t->port;
    return len + 2;
}

static bool negotiate(int fd, const struct load_target *t, char mode)
{
    uint8_t said[300];
    uint8_t heard[300];
    if (!load_write(fd, "\x05\x01\x00", 3) || !load_read(fd, heard, 2) || heard[1] != 0) {
        return false;
    }
    size_t len = make_request(said, t);
    if (!load_write(fd, said, len) || !load_read(fd, heard, 5) || heard[1] != 0) {
        return false;
    }
    size_t rest = heard[3] == 1 ? 5 : heard[3] == 4 ? 17 : (size_t)heard[4] + 2;
    return load_read(fd, heard + 5, rest) && load_write(fd, &mode, 1);
}

int load_connect(const struct load_target *t, char mode)
{
    int fd = dial(t);
    if (fd >= 0 && !negotiate(fd, t, mode)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_load serve ADDRESS PORT\n"
                    "       bench_load run ADDRESS:PORT HOST PORT WHAT SECONDS [COUNT]\n");
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        load_serve(argv[2], argv[3]);
        return EX_UNAVAILABLE;
    }
    const char *colon = argc >= 7 ? strrchr(argv[2], ':') : NULL;
    if (!colon || strcmp(argv[1], "run") != 0 || strlen(argv[3]) > UINT8_MAX) {
        return usage();
    }
    struct load_target t = {.front_port = colon + 1, .host = argv[3]};
    (void)snprintf(t.front, sizeof(t.front), "%.*s", (int)(colon - argv[2]), argv[2]);
    t.port = (uint16_t)strtoul(argv[4], NULL, 10);
    size_t count = argc > 7 ? strtoul(argv[7], NULL, 10) : 0;
    int rc = load_run(&t, argv[5], strtod(argv[6], NULL), count);
    return rc < 0 ? usage() : rc;
}
