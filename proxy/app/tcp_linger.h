/* A reset that lets what was sent before it arrive. To the system a reset means that its send
 * buffer is thrown away; so where bytes wait there, or here, the connection stays until they are
 * out, for 30 s at most.
 */
#ifndef APP_TCP_LINGER_H
#define APP_TCP_LINGER_H

#include "app/tcp.h"

/* As tcp_reset: the owner is detached at once. */
void tcp_reset_late(struct tcp *t);

#endif
