/* The table of all sections and keys of adit.ini: the parser, its error messages, `adit check` and
 * the test of conf/example.ini read it, so none of them can miss a key.
 */
#ifndef POLICY_CONFIG_KEYS_H
#define POLICY_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_section {
    const char *name; /* "node" */
    bool named;       /* [peer NAME], and may come several times with different names */
    bool plain;       /* without a NAME, once */
    const char *help;
    size_t offset; /* of its struct in struct config; not for named ones */
};

enum config_type {
    CONFIG_NAME,
    CONFIG_PATH,
    CONFIG_KEY_FILE,
    CONFIG_ADDR,
    CONFIG_ADDRS,
    CONFIG_LISTENS,
    CONFIG_LEVEL,
    CONFIG_DURATION,
    CONFIG_NUMBER,
    CONFIG_YES_NO,
    CONFIG_CONGESTION,
    CONFIG_KEY,
    CONFIG_KEYS,
    CONFIG_URL,
    CONFIG_PINS,
    CONFIG_PROXY,
    CONFIG_UPSTREAM,
    CONFIG_ENDPOINTS,
    CONFIG_RELAYS,
    CONFIG_ALLOW,
    CONFIG_PREFIXES,
    CONFIG_ROUTE,
    CONFIG_FORWARD,
    CONFIG_WAY,
    CONFIG_PATH_POLICY,
    CONFIG_COMMANDS,
    CONFIG_UIDS,
    CONFIG_SERVE,
    CONFIG_CLUSTER,
    CONFIG_TYPES,
};

struct config_key {
    const char *section;
    const char *name; /* "PATTERN", "LISTEN", "SERVICE": any key ([route], [forward], [serve]) */
    enum config_type type;
    bool list;     /* may be repeated, several values in a line */
    bool required; /* in every such section that is there */
    /* The default as the ini would say it, "" if none. */
    const char *initial;
    bool computed;        /* `initial` only describes it: config_env or other keys give the value */
    uint64_t least, most; /* numbers and durations (ns); no range if both are 0 */
    const char *accepted;
    const char *help; /* one sentence */
    size_t offset;    /* of the field in the section's struct */
};

/* The tables end with a NULL name. */
extern const struct config_section config_sections[];
extern const struct config_key config_keys_table[];

#endif
