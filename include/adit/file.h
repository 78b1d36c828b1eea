/* Small files: keys, state, configuration. Errors are negative system errors (-errno). */
#ifndef ADIT_FILE_H
#define ADIT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The whole file, with a '\0' behind it, in memory of mem_new (the caller frees it).
 * -EFBIG if it is longer than `max`. */
int file_read_all(const char *path, size_t max, char **out, size_t *len);
/* Writes to a temporary file beside it, syncs and renames: old or new, never half. */
int file_write_atomic(const char *path, const void *data, size_t len, unsigned mode);
/* True if neither group nor others can read it. */
bool file_is_private(const char *path);
/* Makes the folder and those above it. */
int file_make_dirs(const char *path, unsigned mode);

#endif
