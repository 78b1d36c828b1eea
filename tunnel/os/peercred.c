#define _GNU_SOURCE /* struct ucred; getpeereid elsewhere */
#include <adit/peercred.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef SO_PEERCRED
int peercred_uid(int fd, uint32_t *uid)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
        return -errno;
    }
    *uid = cred.uid;
    return 0;
}
#else
int peercred_uid(int fd, uint32_t *uid)
{
    uid_t user;
    gid_t group;
    if (getpeereid(fd, &user, &group) != 0) {
        return -errno;
    }
    *uid = user;
    return 0;
}
#endif
