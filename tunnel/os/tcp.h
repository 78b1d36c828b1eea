/* What libuv has no call for: options of TCP sockets, and reading from one when it suits us. */
#ifndef OS_TCP_H
#define OS_TCP_H

#include <stddef.h>
#include <sys/types.h>

/* How long sent bytes may stay unacknowledged before the system gives the connection up (RFC 5482);
 * without it that is a quarter of an hour. Nothing happens where the system knows no such limit. */
void tcp_set_user_timeout(int fd, unsigned ms);

/* What there is to read, without waiting. 0 = the other side has ended, negative = -errno, -EAGAIN
 * if there is nothing. */
ssize_t tcp_read(int fd, void *out, size_t cap);

/* Ends our half of the connection. */
void tcp_shut_write(int fd);

#endif
