/* A kernel in memory under libuv: TCP sockets, what epoll says of them, and the clock.
 *
 * The program that is linked with it calls this instead of the C library for the sockets that it
 * makes while the kernel runs; all other descriptors go on to the real one. So libuv and everything
 * above it are the real ones, but each byte comes and goes as a test says, and time passes only
 * when a test says so: the same calls, the same result.
 *
 * "The client" is the test, at the other end of each connection; "the server" is the program.
 */
#ifndef TESTS_FUZZ_RELAY_UV_KERNEL_H
#define TESTS_FUZZ_RELAY_UV_KERNEL_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KERNEL_SOCKETS = 24, KERNEL_ROOM = 128 << 10 };

/* As if it had just been started, at that time. */
void kernel_start(uint64_t now);
/* How many sockets the server has not closed. */
size_t kernel_server_sockets(void);
/* How many connections nobody has accepted. */
size_t kernel_waiting(void);
/* Frees all; there must be none left of the server's. */
void kernel_stop(void);

void kernel_advance(uint64_t ns);

/* A connection to that port, which the server has still to accept. Negative: nobody listens there,
 * or there are too many. */
int kernel_connect(uint16_t port, const struct addr *from);
/* The next `times` accepts fail so. */
void kernel_fail_accepts(int error, unsigned times);

/* --- the client's end of `conn` --- */

void kernel_write(int conn, const void *data, size_t len);
/* As many bytes as there are, up to `cap`. */
size_t kernel_read(int conn, void *out, size_t cap);
/* What was written and is not read yet by the server. */
size_t kernel_unread(int conn);
/* The server has said its last byte, and all were read; or the connection was broken. */
bool kernel_is_over(int conn);
/* The server has not closed its end, and did take it. */
bool kernel_is_served(int conn);
/* Nothing more comes; bytes may still be read. */
void kernel_shut(int conn);
/* Broken off: what the server has not read yet it still may. */
void kernel_reset(int conn);
/* The client is gone, and takes nothing any more; `conn` is not to be used any more. */
void kernel_leave(int conn);

/* --- how the server's calls do --- */

/* So many bytes wait for the client before writing would block. */
void kernel_set_room(int conn, size_t room);
/* So many at most by one read, and by one write; 0 = any. */
void kernel_set_bite(int conn, size_t in, size_t out);
/* The next `times` writes (reads) fail so. */
void kernel_fail_writes(int conn, int error, unsigned times);
void kernel_fail_reads(int conn, int error, unsigned times);

#endif
