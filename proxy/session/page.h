/* What the front says to HTTP clients in its own words: short pages for people, with the status
 * that programs look at (RFC 9110 section 15).
 */
#ifndef SESSION_PAGE_H
#define SESSION_PAGE_H

#include <adit/cause.h>

#include <stdbool.h>
#include <stddef.h>

struct page {
    unsigned status;
    const char *type;  /* NULL: plain text */
    const char *extra; /* header lines, each with CR LF; NULL: none */
    const char *body;
    bool head_only; /* an answer to HEAD */
};

/* The whole answer; the connection is closed behind it. To be freed with mem_free; NULL without
 * memory. */
char *page_make(const struct page *p, size_t *len);

/* A page about a request that went wrong: the status as a headline, then the sentence. `about`
 * (what could not be reached) may be NULL. */
char *page_error(unsigned status, const char *about, const char *sentence, bool head_only,
                 size_t *len);

/* The status for a cause; one table. */
unsigned page_status(enum cause cause);

#endif
