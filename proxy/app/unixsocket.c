#include "app/unixsocket.h"

#include "policy/config.h"

#include <adit/file.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool somebody_answers(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return yes;
}

/* Only a socket is removed: a wrong path must not cost somebody a file. */
static int make_way(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return 0;
    }
    if (!S_ISSOCK(st.st_mode) || somebody_answers(path)) {
        return UV_EADDRINUSE;
    }
    return unlink(path) == 0 ? 0 : -errno;
}

static int make_folder(const char *path, bool guests)
{
    char folder[CONFIG_SOCKET_PATH_MAX + 1];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder) {
        return 0;
    }
    *slash = '\0';
    return file_make_dirs(folder, guests ? 0711 : 0700);
}

int unixsocket_bind(uv_pipe_t *pipe, const char *path, bool guests)
{
    int status = make_folder(path, guests);
    if (status == 0) {
        status = make_way(path);
    }
    if (status == 0) {
        mode_t before = umask(guests ? 0111 : 0177); /* right from the first moment on */
        status = uv_pipe_bind(pipe, path);
        (void)umask(before);
    }
    return status;
}
