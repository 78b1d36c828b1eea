/* The control socket of a running node: a unix socket only its user may open, HTTP and JSON.
 *
 *     GET /status                   -> 200 application/json (control/control.h)
 *     GET /ping/PEER                -> 200 application/json (control/why.h); 504 after 4.5 s
 *     GET /bench/PEER/up|down/SECONDS/any|direct|relay   -> 200 application/json; 502
 *     GET /why/PEER, /route/TARGET  -> 200 application/json
 *     POST /forward/LISTEN=TARGET   -> 200 and the address; forwarded until the asker hangs up
 *     POST /serve/NAME=TARGET,PEER  -> 200 and the name; served until the asker hangs up
 *     CONNECT HOST:PORT             -> 200 and the tunnel, as at the front, but without a password
 *
 * Whoever may open the socket is the node's own user.
 */
#ifndef APP_CONTROL_SERVER_H
#define APP_CONTROL_SERVER_H

#include "app/client.h"

struct app;
struct control_server;

/* Makes the folder if it is missing; takes the place of a socket that nobody answers at.
 * -EADDRINUSE if another node answers there. Errors come with a log line. */
int control_server_start(struct app *app, struct clients *clients, const char *path,
                         struct control_server **out);
void control_server_stop(struct control_server *s);

#endif
