/* Host names and ports as the ini spells them; shared by config, acl and route. */
#ifndef POLICY_HOST_H
#define POLICY_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOST_NAME_MAX_LEN = 255 };

/* Letters, digits, '-', '_' and '.'; no empty label; one trailing dot is dropped. A last label of
 * digits only is refused: it is an address with a typing mistake. Lower case into `out`.
 * False (and *out untouched) if it is no name. */
bool host_set_name(char out[HOST_NAME_MAX_LEN + 1], const char *text, size_t len);

/* 0..65535 in decimal, or -1. */
int host_parse_port(const char *text, size_t len);
/* "PORT" or "PORT-PORT", from 1 to 65535. */
bool host_parse_ports(const char *text, uint16_t *low, uint16_t *high);

/* Takes "HOST", "HOST:PORTS", "[v6]" and "[v6]:PORTS" apart: *ports is NULL if there are none. Text
 * with two colons and no brackets is an IPv6 address or prefix without ports. False: a [ without
 * its ]. */
bool host_split_ports(const char *text, const char **host, size_t *len, const char **ports);

/* "HOST", "HOST:PORT", "[IPv6]:PORT": a name in lower case, or an IP without brackets, into `out`;
 * *port stays as it is when there is none. False if it is nothing of that. */
bool host_split(char out[HOST_NAME_MAX_LEN + 1], uint16_t *port, const char *text, size_t len);

/* "a.corp.example" and "corp.example" are in "corp.example", "xcorp.example" is not. Both in lower
 * case; an empty suffix holds nothing. */
bool host_is_in(const char *name, const char *suffix);

#endif
