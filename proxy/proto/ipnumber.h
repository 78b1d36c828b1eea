/* IPv4 addresses in the spellings that resolvers take besides four decimal numbers: "127.1",
 * "2130706433", "0x7f.0.0.1", "0177.0.0.1" (inet_aton of BSD; the "IPv4 parser" of the WHATWG URL
 * standard). Policy has to see the address and not a name that a resolver turns into one.
 */
#ifndef PROTO_IPNUMBER_H
#define PROTO_IPNUMBER_H

#include <base/addr.h>

#include <stdbool.h>

/* The last label is a number: it is such an address, or nothing. */
bool ipnumber_is_meant(const char *name);
/* One to four numbers, decimal, octal (0...) or hexadecimal (0x...), the last of which fills the
 * bytes that are left. 0 or ERR_MALFORMED; *out untouched on failure, its port becomes 0. */
int ipnumber_parse(struct addr *out, const char *name);

#endif
