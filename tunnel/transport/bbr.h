/* BBR, version 3: draft-ietf-ccwg-bbr. The parts that cc_bbr.c puts behind cc.h.
 *
 *   bbr_model.c   what the path is: bandwidth, least round trip, what fits into it, what loss says
 *   bbr_state.c   what is tried next: filling, draining, cruising, probing
 *   cc_bbr.c      window and pace that follow from both
 *
 *   STARTUP --bandwidth grows no more, or loss with a queue--> DRAIN --queue gone--> DOWN
 *   DOWN --room left for others--> CRUISE --2..3 s, or 63 round trips--> REFILL --a round--> UP
 *   UP --bandwidth grows no more, or loss--> DOWN
 *   any --no least round trip seen for 5 s--> PROBE_RTT --200 ms, or 100 round trips--> CRUISE, or
 *                                                                                 STARTUP again
 *
 * Where this differs from the draft: it takes loss for a sign of too much in flight only
 * where the round trip says that a queue stands (BBR_QUEUE_*), or where so much is lost that
 * nothing else explains it. Radio links and bad cables lose a per cent or five whatever one sends;
 * to the letter the draft gives way at two. The loss that the path has while no queue stands is
 * learnt, added to the draft's threshold, and made up for in the pace. Where a queue stands
 * although this sender cruises, others made it: then it probes half as often, holds less in flight
 * and gives up a tenth at a loss, which leaves CUBIC its half. A probe ends when a queue stands and
 * three rounds brought no more, even if the window stopped it; the queue is emptied at three
 * quarters of the rate, not nine tenths: who asks for something small meanwhile waits behind it.
 *
 * Bandwidth in bytes per second, times in ns, gains in 1/256.
 */
#ifndef TRANSPORT_BBR_H
#define TRANSPORT_BBR_H

#include <base/clock.h>

#include <stdbool.h>

#include "transport/rate.h"

#define BBR_UNLIMITED UINT64_MAX
#define BBR_GAIN(percent) ((uint32_t)((percent)*256 / 100))

enum {
    BBR_LOSS_PERMILLE = 20,        /* LossThresh */
    BBR_LOSS_ALONE_PERMILLE = 180, /* without a queue */
    BBR_BASELINE_MAX_PERMILLE = 100,
    BBR_LOSSY_PERMILLE = 5, /* a path that loses so much by itself */
    BBR_BETA_PERCENT = 70,
    BBR_HEADROOM_PERCENT = 15,
    BBR_MIN_PIPE_PACKETS = 4,
    BBR_FULL_LOSS_EVENTS = 6, /* StartupFullLossCnt */
    BBR_FULL_BW_ROUNDS = 3,
    BBR_RENO_ROUNDS = 63,
    BBR_DOWN_ROUNDS_MAX = 6,
    BBR_SETTLE_ROUNDS = 3,
    BBR_DOUBT_ROUNDS = 4, /* to the first probe after a startup that made no queue */
    BBR_QUIET_ROUNDS = 8,
    /* while others' packets stand in the queue: */
    BBR_QUEUE_GAIN = 150,   /* per cent in flight when cruising */
    BBR_QUEUE_PATIENCE = 2, /* times as long between probes: CUBIC needs seconds to come back */
    BBR_YIELD_PERCENT = 90, /* of what was delivered, after loss */
    BBR_AGGREGATION_ROUNDS = 10,
};
#define BBR_MIN_RTT_FILTER_NS (10 * NS_PER_S)
#define BBR_PROBE_RTT_EVERY_NS (5 * NS_PER_S)
#define BBR_PROBE_RTT_NS (200 * NS_PER_MS)
/* The draft's 200 ms let several senders look at once. On a path of a tenth of a millisecond that
 * would be thousands of round trips with a third of the rate: so many are enough. */
#define BBR_PROBE_RTT_ROUNDS 100
#define BBR_PROBE_RTT_LEAST_NS (10 * NS_PER_MS)
/* Before probing for bandwidth, and up to so much longer, by chance. */
#define BBR_WAIT_NS (2 * NS_PER_S)
#define BBR_WAIT_MORE_NS NS_PER_S
/* A queue stands if a whole round was slower by so much, and by this part of the least one. */
#define BBR_QUEUE_NS (1 * NS_PER_MS)
#define BBR_QUEUE_SHARE 16

enum bbr_state {
    BBR_STARTUP,
    BBR_DRAIN,
    BBR_DOWN,
    BBR_CRUISE,
    BBR_REFILL,
    BBR_UP,
    BBR_PROBE_RTT,
};

/* What the acknowledgements that come in now tell about. */
enum bbr_acks {
    BBR_ACKS_OTHER,
    BBR_ACKS_STARTING, /* still of packets from before the probe */
    BBR_ACKS_FEEDBACK,
    BBR_ACKS_STOPPING,
};

/* The model before loss changed it. */
struct bbr_undo {
    bool valid;
    uint64_t sent_ns; /* of the first packet that was lost since */
    uint64_t lost;    /* packets lost since, and not found after all */
    uint8_t state;    /* enum bbr_state */
    uint64_t bw_lo, inflight_lo, inflight_hi;
};

struct bbr {
    uint8_t state; /* enum bbr_state */
    uint8_t acks;  /* enum bbr_acks */
    size_t mtu;
    uint64_t entropy;

    /* round trips, counted by delivered bytes */
    uint64_t round_end;
    uint64_t rounds;
    bool round_start;

    /* bandwidth */
    uint64_t max_bw[2]; /* of the last probing cycle, and of this one */
    uint64_t bw_lo;     /* BBR_UNLIMITED, or what loss has brought it down to */
    uint64_t bw;        /* the least of all */
    uint64_t bw_latest; /* of the round that runs */

    /* bytes in flight */
    uint64_t inflight_hi; /* as much as loss allowed when it was probed for */
    uint64_t inflight_lo;
    uint64_t inflight_latest;

    /* has the bandwidth stopped growing? */
    uint64_t full_bw;
    uint32_t full_bw_rounds;
    bool full_bw_now;
    bool full_bw_reached;
    bool in_doubt; /* an outage may have ended startup: the first probe comes soon */

    /* round-trip time */
    uint64_t min_rtt; /* TIME_NEVER = none yet */
    uint64_t min_rtt_at;
    uint64_t probe_rtt_min;
    uint64_t probe_rtt_at;
    uint64_t probe_rtt_done_ns; /* 0 = the window has not come down yet */
    bool probe_rtt_expired;
    bool probe_rtt_round_done;
    uint64_t round_rtt;      /* least of the round that runs; TIME_NEVER */
    uint64_t last_round_rtt; /* of the one before */

    /* loss */
    uint64_t loss_round_end;
    bool loss_round_start;
    bool loss_in_round;
    uint32_t loss_events;     /* acknowledgements that brought loss, in the round that runs */
    uint64_t round_lost;      /* bytes, in the round that runs */
    uint64_t round_delivered; /* delivered in all when it began */
    uint32_t last_lost;       /* permille, in the round before */
    uint32_t last_events;
    uint64_t baseline; /* 1/1024 permille: lost while no queue stands */

    /* the cycle of PROBE_BW */
    uint64_t cycle_ns; /* when the state began */
    uint64_t wait_ns;
    uint64_t probed_round; /* when it last probed */
    uint64_t state_round;  /* when the state began */
    uint64_t quiet_rounds; /* without a queue */
    bool forgets;          /* the bandwidth of long ago, in this cruise */
    bool probing;          /* losses now tell about the probe */
    uint32_t up_rounds;
    uint64_t up_bytes; /* acknowledged bytes that raise inflight_hi by a packet */
    uint64_t up_acked;
    uint64_t window_full; /* the window was used up by packets before this much is delivered */

    /* acknowledgements that come in lumps */
    uint64_t extra[2]; /* most of the last rounds, and of these */
    uint64_t extra_round;
    uint64_t extra_from_ns;
    uint64_t extra_delivered;

    uint64_t prior_cwnd; /* before PROBE_RTT */
    bool idle_restart;
    struct bbr_undo undo;
};

void bbr_init(struct bbr *b, size_t mtu);

/* --- the model --- */

static inline uint64_t bbr_max_bw(const struct bbr *b)
{
    return b->max_bw[0] > b->max_bw[1] ? b->max_bw[0] : b->max_bw[1];
}

/* Bytes that fit into the path at this bandwidth, times a gain. */
uint64_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain);
/* What one wants in flight: bbr_bdp, and what timers and batches need. */
uint64_t bbr_inflight(const struct bbr *b, uint64_t bw, uint32_t gain);
uint64_t bbr_min_pipe(const struct bbr *b);
/* inflight_hi less what is left to others. */
uint64_t bbr_with_headroom(const struct bbr *b);
/* What a cruise may have in flight: bbr_with_headroom. But where the path loses packets by itself,
 * these may have set inflight_hi too low; as long as no queue stands it may then be as much as
 * fits, and what is lost and not missed yet. */
uint64_t bbr_cruise_limit(const struct bbr *b);
uint64_t bbr_extra(const struct bbr *b);
/* A whole round trip was slower than the path is. */
bool bbr_has_queue(const struct bbr *b);
/* The last one that is over was. */
bool bbr_had_queue(const struct bbr *b);
/* A queue stands that it made: more was in flight than fits. Then a sample says that the path gives
 * no more, whatever held the sender back: the peer's credit, the application, or its own window. */
bool bbr_is_overfull(const struct bbr *b, const struct rate_sample *rs);
/* Permille of loss beyond which there is too much in flight. */
uint32_t bbr_loss_limit(const struct bbr *b);
bool bbr_is_too_much(const struct bbr *b, uint64_t lost, uint64_t in_flight);

/* One acknowledgement: rounds, bandwidth, loss of the round, aggregation. */
void bbr_model_update(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd, uint64_t now);
/* After the states have had their say. */
void bbr_model_advance(struct bbr *b, const struct rate_sample *rs);
/* The least round trip; sets probe_rtt_expired. */
void bbr_update_min_rtt(struct bbr *b, const struct rate_sample *rs, uint64_t now);
void bbr_reset_full_bw(struct bbr *b);
void bbr_reset_lower(struct bbr *b);
/* A loss: keeps what it may change, begins a round of loss. */
void bbr_note_loss(struct bbr *b, uint64_t delivered, uint64_t bytes, uint64_t sent_ns);

/* --- the states --- */

uint32_t bbr_pacing_gain(const struct bbr *b);
uint32_t bbr_cwnd_gain(const struct bbr *b);
/* The window in PROBE_RTT. */
uint64_t bbr_probe_rtt_window(const struct bbr *b);
static inline bool bbr_is_probing_bw(const struct bbr *b)
{
    return b->state >= BBR_DOWN && b->state <= BBR_UP;
}
/* Moves on to whatever is due. */
void bbr_state_update(struct bbr *b, const struct rate_sample *rs, uint64_t *cwnd, uint64_t now);
/* Loss showed that `in_flight` was too much. */
void bbr_on_too_much(struct bbr *b, uint64_t in_flight, bool limited, uint64_t delivered,
                     uint64_t now);
/* Sending begins again after silence. */
void bbr_on_restart(struct bbr *b, uint64_t *cwnd, uint64_t delivered, uint64_t now);
/* A packet that bbr_note_loss was told of came after all: if that holds for all of them, what they
 * changed is taken back. */
void bbr_on_spurious(struct bbr *b, uint64_t sent_ns, uint64_t delivered, uint64_t now);

#endif
