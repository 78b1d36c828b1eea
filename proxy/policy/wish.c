#include "policy/wish.h"

#include <string.h>

static bool is_mark(char c)
{
    return c == '@' || c == '+';
}

static bool take_peer(struct wish *w, const struct config *config, const char *text, size_t len)
{
    char name[CONFIG_NAME_MAX + 1];
    if (w->exit || len == 0 || len > CONFIG_NAME_MAX || memchr(text, '\0', len)) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    const struct config_peer *peer = config_find_peer(config, name);
    if (peer) {
        w->exit = true;
        w->peer = (size_t)(peer - config->peers);
    }
    return peer != NULL;
}

static bool take_path(struct wish *w, const char *text, size_t len)
{
    if (w->path_given || !config_parse_path(&w->path, text, len)) {
        return false;
    }
    w->path_given = true;
    return true;
}

/* The last part, from its mark on. False: it belongs to the name. */
static bool take_last(struct wish *w, const struct config *config, const char *user)
{
    size_t at = w->name_len;
    while (at > 0 && !is_mark(user[at - 1])) {
        at--;
    }
    if (at == 0) {
        return false;
    }
    const char *text = user + at;
    size_t len = w->name_len - at;
    bool taken = user[at - 1] == '@' ? take_peer(w, config, text, len) : take_path(w, text, len);
    w->name_len = taken ? at - 1 : w->name_len;
    return taken;
}

struct wish wish_parse(const struct config *config, const char *user, size_t len)
{
    struct wish w = {.name_len = len};
    while (take_last(&w, config, user)) {
    }
    for (size_t i = 0; i < w.name_len; i++) {
        w.unclear = w.unclear || is_mark(user[i]);
    }
    return w;
}

bool wish_equal(const struct wish *a, const struct wish *b)
{
    return a->exit == b->exit && a->path_given == b->path_given && a->path == b->path &&
           a->peer == b->peer && a->unclear == b->unclear;
}
