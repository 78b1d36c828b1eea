#include <adit/file.h>

#include <base/check.h>
#include <base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* First guess for what has no size beforehand (a pipe, /proc). */
enum { READ_START = 4096 };

struct contents {
    char *data;
    size_t len;
    size_t cap; /* room without the final NUL */
};

static void contents_wipe(struct contents *c)
{
    if (c->data) {
        sodium_memzero(c->data, c->len);
        mem_free(c->data);
    }
    *c = (struct contents){0};
}

/* Not mem_resize: that would leave the old copy of a key in freed memory. */
static int contents_grow(struct contents *c, size_t cap)
{
    char *data = mem_new(1, cap + 1);
    if (!data) {
        return -ENOMEM;
    }
    size_t len = c->len;
    if (len > 0) {
        memcpy(data, c->data, len);
    }
    contents_wipe(c);
    *c = (struct contents){data, len, cap};
    return 0;
}

/* Reads to the end of the file or to max + 1 bytes, which is how "too large" shows. */
static int contents_read(struct contents *c, int fd, size_t max)
{
    for (;;) {
        if (c->len > max) {
            return -EFBIG;
        }
        if (c->len == c->cap) {
            int rc = contents_grow(c, c->cap < max / 2 ? c->cap * 2 : max + 1);
            if (rc < 0) {
                return rc;
            }
        }
        ssize_t n = read(fd, c->data + c->len, c->cap - c->len);
        if (n == 0) {
            c->data[c->len] = '\0';
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        c->len += n > 0 ? (size_t)n : 0;
    }
}

static size_t first_guess(int fd, size_t max)
{
    struct stat st;
    size_t guess = READ_START;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        guess = (size_t)st.st_size + 1; /* one more, so that the end is seen without growing */
    }
    return guess < max + 1 ? guess : max + 1;
}

int file_read_all(const char *path, size_t max, char **out, size_t *len)
{
    CHECK(max < SIZE_MAX / 2);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    struct contents c = {0};
    int rc = contents_grow(&c, first_guess(fd, max));
    if (rc == 0) {
        rc = contents_read(&c, fd, max);
    }
    (void)close(fd);
    if (rc < 0) {
        contents_wipe(&c);
        return rc;
    }
    *out = c.data;
    *len = c.len;
    return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_synced(int fd, const void *data, size_t len, mode_t mode)
{
    int rc = write_all(fd, data, len);
    if (rc < 0) {
        return rc;
    }
    /* After the contents: a mode without the owner's write bit would be no obstacle, but a file
     * that others may read must not be theirs before it is whole. */
    return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Makes the rename itself last. Not every file system can sync a directory: no error of ours. */
static void sync_directory_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof(dir)) {
        return;
    }
    memcpy(dir, path, len);
    dir[len] = '\0';
    int fd = open(len > 0 ? dir : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

static int open_temp(char *path)
{
    int fd = mkstemp(path); /* 0600 */
    if (fd >= 0) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return fd >= 0 ? fd : -errno;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode)
{
    char resolved[PATH_MAX];
    char temp[PATH_MAX];
    const char *target = realpath(path, resolved) ? resolved : path;
    int n = snprintf(temp, sizeof(temp), "%s.XXXXXX", target);
    if (n < 0 || (size_t)n >= sizeof(temp)) {
        return -ENAMETOOLONG;
    }
    int fd = open_temp(temp);
    if (fd < 0) {
        return fd;
    }
    int rc = write_synced(fd, data, len, mode);
    if (close(fd) < 0 && rc == 0) {
        rc = -errno; /* NFS tells of a full disk here */
    }
    if (rc == 0 && rename(temp, target) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)unlink(temp);
        return rc;
    }
    sync_directory_of(target);
    return 0;
}

static int has_no_right(const char *path, mode_t rights)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return -errno;
    }
    return (st.st_mode & rights) == 0;
}

int file_mode_private(const char *path)
{
    return has_no_right(path, S_IRWXG | S_IRWXO);
}

int file_mode_closed(const char *path)
{
    return has_no_right(path, S_IWGRP | S_IXGRP | S_IRWXO);
}

static int make_dir(const char *path, mode_t mode)
{
    struct stat st;
    if (mkdir(path, mode) == 0) {
        return 0;
    }
    /* EEXIST is the usual answer; a read-only or foreign parent may give another one first. */
    int error = errno;
    if (stat(path, &st) < 0) {
        return -error;
    }
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_make_dirs(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part)) {
        return len == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memcpy(part, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/' || part[i - 1] == '/') {
            continue;
        }
        part[i] = '\0';
        int rc = make_dir(part, mode);
        if (rc < 0) {
            return rc;
        }
        part[i] = '/';
    }
    return make_dir(part, mode);
}

int file_lock(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    while (flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            int err = -errno;
            (void)close(fd);
            return err;
        }
    }
    return fd;
}

void file_unlock(int lock)
{
    if (lock >= 0) {
        (void)close(lock);
    }
}
