/* Datagrams between standard input and output and a UDP port of this machine. */
#ifndef CLI_DATAGRAMS_H
#define CLI_DATAGRAMS_H

#include <stdint.h>

enum { DATAGRAMS_WAIT_S = 5 };

/* Each read is one datagram to 127.0.0.1:PORT, each that comes from there one write; for as long as
 * `control` is open at its other end, and after the end of input until nothing has come for
 * `wait_s` seconds. Takes `control` over. Returns the exit code. */
int datagrams_join(int control, uint16_t port, unsigned wait_s);

#endif
