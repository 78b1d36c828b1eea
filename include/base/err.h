/* One table of error codes: what a function of ours returns when it cannot do as asked.
 *
 * Functions return 0 or a count on success and one of these, which are negative, on failure.
 * System calls' and libuv's errors stay what they are (-errno); the ranges do not meet.
 * "Again" and "not mine" are not errors and have no code here.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_TABLE(X)                                                                               \
    X(MALFORMED, -20001, "malformed input")                                                        \
    X(TRUNCATED, -20002, "input ends too early")                                                   \
    X(TOO_LARGE, -20003, "larger than the limit")                                                  \
    X(NO_ROOM, -20004, "a table or buffer has reached its ceiling")                                \
    X(NO_MEMORY, -20005, "out of memory")                                                          \
    X(NOT_FOUND, -20006, "no such thing")                                                          \
    X(CRYPTO, -20007, "authentication failed")                                                     \
    X(REPLAY, -20008, "seen before")                                                               \
    X(STATE, -20009, "not possible in this state")                                                 \
    X(VERSION, -20010, "version not supported")                                                    \
    X(FLOW_CONTROL, -20011, "peer sent more than its credit")                                      \
    X(STREAM_LIMIT, -20012, "peer opened more streams than allowed")                               \
    X(PROTOCOL, -20013, "peer broke the protocol")                                                 \
    X(REFUSED, -20014, "refused by policy")                                                        \
    X(CLOSED, -20015, "already closed")                                                            \
    X(EXISTS, -20016, "exists already")

enum err {
#define ERR_ENUM(name, code, text) ERR_##name = (code),
    ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
};

/* Name ("NO_MEMORY") and a sentence; both static, never NULL. */
const char *err_name(int err);
const char *err_text(int err);

#endif
