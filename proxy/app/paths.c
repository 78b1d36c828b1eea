#include "app/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *absolute(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] == '/' ? value : NULL;
}

/* $VARIABLE/tail, or ~/otherwise/tail, or "". */
static void join(char out[PATHS_MAX], const char *variable, const char *home, const char *otherwise,
                 const char *tail)
{
    const char *base = absolute(variable);
    int n = 0;
    if (base) {
        n = snprintf(out, PATHS_MAX, "%s/%s", base, tail);
    } else if (home[0] != '\0' && otherwise) {
        n = snprintf(out, PATHS_MAX, "%s/%s/%s", home, otherwise, tail);
    }
    if (n <= 0 || n >= PATHS_MAX) {
        out[0] = '\0';
    }
}

void paths_find(struct paths *p)
{
    *p = (struct paths){0};
    const char *home = absolute("HOME");
    if (home && strlen(home) < PATHS_MAX) {
        (void)snprintf(p->home, sizeof(p->home), "%s", home);
    }
    join(p->config, "XDG_CONFIG_HOME", p->home, ".config", "adit/adit.ini");
    join(p->state, "XDG_STATE_HOME", p->home, ".local/state", "adit");
    join(p->control, "XDG_RUNTIME_DIR", "", NULL, "adit/control.sock");
    if (p->control[0] == '\0' && p->state[0] != '\0') {
        join(p->control, "XDG_STATE_HOME", p->home, ".local/state", "adit/control.sock");
    }
    if (gethostname(p->host, sizeof(p->host) - 1) != 0) {
        p->host[0] = '\0';
    }
    p->host[strcspn(p->host, ".")] = '\0';
}

const char *paths_folder(const char *file, char out[PATHS_MAX])
{
    (void)snprintf(out, PATHS_MAX, "%s", file);
    char *slash = strrchr(out, '/');
    if (!slash) {
        (void)snprintf(out, PATHS_MAX, ".");
    } else {
        slash[slash == out] = '\0';
    }
    return out;
}
