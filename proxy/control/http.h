/* HTTP/1.1 as the control socket needs it: one message in, one out, then close (RFC 9112).
 *
 * Knows the HTTP parser library, as does proto/httpmsg.h.
 */
#ifndef CONTROL_HTTP_H
#define CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CONTROL_HEAD_MAX = 8192, /* bytes of a request */
    CONTROL_PATH_MAX = 511,  /* a unix socket and a target */
    CONTROL_ANSWER_HEAD_MAX = 256,
};

enum control_progress {
    CONTROL_MORE, /* not complete yet */
    CONTROL_COMPLETE,
    CONTROL_BAD,
};

struct control_request {
    bool get; /* else some other method */
    char path[CONTROL_PATH_MAX + 1];
};

/* Reads the request out of all bytes received so far. */
enum control_progress control_parse_request(struct control_request *r, const char *data,
                                            size_t len);

/* The head of an answer with a body of `body_len`; returns its length. */
size_t control_answer_head(char out[CONTROL_ANSWER_HEAD_MAX], unsigned status, const char *type,
                           size_t body_len);

struct control_answer {
    unsigned status;
    const char *body; /* inside `data` */
    size_t body_len;
};

/* The same for an answer, at the asking end; `eof` = no more bytes will come. */
enum control_progress control_parse_answer(struct control_answer *a, const char *data, size_t len,
                                           bool eof);

#endif
