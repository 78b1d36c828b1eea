/* HyStart++ (RFC 9406): leaves initial slow start when the round-trip time begins to grow.
 *
 * A rise of the round's least RTT over the round before leads into conservative slow start (CSS),
 * which grows at a quarter of the speed; if the rise was noise, slow start goes on, else it ends
 * after five rounds. Used in the first slow start of a path only (4.3). L is unlimited, as
 * sending is paced. RTT samples are taken raw, with the peer's delay in them.
 */
#ifndef TRANSPORT_HYSTART_H
#define TRANSPORT_HYSTART_H

#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>

/* RFC 9406 4.3 */
#define HYSTART_MIN_RTT_THRESH_NS (4 * NS_PER_MS)
#define HYSTART_MAX_RTT_THRESH_NS (16 * NS_PER_MS)
enum {
    HYSTART_MIN_RTT_DIVISOR = 8,
    HYSTART_N_RTT_SAMPLE = 8,
    HYSTART_CSS_GROWTH_DIVISOR = 4,
    HYSTART_CSS_ROUNDS = 5,
};

struct hystart {
    uint64_t round_end;       /* the acknowledgement of this packet number ends the round */
    uint64_t last_min_rtt;    /* TIME_NEVER = none */
    uint64_t current_min_rtt; /* TIME_NEVER = none */
    uint64_t css_baseline;
    uint64_t sampled_ns; /* when the last sample came */
    uint32_t samples;    /* in this round */
    uint32_t css_rounds; /* ended since CSS began, the one in which it began included */
    bool begun;          /* round_end is known */
    bool in_css;
    bool done;
};

void hystart_init(struct hystart *h);
/* An RTT sample taken at `now`; samples of the same instant count as one. */
void hystart_sample(struct hystart *h, uint64_t rtt_ns, uint64_t now);
/* `number` was acknowledged and `last_sent` is the newest packet out. True if slow start is over.
 */
bool hystart_acked(struct hystart *h, uint64_t number, uint64_t last_sent);
/* By how much the window grows for so many acknowledged bytes. */
size_t hystart_growth(const struct hystart *h, size_t bytes);
/* Loss ends it. */
void hystart_stop(struct hystart *h);

#endif
