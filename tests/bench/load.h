/* The load of the benchmark: an application in front of a SOCKS5 proxy, and the server behind it.
 *
 *   bench_load serve ADDRESS PORT
 *   bench_load run ADDRESS:PORT HOST PORT WHAT SECONDS [COUNT]
 *
 * `run` goes through the proxy at ADDRESS:PORT to HOST (a name, or an IPv4 address) and prints one
 * line of "name value" pairs. What it does and says, always without the first quarter of the time:
 *
 *   down, up    COUNT streams (1): mbps, worst (the slowest stream's part of the mean), bytes (all)
 *   rr          128 bytes there and back on one connection: p50, p99 (microseconds), count
 *   mixed       `down` with one stream and `rr` at the same time
 *   conn        COUNT (16) threads connect, echo one byte, close: per_s
 *   new         one after the other: p50, p99 from connect to the echoed byte
 *   idle        opens COUNT connections, echoes a byte on each, prints "open", and closes them
 *               when a line comes in
 *
 * The first byte of a connection tells the server what to do: 'd' send, 'u' receive and report
 * how much arrived, 'e' echo.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_BLOCK = 256 * 1024, LOAD_STACK = 64 * 1024 };

#define LOAD_REPORT_NS UINT64_C(20000000)

/* What had come and when; both ends are on one machine and read the same clock. */
struct load_report {
    uint64_t ns, bytes;
};

struct load_target {
    char front[64]; /* address of the proxy */
    const char *front_port;
    const char *host;
    uint16_t port;
};

uint64_t load_now(void);
bool load_write(int fd, const void *data, size_t len);
bool load_read(int fd, void *data, size_t len);
/* Prints "ADDRESS PORT: why" and ends the program. */
_Noreturn void load_die(const char *what);
/* A thread with a small stack. */
void load_thread(void *(*run)(void *arg), void *arg, unsigned long *id);

/* A connection through the proxy, with `mode` said; -1 when refused. */
int load_connect(const struct load_target *t, char mode);
void load_serve(const char *address, const char *port);
int load_run(const struct load_target *t, const char *what, double seconds, size_t count);

#endif
