/* adit.ini as the commands write it: a new one from a template, or sections at the end of one that
 * is there. What stands in it, comments too, stays byte for byte; it is replaced as a whole, and
 * only by what Adit reads without an error. */
#ifndef CLI_INIFILE_H
#define CLI_INIFILE_H

#include "policy/config.h"

#include <adit/key.h>

#include <stdbool.h>
#include <stddef.h>

enum { INIFILE_ADDED_MAX = 8192, INIFILE_NODE_MAX = 2048 };

struct inifile {
    const char *path;
    char *text;
    size_t len;
    struct config *config;
    struct config_public_key self; /* this node's */
    char added[INIFILE_ADDED_MAX];
    char node[INIFILE_NODE_MAX]; /* for its [node] */
    bool too_long;
};

/* Letters, digits and -, as a name that can be typed in a URL. */
bool inifile_is_name(const char *name);
/* The host's name, if it is one. Returns `out`. */
const char *inifile_default_name(char out[CONFIG_NAME_MAX + 1]);
/* Writes the ini and, if there is none beside it, the key. An exit code, with a message if it is
 * not 0. */
int inifile_create(const char *ini, const char *name, char public_text[ADIT_KEY_TEXT_MAX]);

/* From reading an ini to replacing it nobody else of these commands does the same: waits for that,
 * until inifile_unlock. Where no lock can be had it goes without (a folder that is not there yet,
 * or a file system that knows none). */
int inifile_lock(const char *ini);
void inifile_unlock(int lock);

/* Reads the ini and the node's key. An exit code, with a message if it is not 0; in any case
 * inifile_close follows. `path` is borrowed. */
int inifile_open(struct inifile *f, const char *path);
void inifile_close(struct inifile *f);

/* NULL if there is none of that name. */
const struct config_relay *inifile_find_relay(const struct inifile *f, const char *name);
/* Gives the name of the [relay] with this URL; if there is none, it is added. */
void inifile_use_relay(struct inifile *f, const struct config_url *url,
                       const struct config_pin *pins, size_t pins_count,
                       char name[CONFIG_NAME_MAX + 1]);
/* A STUN server, into [node] where inifile_save finds it, unless it is listed there. */
void inifile_use_stun(struct inifile *f, const struct config_endpoint *at, bool derper);
/* Text that inifile_save puts at the end. */
void inifile_add(struct inifile *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Would it be read without an error? Exit codes with messages, as above. */
int inifile_check(const struct inifile *f);
int inifile_save(const struct inifile *f);

#endif
