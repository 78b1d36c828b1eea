/* The file of the invitations that wait for an answer: `invitations` in the state folder, 0600.
 * Every function gives an exit code, with a message if it is not 0. */
#ifndef CLI_PENDINGFILE_H
#define CLI_PENDINGFILE_H

#include "policy/pending.h"

/* Without the file there are none. The caller ends *p with pending_wipe. */
int pendingfile_read(const struct config *config, struct pending *p);
int pendingfile_write(const struct config *config, const struct pending *p);

#endif
