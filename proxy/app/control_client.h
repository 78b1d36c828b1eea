/* The asking end of the control socket; waits, as commands may. */
#ifndef APP_CONTROL_CLIENT_H
#define APP_CONTROL_CLIENT_H

#include <stddef.h>

enum { CONTROL_REPLY_MAX = 1024 };

/* GET `path`; the body is to be freed with mem_free and ends with '\0'. 0; a negative system error
 * (-ENOENT, -ECONNREFUSED: nobody is there); ERR_PROTOCOL if the answer is none or not 200. */
int control_client_get(const char *socket, const char *path, char **body, size_t *len);

/* The same, whatever the status: with one that is not 200 the body says what is wrong. */
int control_client_ask(const char *socket, const char *path, unsigned *status, char **body,
                       size_t *len);

/* Asks, and leaves the connection open behind an answer of 200: what follows is the tunnel's or
 * nothing. `line` is "METHOD PATH". A descriptor; or a negative system error, or ERR_PROTOCOL. The
 * answer's body, or what an other status says about itself, is in *reply; the descriptor is then
 * closed and the result is -ECONNREFUSED. */
struct control_reply {
    unsigned status; /* 0: there was no answer */
    char text[CONTROL_REPLY_MAX];
};

int control_client_hold(const char *socket, const char *line, struct control_reply *reply);

#endif
