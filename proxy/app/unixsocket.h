/* Unix sockets that only their user may open. */
#ifndef APP_UNIXSOCKET_H
#define APP_UNIXSOCKET_H

#include <uv.h>

/* Binds with mode 0600. Makes the folder (0700) if it is missing, and takes the place of a socket
 * that nobody answers at; nothing but a socket is ever removed. 0; UV_EADDRINUSE if somebody
 * answers there, or something else has the name; another negative system error. */
int unixsocket_bind(uv_pipe_t *pipe, const char *path);

#endif
