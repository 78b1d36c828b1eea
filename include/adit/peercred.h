/* Who is at the other end of a unix socket, as the system saw it when that end was connected. */
#ifndef ADIT_PEERCRED_H
#define ADIT_PEERCRED_H

#include <stdint.h>

/* 0, or -errno (-ENOTSUP where the system does not tell). */
int peercred_uid(int fd, uint32_t *uid);

#endif
