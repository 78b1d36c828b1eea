/* The asking end of the control socket; waits, as commands may. */
#ifndef APP_CONTROL_CLIENT_H
#define APP_CONTROL_CLIENT_H

#include <stddef.h>

/* GET `path`; the body is to be freed with mem_free and ends with '\0'. 0; a negative system error
 * (-ENOENT, -ECONNREFUSED: nobody is there); ERR_PROTOCOL if the answer is none or not 200. */
int control_client_get(const char *socket, const char *path, char **body, size_t *len);

#endif
