/* Writing secret keys. */
#ifndef CLI_KEYFILE_H
#define CLI_KEYFILE_H

#include <adit/key.h>

#include <stdbool.h>

/* Makes a fresh secret key, writes it with mode 0600, gives its public key as text. An existing
 * file is not touched. An exit code, with a message if it is not 0. */
int keyfile_create(const char *file, char public_text[ADIT_KEY_TEXT_MAX]);
/* The public key of the secret in a file. */
int keyfile_public(const char *file, char public_text[ADIT_KEY_TEXT_MAX]);

/* True if there is something with that name. */
bool keyfile_exists(const char *file);
/* Writes any small file, making its folder. An exit code, with a message if it is not 0. */
int keyfile_write(const char *file, const char *text, unsigned mode);

#endif
