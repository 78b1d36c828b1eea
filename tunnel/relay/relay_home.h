/* Which of its own relays is a node's home: the one that answers it fastest.
 *
 * A node listens on all of them, so this costs no reconnecting; it is what the relays are told
 * (NotePreferred) and what the user sees. The home stays as it is while it is up, unless another
 * one has been clearly faster (by a third, and by 5 ms) for RELAY_HOME_HOLD_NS; in the first
 * seconds, while round trips are being measured, that takes no time. A home that goes down is left
 * at once, and is returned to by the same rule.
 *
 * A core: the owner says what it knows of each relay, then chooses.
 */
#ifndef RELAY_RELAY_HOME_H
#define RELAY_RELAY_HOME_H

#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_HOME_HOLD_NS (30 * NS_PER_S)
#define RELAY_HOME_EARLY_NS (5 * NS_PER_S) /* after the first relay came up */
#define RELAY_HOME_LEAST_NS (5 * NS_PER_MS)

enum { RELAY_HOME_MAX = 16, RELAY_HOME_NONE = RELAY_HOME_MAX };

struct relay_home {
    struct {
        bool up;
        uint64_t rtt_ns; /* 0 = not measured */
    } relays[RELAY_HOME_MAX];
    size_t home;       /* or RELAY_HOME_NONE */
    size_t rival;      /* is clearly faster, or RELAY_HOME_NONE */
    uint64_t rival_ns; /* since when */
    uint64_t first_ns; /* when there was a home for the first time; TIME_NEVER = never */
    uint64_t moves;
};

void relay_home_init(struct relay_home *h);
void relay_home_note(struct relay_home *h, size_t relay, bool up, uint64_t rtt_ns);
/* Chooses anew; true if the home is another one, or none, now. */
bool relay_home_choose(struct relay_home *h, uint64_t now);
/* When the choice may change by itself. */
uint64_t relay_home_next_ns(const struct relay_home *h);

#endif
