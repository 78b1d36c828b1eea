/* Why a stream could not be opened or has ended: one table, the same numbers on the wire (RESET
 * and STOP frames), in `adit status` and in the log. The front turns them into SOCKS replies.
 */
#ifndef ADIT_CAUSE_H
#define ADIT_CAUSE_H

#include <stdint.h>

#define CAUSE_TABLE(X)                                                                             \
    X(NONE, none, 0, "ended")                                                                      \
    X(FAILED, failed, 1, "failed for a reason not named here")                                     \
    X(NOT_ALLOWED, not_allowed, 2, "not allowed by the node that would dial")                      \
    X(NET_UNREACHABLE, net_unreachable, 3, "network unreachable from the exit")                    \
    X(HOST_UNREACHABLE, host_unreachable, 4, "host unreachable from the exit")                     \
    X(REFUSED, refused, 5, "connection refused by the target")                                     \
    X(TIMED_OUT, timed_out, 6, "connecting to the target timed out")                               \
    X(NAME_NOT_FOUND, name_not_found, 7, "the exit could not resolve the name")                    \
    X(BAD_TARGET, bad_target, 8, "the target is not one the exit understands")                     \
    X(TARGET_RESET, target_reset, 9, "the target reset the connection")                            \
    X(CANCELLED, cancelled, 10, "the application went away")                                       \
    X(LIMIT, limit, 11, "a limit of the exit is reached")                                          \
    X(PEER_UNREACHABLE, peer_unreachable, 16, "no path to the peer")                               \
    X(PEER_RESTARTED, peer_restarted, 17, "the peer was restarted")                                \
    X(PEER_CLOSED, peer_closed, 18, "the peer shut down")                                          \
    X(PEER_LOST, peer_lost, 19, "the peer was silent for longer than resume_timeout")              \
    X(PROTOCOL, protocol, 20, "the peer broke the protocol")                                       \
    X(REFUSED_BY_ROUTE, refused_by_route, 32, "refused by a route of the front")                   \
    X(UNKNOWN_PEER, unknown_peer, 33, "no such peer in the configuration")                         \
    X(UNKNOWN_WISH, unknown_wish, 36, "the user name asks for an exit or a path that there is not")

enum cause {
#define CAUSE_ENUM(upper, lower, number, text) CAUSE_##upper = (number),
    CAUSE_TABLE(CAUSE_ENUM)
#undef CAUSE_ENUM
};

/* Lower-case name for JSON ("not_allowed") and a sentence. A number that is not in the table, as
 * a newer peer may send it, reads as "failed". */
const char *cause_name(uint64_t cause);
const char *cause_text(uint64_t cause);

#endif
