#include "session/page.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum {
    HEAD_MAX = 512,
    BODY_MAX = 640, /* a target's text has 262 */
};

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {431, "Request Header Fields Too Large"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Internal Server Error";
}

char *page_make(const struct page *p, size_t *len)
{
    size_t body = strlen(p->body);
    char *out = mem_new(1, HEAD_MAX + body + 1);
    if (!out) {
        return NULL;
    }
    int n = snprintf(out, HEAD_MAX,
                     "HTTP/1.1 %u %s\r\nContent-Type: %.80s\r\nContent-Length: %zu\r\n"
                     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%.160s"
                     "Connection: close\r\n\r\n",
                     p->status, reason(p->status), p->type ? p->type : "text/plain; charset=utf-8",
                     body, p->extra ? p->extra : "");
    *len = (size_t)n;
    if (!p->head_only) {
        memcpy(out + n, p->body, body);
        *len += body;
    }
    return out;
}

char *page_error(unsigned status, const char *about, const char *sentence, bool head_only,
                 size_t *len)
{
    char body[BODY_MAX];
    const char *extra = NULL;
    if (status == 407) {
        extra = "Proxy-Authenticate: Basic realm=\"Adit\", charset=\"UTF-8\"\r\n";
    } else if (status == 405) {
        extra = "Allow: GET, HEAD\r\n";
    }
    (void)snprintf(body, sizeof(body), "%u %s\n\n%s%s%s.\n\n-- Adit\n", status, reason(status),
                   about ? about : "", about ? ": " : "", sentence);
    const struct page p = {.status = status, .extra = extra, .body = body, .head_only = head_only};
    return page_make(&p, len);
}

/* What policy forbids is told apart from what does not work, and that from what does not answer:
 * the last may work later. */
unsigned page_status(enum cause cause)
{
    static const struct {
        enum cause cause;
        unsigned status;
    } statuses[] = {
        {CAUSE_NOT_ALLOWED, 403}, {CAUSE_REFUSED_BY_ROUTE, 403},
        {CAUSE_BAD_TARGET, 400},  {CAUSE_UNKNOWN_WISH, 400},
        {CAUSE_TIMED_OUT, 504},   {CAUSE_PEER_UNREACHABLE, 504},
        {CAUSE_PEER_LOST, 504},   {CAUSE_LIMIT, 503},
    };
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].cause == cause) {
            return statuses[i].status;
        }
    }
    return 502;
}
