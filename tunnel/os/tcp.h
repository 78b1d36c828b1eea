/* What libuv has no call for: options of TCP sockets. */
#ifndef OS_TCP_H
#define OS_TCP_H

/* How long sent bytes may stay unacknowledged before the system gives the connection up (RFC 5482);
 * without it that is a quarter of an hour. Nothing happens where the system knows no such limit. */
void tcp_set_user_timeout(int fd, unsigned ms);

#endif
