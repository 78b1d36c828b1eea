/* The server behind the proxies: one thread per connection. */
#include "load.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, ECHO_BLOCK = 4096 };

static const uint8_t content[LOAD_BLOCK];

static void send_all(int fd)
{
    while (load_write(fd, content, sizeof(content))) {
    }
}

/* Says every now and then how much had come when, so that it is arrival that is measured, also
 * where a proxy carries nothing back as long as something goes forth (microsocks). */
static void receive_all(int fd)
{
    char *block = malloc(LOAD_BLOCK);
    struct load_report report = {.ns = load_now()};
    ssize_t n;
    while (block && (n = read(fd, block, LOAD_BLOCK)) > 0) {
        report.bytes += (uint64_t)n;
        uint64_t now = load_now();
        if (now - report.ns < LOAD_REPORT_NS) {
            continue;
        }
        report.ns = now;
        if (!load_write(fd, &report, sizeof(report))) {
            break;
        }
    }
    free(block);
}

static void echo(int fd)
{
    char block[ECHO_BLOCK];
    ssize_t n;
    while ((n = read(fd, block, sizeof(block))) > 0 && load_write(fd, block, (size_t)n)) {
    }
}

static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char mode = 0;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (load_read(fd, &mode, 1)) {
        if (mode == 'd') {
            send_all(fd);
        } else if (mode == 'u') {
            receive_all(fd);
        } else {
            echo(fd);
        }
    }
    (void)close(fd);
    return NULL;
}

void load_serve(const char *address, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *found;
    if (getaddrinfo(address, port, &hints, &found) != 0) {
        load_die(address);
    }
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        load_die(port);
    }
    freeaddrinfo(found);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client >= 0) {
            load_thread(serve_one, (void *)(intptr_t)client, NULL);
        }
    }
}
