/* Looks after connections whose other end has finished: nothing is read there any more, so a reset
 * that follows would go unseen until something is written. Four times a second, and only while
 * there are such connections, the system is asked.
 *
 * Connections that are merely paused are not looked at: what they still have to be read comes
 * first.
 */
#ifndef APP_TCP_WATCH_H
#define APP_TCP_WATCH_H

#include "app/tcp.h"

/* Until tcp_watch_remove; its owner is told through `read`. Without memory it goes without. */
void tcp_watch_add(struct tcp *t);
/* Also if it is not there. */
void tcp_watch_remove(struct tcp *t);

#endif
