/* The exit's side of flows: what peers send beside a stream with the target "udp" leaves here, as
 * far as their `allow` says so for each datagram's target.
 */
#ifndef APP_EXIT_FLOW_H
#define APP_EXIT_FLOW_H

#include "app/context.h"
#include "session/quota.h"

#include <sys/queue.h>

struct exit_flow;

struct exit_flows {
    struct context *ctx;
    size_t count;
    uv_timer_t *timer; /* while there are any */
    LIST_HEAD(, exit_flow) list;
};

void exit_flows_init(struct exit_flows *f, struct context *ctx);
/* Takes the stream over, as one of the streams and one of the flows that the peer may have; a cause
 * other than CAUSE_NONE: abort it. */
enum cause exit_flows_open(struct exit_flows *f, const struct adit_event *ev, struct quota *streams,
                           struct quota *flows);
void exit_flows_stop(struct exit_flows *f);

#endif
