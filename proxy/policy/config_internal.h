/* Shared by the config_*.c files only. */
#ifndef POLICY_CONFIG_INTERNAL_H
#define POLICY_CONFIG_INTERNAL_H

#include "policy/config.h"
#include "policy/config_keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for a section or key in messages; inih cuts nothing shorter than that. */
enum { CONFIG_LABEL_MAX = 80 };
/* Room for the tables of config_keys.c. */
enum { CONFIG_SECTIONS_MAX = 16, CONFIG_KEYS_MAX = 256 };

struct config_parser {
    struct config *config;
    const struct config_env *env;
    struct config_errors *errors;
    const char *file;

    const char *at; /* text not yet read */
    const char *end;
    unsigned line;
    unsigned section_line;

    /* Where we are; also what an error message names. NULL = none, or one that is unknown. */
    const struct config_section *section;
    const struct config_key *key;
    char section_text[CONFIG_LABEL_MAX];
    char key_text[CONFIG_LABEL_MAX];
    const char *value; /* of the key that is being read, or of an error about it; NULL = none */
    void *base;        /* the struct that the section fills */

    /* Where they are, by their places in the tables; 0 = nowhere yet. Of keys in a named section
     * the last one's. */
    unsigned key_lines[CONFIG_KEYS_MAX];
    unsigned section_lines[CONFIG_SECTIONS_MAX];
    bool no_memory;
};

/* Notes an error at the parser's line, section and key. */
void config_fail(struct config_parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, with what the key accepts put behind. */
void config_fail_value(struct config_parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- config_secret.c --- */

/* In a message that shows a value of the line which is being read: what may be a login (there is an
 * '@' in the line) becomes "...". */
void config_hide(const struct config_parser *p, char *text);
/* What stands where a file with a secret is to be named is a secret: NULL, or what is to be said
 * about it (static). */
const char *config_secret_itself(const char *value);

/* --- config_keys.c --- */

const struct config_section *config_find_section(const char *name);
/* Also the PATTERN key of a section that takes any. */
const struct config_key *config_find_key(const struct config_section *section, const char *name);
/* Its name is no name of a key: [route], [forward], [serve]. */
bool config_takes_any(const struct config_key *key);
/* The line in which it is, 0 if in none so far. */
unsigned *config_key_line(struct config_parser *p, const struct config_key *key);
unsigned *config_section_line(struct config_parser *p, const struct config_section *section);
/* None of its keys was seen yet. */
void config_forget_keys(struct config_parser *p, const struct config_section *section);
/* Says that the name is unknown, which one was probably meant, and which there are. */
void config_fail_section(struct config_parser *p, const char *name);
void config_fail_key(struct config_parser *p, const char *name);
/* True if `b` is so near to `a` that it was probably meant. */
bool config_is_near(const char *a, const char *b);

/* --- config_value.c, config_item.c --- */

/* Puts the value into the field of p->key in p->base, or notes what is wrong with it. */
void config_take(struct config_parser *p, const char *value);

/* One item of a list type: the same. */
void config_take_item(struct config_parser *p, void *field, const char *item);
bool config_take_url(struct config_parser *p, struct config_url *url, const char *text);
void config_take_pin(struct config_parser *p, struct config_pins *list, const char *item);
void config_take_proxy(struct config_parser *p, struct config_proxy *field, const char *value);
void config_take_cluster(struct config_parser *p, struct config_cluster *list, const char *item);
/* The URLs may have passwords: they are wiped. */
void config_free_cluster(struct config_cluster *list);
void config_take_upstream(struct config_parser *p, struct config_proxy *field, const char *value);
void config_free_proxy(struct config_proxy *proxy);
void config_free_relays(struct config_relays *relays);
bool config_take_public_key(struct config_parser *p, struct config_public_key *key,
                            const char *text);
/* The path as the ini means it: relative to its folder, ~ filled in. NULL: noted. */
char *config_resolve_path(struct config_parser *p, const char *value);
bool config_take_listen(struct config_parser *p, struct config_listen *listen, const char *text);
/* One line of [forward]; whether its target is a peer is looked at once all peers are known. */
void config_take_forward(struct config_parser *p, const char *listen, const char *target);
/* One line of [serve]. */
void config_take_serve(struct config_parser *p, const char *name, const char *value);
/* Its peers, once all are known. NULL, or what is wrong with the names (static). */
const char *config_resolve_serve(struct config_serve *serve, const struct config *config);
/* "peer NAME", "direct" or "refuse"; whether there is the peer is looked at later. */
bool config_take_way(struct config_parser *p, struct config_route *route, const char *value);
/* One line of [route]. */
void config_take_route(struct config_parser *p, const char *pattern, const char *value);

/* One more zeroed item at the end of a list: the new block, or NULL with an error noted. */
void *config_grow(struct config_parser *p, void *items, size_t count, size_t size, size_t max);

/* --- config_front.c --- */

/* A new [front NAME], or [front] itself for "". NULL: noted. */
struct config_front *config_add_front(struct config_parser *p, const char *name);
/* Items of its lists. */
void config_take_command(struct config_parser *p, unsigned *commands, const char *item);
void config_take_uid(struct config_parser *p, struct config_uids *uids, const char *item);
bool config_take_path_policy(struct config_parser *p, enum config_path *path, const char *value);
/* Who could connect from elsewhere must be asked who he is; no place is there twice. */
void config_check_fronts(struct config_parser *p);

/* --- config_check.c --- */

/* Sets what the next error message names; `value` is for who shows one. */
void config_point_at(struct config_parser *p, unsigned line, const char *key, const char *format,
                     const char *name);

/* Fills in defaults, and checks what concerns more than one value. */
void config_check(struct config_parser *p);
/* Required keys of the section that ends here. */
void config_check_section(struct config_parser *p);

#endif
