/* Unix sockets that only their user, or some others, may open. */
#ifndef APP_UNIXSOCKET_H
#define APP_UNIXSOCKET_H

#include <stdbool.h>
#include <uv.h>

/* Binds with mode 0600, or 0666 for `guests` (whoever binds it asks them who they are). Makes the
 * folder (0700, 0711) if it is missing, and takes the place of a socket
 * that nobody answers at; nothing but a socket is ever removed. 0; UV_EADDRINUSE if somebody
 * answers there, or something else has the name; another negative system error. */
int unixsocket_bind(uv_pipe_t *pipe, const char *path, bool guests);

#endif
