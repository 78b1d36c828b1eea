/* One HTTP/1.x message on its way through a proxy: its head is collected, its body only followed,
 * so that one knows where it ends (RFC 9112). Never changes a byte of the body: chunks stay chunks.
 *
 *     httpmsg_head until the state is no longer HEAD -> look at the head -> httpmsg_body until DONE
 *
 * A sans-I/O machine: any split of the input gives the same result, and bytes behind the message
 * are never taken. What two readers could understand differently (two lengths, a length beside
 * chunks, bare carriage returns, folded lines) is an error: that is how requests are smuggled.
 *
 * httpmsg.[ch] are the only files of proto/ that know the HTTP parser library.
 */
#ifndef PROTO_HTTPMSG_H
#define PROTO_HTTPMSG_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTPMSG_REQUEST_HEAD_MAX = 8192,
    HTTPMSG_RESPONSE_HEAD_MAX = 32768, /* cookies */
    HTTPMSG_HEADERS_MAX = 128,
};

enum httpmsg_kind { HTTPMSG_REQUEST, HTTPMSG_RESPONSE };

enum httpmsg_state {
    HTTPMSG_HEAD, /* needs more */
    HTTPMSG_BODY, /* the head is there; needs more, or the end */
    HTTPMSG_DONE,
    HTTPMSG_BAD,
    HTTPMSG_TOO_LONG, /* the head passed its ceiling */
};

/* Text inside the head, not ended by NUL. */
struct httpmsg_text {
    const char *at;
    size_t len;
};

struct httpmsg_header {
    struct httpmsg_text name, value; /* the value without white space around */
};

struct httpmsg {
    enum httpmsg_state state;
    enum httpmsg_kind kind;
    bool no_body; /* response to HEAD */
    bool headers_done;
    http_parser parser;
    struct httpmsg_text url; /* requests */
    struct httpmsg_header headers[HTTPMSG_HEADERS_MAX];
    size_t header_count;
    size_t head_len, head_max;
    char head[]; /* head_max bytes */
};

/* NULL without memory; freed with mem_free. */
struct httpmsg *httpmsg_new(enum httpmsg_kind kind);
/* Ready for the next message of the connection. `no_body`: it answers a HEAD request. */
void httpmsg_reset(struct httpmsg *m, bool no_body);

/* Bytes taken, at most `len`; only in HEAD. */
size_t httpmsg_head(struct httpmsg *m, const void *data, size_t len);
/* How many of the bytes at the start of `data` belong to the body; only in BODY. BAD: the framing
 * is broken, what was returned is still the body's. */
size_t httpmsg_body(struct httpmsg *m, const void *data, size_t len);
/* No more bytes will come: DONE if the message may end so, else BAD. In any state. */
void httpmsg_end(struct httpmsg *m);

/* From here on only once the head is there. */

/* The first header of that name in any case, NULL if there is none. */
const struct httpmsg_header *httpmsg_find(const struct httpmsg *m, const char *name);
bool httpmsg_text_is(const struct httpmsg_text *t, const char *word); /* any case */
/* True if the comma-separated list in the header `name` has `word`; all such headers count. */
bool httpmsg_lists(const struct httpmsg *m, const char *name, const struct httpmsg_text *word);

const char *httpmsg_method(const struct httpmsg *m);
unsigned httpmsg_status(const struct httpmsg *m);
/* May another message follow on its connection? */
bool httpmsg_keeps_alive(const struct httpmsg *m);
/* The message says itself where it ends; else the end of its connection does. */
bool httpmsg_ends_itself(const struct httpmsg *m);
/* The connection asks to become something else (Connection: upgrade), or, as an answer, does. */
bool httpmsg_upgrades(const struct httpmsg *m);

#endif
