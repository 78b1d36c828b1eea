/* struct addr <-> the system's socket addresses.
 *
 * On the way in a v4-mapped address (RFC 4291 2.5.5.2), which is how a dual-stack IPv6 socket shows
 * IPv4, becomes IPv4; on the way out IPv4 becomes v4-mapped where the socket is IPv6.
 */
#ifndef OS_SOCKADDR_H
#define OS_SOCKADDR_H

#include <base/addr.h>

#include <sys/socket.h>

/* Writes `a` for a socket of `family`: AF_INET, AF_INET6, or AF_UNSPEC for the address's own.
 * Returns the length for the system call; 0 if that socket cannot express it (ADDR_NONE, IPv6 on
 * an IPv4 socket), *out is zeroed then. */
socklen_t sockaddr_encode(struct sockaddr_storage *out, const struct addr *a, int family);

/* Normalised; ADDR_NONE for a family that is neither IPv4 nor IPv6 or a `len` too short for it. */
struct addr sockaddr_decode(const void *sa, socklen_t len);

#endif
