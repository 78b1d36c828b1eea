/* Texts of a configuration: parsed as a good file is, or refused with the message expected. The
 * host's part is always the same, so that defaults are known.
 */
#ifndef TESTS_SUPPORT_CONFIG_TEXT_H
#define TESTS_SUPPORT_CONFIG_TEXT_H

#include "policy/config.h"

/* The bytes 0 to 31 and 32 to 63. */
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define PEER_A "[peer home]\nkey = " KEY_A "\n"

extern const struct config_env config_text_env;

/* The text, read from /etc/adit/adit.ini, has no error. The caller frees the config. */
struct config *config_text_parse(const char *text);

/* The text, read from f.ini, has exactly one error, and its message is this. */
void config_text_refuse(const char *text, const char *message);

/* The same, but only a part of the message is looked for. */
void config_text_refuse_part(const char *text, const char *part);

/* The whole file, ended with a NUL; the caller frees it. Fails the test if there is none. */
char *config_text_read(const char *path);

#endif
