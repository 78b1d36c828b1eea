/* Where files are when nobody says: the XDG base directories. */
#ifndef APP_PATHS_H
#define APP_PATHS_H

#include <stdbool.h>
#include <stddef.h>

enum { PATHS_MAX = 1024 };

struct paths {
    char home[PATHS_MAX];    /* $HOME, "" if unset */
    char config[PATHS_MAX];  /* $XDG_CONFIG_HOME/adit/adit.ini or ~/.config/adit/adit.ini */
    char state[PATHS_MAX];   /* $XDG_STATE_HOME/adit or ~/.local/state/adit */
    char control[PATHS_MAX]; /* $XDG_RUNTIME_DIR/adit/control.sock, else in the state folder */
    char host[64];           /* this machine's name up to the first dot */
};

/* Relative XDG variables are ignored, as their specification says. Without $HOME too, what would
 * need it is "". */
void paths_find(struct paths *p);

/* The folder of a file's path, "." if it has none. Returns `out`. */
const char *paths_folder(const char *file, char out[PATHS_MAX]);

#endif
