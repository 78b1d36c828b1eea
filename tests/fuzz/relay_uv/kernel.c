#include "fuzz/relay_uv/kernel_internal.h"

#include <base/check.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct kernel kernel;

/* --- bytes --- */

void kernel_put(struct kernel_bytes *b, const void *data, size_t len)
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

size_t kernel_take(struct kernel_bytes *b, void *out, size_t cap)
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

void kernel_empty(struct kernel_bytes *b)
{
    free(b->data);
    *b = (struct kernel_bytes){0};
}

/* --- sockets --- */

struct kernel_sock *kernel_take_free(enum kernel_kind kind)
{
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        if (kernel.socks[i].kind == KERNEL_FREE) {
            kernel.socks[i] =
                (struct kernel_sock){.kind = kind, .fd = kernel.socks[i].fd, .room = KERNEL_ROOM};
            return &kernel.socks[i];
        }
    }
    return NULL;
}

void kernel_let_go(struct kernel_sock *s)
{
    if (!s->client && !s->server) {
        kernel_empty(&s->in);
        kernel_empty(&s->out);
        s->kind = KERNEL_FREE;
    }
}

static struct kernel_sock *client_end(int conn)
{
    CHECK(conn >= 0 && conn < KERNEL_SOCKETS);
    CHECK(kernel.socks[conn].kind == KERNEL_CONN && kernel.socks[conn].client);
    return &kernel.socks[conn];
}

/* --- the client --- */

void kernel_start(uint64_t now)
{
    for (size_t i = 0; i < KERNEL_SOCKETS && kernel.socks[i].fd == 0; i++) {
        kernel.socks[i].fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(kernel.socks[i].fd > 0);
    }
    CHECK(!kernel.runs);
    kernel.runs = true;
    kernel.now = now;
    kernel.next_port = KERNEL_EPHEMERAL;
    kernel.accept = (struct kernel_fault){0};
    kernel.turn = 0;
}

size_t kernel_server_sockets(void)
{
    size_t count = 0;
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        count += kernel.socks[i].kind != KERNEL_FREE && kernel.socks[i].server;
    }
    return count;
}

size_t kernel_waiting(void)
{
    size_t count = 0;
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        count += kernel.socks[i].kind == KERNEL_LISTENER ? kernel.socks[i].waiting_count : 0;
    }
    return count;
}

void kernel_stop(void)
{
    CHECK(kernel.runs && kernel_server_sockets() == 0);
    for (size_t i = 0; i < KERNEL_SOCKETS; i++) {
        kernel.socks[i].client = false;
        kernel_let_go(&kernel.socks[i]);
    }
    kernel.runs = false;
}

void kernel_advance(uint64_t ns)
{
    kernel.now += ns;
}

int kernel_connect(uint16_t port, const struct addr *from)
{
    struct kernel_sock *l = NULL;
    for (size_t i = 0; i < KERNEL_SOCKETS && !l; i++) {
        struct kernel_sock *s = &kernel.socks[i];
        l = s->kind == KERNEL_LISTENER && s->server && s->name.port == port ? s : NULL;
    }
    struct kernel_sock *s =
        l && l->waiting_count < KERNEL_BACKLOG ? kernel_take_free(KERNEL_CONN) : NULL;
    if (!s) {
        return -1;
    }
    s->name = *from;
    s->client = s->server = true;
    l->waiting[l->waiting_count++] = (int)(s - kernel.socks);
    return (int)(s - kernel.socks);
}

void kernel_fail_accepts(int error, unsigned times)
{
    kernel.accept = (struct kernel_fault){error, times};
}

void kernel_write(int conn, const void *data, size_t len)
{
    struct kernel_sock *s = client_end(conn);
    if (s->server && !s->in_end && !s->broken) {
        kernel_put(&s->in, data, len);
    }
}

size_t kernel_read(int conn, void *out, size_t cap)
{
    return kernel_take(&client_end(conn)->out, out, cap);
}

size_t kernel_unread(int conn)
{
    return client_end(conn)->in.len;
}

bool kernel_is_over(int conn)
{
    const struct kernel_sock *s = client_end(conn);
    return s->broken || (s->out_end && s->out.len == 0);
}

bool kernel_is_served(int conn)
{
    const struct kernel_sock *s = client_end(conn);
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
    struct kernel_sock *s = client_end(conn);
    s->in_end = true;
    s->broken = s->broken || s->out.len > 0; /* as close() has it at the other end */
    s->client = false;
    s->room = KERNEL_ROOM; /* for what is answered with a reset */
    kernel_let_go(s);
}

void kernel_set_room(int conn, size_t room)
{
    client_end(conn)->room = room;
}

void kernel_set_bite(int conn, size_t in, size_t out)
{
    struct kernel_sock *s = client_end(conn);
    s->bite_in = in;
    s->bite_out = out;
}

void kernel_fail_writes(int conn, int error, unsigned times)
{
    client_end(conn)->write = (struct kernel_fault){error, times};
}

void kernel_fail_reads(int conn, int error, unsigned times)
{
    client_end(conn)->read = (struct kernel_fault){error, times};
}
