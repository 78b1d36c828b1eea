#include <adit/file.h>

#include <base/mem.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

/* A path below the test's own directory; valid until the fourth call after. */
static const char *at(const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    assert_true(snprintf(path, sizeof(paths[0]), "%s/%s", root, name) < (int)sizeof(paths[0]));
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static void assert_holds(const char *path, const char *text)
{
    char *data;
    size_t len;
    assert_int_equal(file_read_all(path, 1000, &data, &len), 0);
    assert_int_equal(len, strlen(text));
    assert_string_equal(data, text);
    mem_free(data);
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir)) {
        count++;
    }
    assert_int_equal(closedir(dir), 0);
    return count - 2; /* "." and ".." */
}

static int remove_tree(const char *path)
{
    char name[512];
    DIR *dir = opendir(path);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (unlink(name) < 0) {
            (void)remove_tree(name);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return rmdir(path);
}

static int make_root(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(root, sizeof(root), "%.40s/adit-file-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    (void)state;
    return remove_tree(root);
}

static void writes_and_reads_back(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic(at("f"), "hello", 5, 0600), 0);
    assert_holds(at("f"), "hello");
    assert_int_equal(file_write_atomic(at("f"), "", 0, 0600), 0);
    assert_holds(at("f"), "");
    assert_int_equal(count_entries(root), 1); /* no temporary file stays */
}

static void reads_up_to_the_limit_and_not_past_it(void **state)
{
    (void)state;
    char *data = NULL;
    size_t len = 77;
    assert_int_equal(file_write_atomic(at("f"), "12345", 5, 0600), 0);
    assert_int_equal(file_read_all(at("f"), 4, &data, &len), -EFBIG);
    assert_int_equal(file_read_all(at("f"), 0, &data, &len), -EFBIG);
    assert_null(data);
    assert_int_equal(len, 77);
    assert_int_equal(file_read_all(at("f"), 5, &data, &len), 0);
    assert_int_equal(len, 5);
    mem_free(data);
}

/* What has no size beforehand must grow: a pipe with more than the first guess. */
static void reads_what_has_no_size(void **state)
{
    (void)state;
    enum { BYTES = 10001 };
    char text[BYTES];
    char path[32];
    char *data;
    size_t len;
    int ends[2];
    memset(text, 'x', sizeof(text));
    text[BYTES - 1] = 'y';
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, sizeof(text)), sizeof(text));
    assert_int_equal(close(ends[1]), 0);
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    assert_int_equal(file_read_all(path, 20000, &data, &len), 0);
    assert_int_equal(len, BYTES);
    assert_memory_equal(data, text, BYTES);
    mem_free(data);
    assert_int_equal(close(ends[0]), 0);
}

static void tells_what_is_missing(void **state)
{
    (void)state;
    char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_read_all(at("absent"), 10, &data, &len), -ENOENT);
    assert_int_equal(file_read_all(root, 10, &data, &len), -EISDIR);
    assert_int_equal(file_write_atomic(at("no/such"), "x", 1, 0600), -ENOENT);
    assert_int_equal(file_mode_private(at("absent")), -ENOENT);
    assert_null(data);
}

static void survives_want_of_memory(void **state)
{
    (void)state;
    char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_write_atomic(at("f"), "12345", 5, 0600), 0);
    mem_fail_after(1);
    int rc = file_read_all(at("f"), 10, &data, &len);
    mem_fail_after(0);
    assert_int_equal(rc, -ENOMEM);
    assert_null(data);
}

static void sets_the_mode_whatever_the_umask(void **state)
{
    (void)state;
    mode_t old = umask(077);
    assert_int_equal(file_write_atomic(at("f"), "x", 1, 0644), 0);
    (void)umask(0);
    assert_int_equal(file_write_atomic(at("g"), "x", 1, 0600), 0);
    (void)umask(old);
    assert_int_equal(mode_of(at("f")) & 07777, 0644);
    assert_int_equal(mode_of(at("g")) & 07777, 0600);
}

static void knows_a_private_file(void **state)
{
    (void)state;
    const mode_t open[] = {0640, 0604, 0620, 0601};
    assert_int_equal(file_write_atomic(at("f"), "x", 1, 0600), 0);
    assert_int_equal(file_mode_private(at("f")), 1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(chmod(at("f"), open[i]), 0);
        assert_int_equal(file_mode_private(at("f")), 0);
    }
}

static void knows_a_file_closed_to_the_world(void **state)
{
    (void)state;
    const mode_t open[] = {0604, 0644, 0602, 0620, 0610};
    assert_int_equal(file_write_atomic(at("f"), "x", 1, 0640), 0);
    assert_int_equal(file_mode_closed(at("f")), 1);
    assert_int_equal(chmod(at("f"), 0600), 0);
    assert_int_equal(file_mode_closed(at("f")), 1);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_int_equal(chmod(at("f"), open[i]), 0);
        assert_int_equal(file_mode_closed(at("f")), 0);
    }
    assert_int_equal(file_mode_closed(at("absent")), -ENOENT);
}

static void leaves_the_old_file_when_it_fails(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("dir"), 0700), 0);
    int rc = file_write_atomic(at("dir"), "x", 1, 0600); /* a directory cannot be replaced */
    assert_true(rc == -EISDIR || rc == -ENOTDIR || rc == -EEXIST);
    assert_true(S_ISDIR(mode_of(at("dir"))));
    assert_int_equal(count_entries(root), 1);
}

static void replaces_what_a_link_points_to(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic(at("real"), "old", 3, 0600), 0);
    assert_int_equal(symlink("real", at("link")), 0);
    assert_int_equal(file_write_atomic(at("link"), "new", 3, 0600), 0);
    assert_true(S_ISLNK(mode_of(at("link"))));
    assert_holds(at("real"), "new");
}

static void refuses_a_name_too_long(void **state)
{
    (void)state;
    char name[8192];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(file_write_atomic(name, "x", 1, 0600), -ENAMETOOLONG);
    assert_int_equal(file_make_dirs(name, 0700), -ENAMETOOLONG);
}

static void makes_missing_directories(void **state)
{
    (void)state;
    assert_int_equal(file_make_dirs(at("a//b/c/"), 0700), 0);
    assert_true(S_ISDIR(mode_of(at("a/b/c"))));
    assert_int_equal(mode_of(at("a")) & 0777, 0700);
    assert_int_equal(file_make_dirs(at("a/b/c"), 0700), 0);
    assert_int_equal(file_make_dirs(root, 0777), 0);
    assert_int_equal(mode_of(root) & 0777, 0700); /* an existing one keeps its mode */
    assert_int_equal(file_make_dirs("", 0700), -ENOENT);
}

static void refuses_a_directory_below_a_file(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic(at("f"), "x", 1, 0600), 0);
    assert_int_equal(file_make_dirs(at("f"), 0700), -ENOTDIR);
    assert_int_equal(file_make_dirs(at("f/d"), 0700), -ENOTDIR);
}

/* The second waits for the first, and goes on when that one ends. */
static void a_lock_is_held_by_one(void **state)
{
    (void)state;
    int told[2];
    char byte = 'x';
    int lock = file_lock(root);
    assert_true(lock >= 0);
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(lock);
        byte = file_lock(root) >= 0 ? 'l' : 'f';
        bool written = write(told[1], &byte, 1) == 1;
        (void)raise(SIGKILL); /* what was inherited is not its own to account for */
        _exit(written);
    }
    struct pollfd waits = {.fd = told[0], .events = POLLIN};
    assert_int_equal(poll(&waits, 1, 50), 0);
    file_unlock(lock);
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_int_equal(byte, 'l');
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(told[0]);
    (void)close(told[1]);
    assert_int_equal(file_lock(at("nothing")), -ENOENT);
    assert_int_equal(file_write_atomic(at("f"), "x", 1, 0600), 0);
    assert_int_equal(file_lock(at("f")), -ENOTDIR);
    file_unlock(-1);
}

int main(void)
{
#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, make_root, drop_root)
    const struct CMUnitTest tests[] = {
        FILE_TEST(writes_and_reads_back),
        FILE_TEST(reads_up_to_the_limit_and_not_past_it),
        FILE_TEST(reads_what_has_no_size),
        FILE_TEST(tells_what_is_missing),
        FILE_TEST(survives_want_of_memory),
        FILE_TEST(sets_the_mode_whatever_the_umask),
        FILE_TEST(knows_a_private_file),
        FILE_TEST(knows_a_file_closed_to_the_world),
        FILE_TEST(leaves_the_old_file_when_it_fails),
        FILE_TEST(replaces_what_a_link_points_to),
        FILE_TEST(refuses_a_name_too_long),
        FILE_TEST(makes_missing_directories),
        FILE_TEST(refuses_a_directory_below_a_file),
        FILE_TEST(a_lock_is_held_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
