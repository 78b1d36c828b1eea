/* Looks after connections that are not being read from: those whose other end has finished, and
 * those that are paused since nobody takes their bytes. A reset there would go unseen until
 * something is written, or read. Four times a second, and only while there are such connections,
 * the system is asked about all of them, 64 with each call.
 *
 * A reset overtakes what a paused connection still has to be read, as it does in a stream (RFC 9000
 * section 3.2): who reset it does not care for those bytes, and who waits should know at once.
 */
#ifndef APP_TCP_WATCH_H
#define APP_TCP_WATCH_H

#include "app/tcp.h"

/* Until tcp_watch_remove; its owner is told through `read`. Without memory it goes without. */
void tcp_watch_add(struct tcp *t);
/* Also if it is not there. */
void tcp_watch_remove(struct tcp *t);
/* There are no connections any more. */
void tcp_watch_stop(struct pool *pool);

#endif
