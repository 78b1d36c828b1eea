/* Holds off addresses that guess passwords.
 *
 * The first few wrong ones of an address cost nothing; then nothing it says is looked at for a
 * second, and twice as long each time after, up to a minute. A right password forgives all. An
 * IPv6 address stands for its /64, since one machine has as many as it likes in there.
 *
 * A table of fixed size: when it is full, the one that failed longest ago makes room.
 */
#ifndef POLICY_BACKOFF_H
#define POLICY_BACKOFF_H

#include <base/addr.h>
#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BACKOFF_ADDRS = 256,
    BACKOFF_FREE = 5, /* wrong passwords in a row that cost nothing */
};

#define BACKOFF_MIN NS_PER_S
#define BACKOFF_MAX (60 * NS_PER_S)

struct backoff {
    struct {
        struct addr addr;
        unsigned failures;
        uint64_t last, until;
    } items[BACKOFF_ADDRS];
    size_t count;
};

void backoff_init(struct backoff *b);
/* Is the address held off? */
bool backoff_holds(const struct backoff *b, const struct addr *addr, uint64_t now);
void backoff_wrong(struct backoff *b, const struct addr *addr, uint64_t now);
void backoff_right(struct backoff *b, const struct addr *addr);

#endif
