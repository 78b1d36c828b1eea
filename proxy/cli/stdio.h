/* Standard input and output joined with a connection, as ssh's ProxyCommand wants it.
 */
#ifndef CLI_STDIO_H
#define CLI_STDIO_H

/* Copies both ways until both have ended; the end of one direction is passed on and leaves the
 * other alone. Closes `fd`. The exit code: EX_OK, or EX_IOERR if the connection broke. */
int stdio_join(int fd);

#endif
