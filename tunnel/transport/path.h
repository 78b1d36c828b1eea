/* One path of ours to send on: its round trip, congestion window, pace and packets in flight. */
#ifndef TRANSPORT_PATH_H
#define TRANSPORT_PATH_H

#include "transport/cc.h"
#include "transport/loss.h"
#include "transport/pacer.h"
#include "transport/pmtud.h"
#include "transport/rtt.h"
#include "transport/sentmap.h"
#include "transport/skip.h"

/* Silence that makes a path suspect: so many timeouts, and so long. On a short path two timeouts
 * pass in less time than a busy machine may keep a process waiting for the processor. */
enum { PATH_SUSPECT_PTOS = 2 };
#define PATH_SUSPECT_NS (150 * NS_PER_MS)
/* The same for who goes on sending, which keeps the timeouts from coming: so many of them long. */
enum { PATH_SILENCE_PTOS = 2 };

struct path {
    bool open;
    bool blocked; /* the caller cannot take a packet for it now */
    bool suspect; /* said so since the last acknowledgement */
    size_t mtu;   /* pmtud.size */
    struct pmtud pmtud;
    struct rtt rtt;
    struct cc cc;
    struct pacer pacer;
    struct sentmap sent;
    struct skip skip;
    struct loss loss;
    struct rate rate;
    uint64_t in_flight;   /* bytes of ack-eliciting packets, neither acknowledged nor lost */
    uint32_t probes;      /* to be sent whatever the window says */
    uint64_t limited_end; /* packets below left while there was window to spare */
    uint64_t hold_ns;     /* out of memory: nothing before this */
    uint64_t flight_ns;   /* since when something is in flight without a break */
    uint64_t silent_ns;   /* what was sent then was the first to go unanswered */
    uint64_t last_acked_ns;
    uint64_t acked_sent_ns; /* of the packets that are acknowledged, when the last one left */
    uint64_t last_elicited_ns;
    uint64_t packets_sent;
    uint64_t packets_lost;
    uint64_t bytes_sent;
    uint64_t packets_received; /* of the peer's path that is answered here */
};

void path_init(struct path *p);
void path_deinit(struct path *p);
/* A fresh start; packet numbers go on. */
void path_open(struct path *p, const struct cc_ops *congestion, size_t mtu, uint64_t now);
void path_close(struct path *p);
/* The path is used again after it was suspect, and nothing is in flight: what was not answered then
 * counts no more. */
void path_restore(struct path *p, uint64_t now);

/* The path MTU search came to another size. */
void path_update_mtu(struct path *p);

/* Window and pace let a full packet leave now. */
bool path_has_room(const struct path *p);
bool path_can_send(const struct path *p, uint64_t now);

/* The packet built in p->sent leaves. Returns its number. */
uint64_t path_on_sent(struct path *p, size_t bytes, bool eliciting, uint64_t now);
/* A packet is no longer in flight, for the reason in `to`. */
void path_settle(struct path *p, struct sent_packet *packet, enum sent_state to);
/* Leaves the next number out if it is time to, and if there is room to note that. */
void path_skip_number(struct path *p, struct rng rng, uint64_t now);

/* Forgets packets of which nothing more will be heard: of those that are settled, or that nobody
 * acknowledges, an acknowledgement may come late for three probe timeouts. */
void path_trim(struct path *p, uint64_t max_ack_delay_ns, uint64_t now);

/* Tells the congestion control of one packet that was lost, or of one that came after all. */
void path_on_lost(struct path *p, uint64_t number, const struct sent_packet *packet, uint64_t now);
void path_on_spurious(struct path *p, uint64_t number, const struct sent_packet *packet,
                      uint64_t now);
/* ... and of an acknowledgement, after all of its packets. */
void path_on_acks(struct path *p, uint64_t now);

/* Was the window not used up when the packet left (RFC 9002 7.8)? `in_flight`: before the
 * acknowledgement that settles it. */
bool path_was_limited(const struct path *p, uint64_t number, uint64_t in_flight);
void path_update_pace(struct path *p, uint64_t now);

/* Probe timeout before back-off; and the next deadline of loss detection or probe. */
uint64_t path_pto(const struct path *p, uint64_t max_ack_delay_ns);
uint64_t path_deadline(const struct path *p, uint64_t max_ack_delay_ns);
/* When the path is suspect because nothing was acknowledged for long, whatever is sent meanwhile.
 */
uint64_t path_silence(const struct path *p, uint64_t max_ack_delay_ns);

#endif
