/* Small files as a whole: configuration, keys, state. Every error is -errno. Blocking. */
#ifndef ADIT_FILE_H
#define ADIT_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Reads the whole file, up to `max` bytes (-EFBIG above). *out is the caller's to mem_free; a NUL
 * that `len` does not count stands behind the last byte, so that text can be used as it is. No
 * other copy of the contents stays in memory (the file may be a key); wiping *out is the caller's.
 * 0 or -errno, *out untouched on failure. */
int file_read_all(const char *path, size_t max, char **out, size_t *len);

/* Replaces the file or makes it: readers, and a machine that loses power, see the old contents or
 * the new, never half. `mode` is set exactly, whatever the umask. A symbolic link stays one: what
 * it points to is replaced. 0 or -errno, the old file untouched on failure. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode);

/* 1 if neither group nor others have any right to the file (as a secret key wants it), 0 if they
 * have, -errno if it cannot be examined. */
int file_mode_private(const char *path);
/* The same, but a group may read it. */
int file_mode_closed(const char *path);

/* Waits until no other process holds the directory locked in this way, and locks it: the descriptor
 * of the lock, or -errno. It ends with file_unlock, or the process. Directories, since files that
 * are replaced as a whole cannot hold a lock. */
int file_lock(const char *directory);
/* Negative: there is none. */
void file_unlock(int lock);

/* Makes the directory and the missing ones above it, all with `mode` (less the umask). Existing
 * ones are left as they are. 0 or -errno (-ENOTDIR: something else has the name). */
int file_make_dirs(const char *path, mode_t mode);

#endif
