/* Reads what a node needs from disk. What is wrong is written to `errors` for people; the result
 * is an exit code (sysexits.h), 0 if all is well. */
#ifndef APP_LOAD_H
#define APP_LOAD_H

#include "app/app.h"
#include "policy/auth.h"
#include "policy/config.h"

#include <stdint.h>
#include <stdio.h>

/* EX_NOINPUT: not readable; EX_CONFIG: every error as "FILE:LINE: ..."; EX_NOPERM: there is a
 * password in it, and everybody may read it. *out is NULL then. */
int load_config(const char *file, FILE *errors, struct config **out);
/* The same for text that is, or could become, the contents of `file`. */
int load_config_text(const char *file, const char *text, size_t len, FILE *errors,
                     struct config **out);
/* A file with one key as text. EX_NOINPUT: not readable; EX_NOPERM: others may read it;
 * EX_CONFIG: no key in it. `why` stands before what is wrong; "" = nothing. */
int load_secret(const char *file, const char *why, FILE *errors, uint8_t out[ADIT_KEY_LEN]);
/* The same for a file that the ini names: errors begin with "INI:LINE: [section] key: ". */
int load_key_file(const struct config_key_file *file, const char *ini, const char *what,
                  FILE *errors, uint8_t out[ADIT_KEY_LEN]);

struct loaded {
    struct config *config;
    struct app_secrets secrets;
    uint8_t (*psks)[ADIT_KEY_LEN];
    struct auth *users; /* one for each [front] */
};

/* Configuration, the node's key, all pre-shared keys, the users of the front. */
int load_node(const char *file, FILE *errors, struct loaded *out);
/* Wipes and frees; fine after a failure too. */
void load_free(struct loaded *l);

#endif
