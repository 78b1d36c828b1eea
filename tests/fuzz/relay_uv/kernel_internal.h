/* What both ends of the kernel share: kernel.c is the client's, kernel_calls.c the server's. */
#ifndef TESTS_FUZZ_RELAY_UV_KERNEL_INTERNAL_H
#define TESTS_FUZZ_RELAY_UV_KERNEL_INTERNAL_H

#include "fuzz/relay_uv/kernel.h"

#include <sys/epoll.h>

enum { KERNEL_BACKLOG = 16, KERNEL_EPHEMERAL = 40000 };

enum kernel_kind { KERNEL_FREE, KERNEL_LISTENER, KERNEL_CONN };

struct kernel_bytes {
    uint8_t *data;
    size_t start, len, cap;
};

struct kernel_fault {
    int error;
    unsigned times;
};

struct kernel_sock {
    enum kernel_kind kind;
    int fd; /* a real descriptor of /dev/null: its number is ours */
    struct addr name;
    bool watched;
    struct epoll_event interest;

    int waiting[KERNEL_BACKLOG]; /* KERNEL_LISTENER: connections to be accepted */
    size_t waiting_count;

    bool client, server, accepted; /* whose end is open */
    struct kernel_bytes in, out;   /* to the server, to the client */
    bool in_end, out_end;          /* nothing more comes */
    bool broken;                   /* a reset */
    size_t room, bite_in, bite_out;
    struct kernel_fault read, write;
};

struct kernel {
    bool runs;
    uint64_t now;
    struct kernel_sock socks[KERNEL_SOCKETS];
    struct kernel_fault accept;
    uint16_t next_port;
    unsigned turn;
};

extern struct kernel kernel;

void kernel_put(struct kernel_bytes *b, const void *data, size_t len);
size_t kernel_take(struct kernel_bytes *b, void *out, size_t cap);
void kernel_empty(struct kernel_bytes *b);

/* NULL: there are too many. */
struct kernel_sock *kernel_take_free(enum kernel_kind kind);
/* It is free again if nobody has an end of it. */
void kernel_let_go(struct kernel_sock *s);

#endif
