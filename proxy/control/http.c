#include "control/http.h"

#include <http_parser.h>

#include <stdio.h>
#include <string.h>

struct parse {
    bool complete, too_long;
    char *path;
    size_t path_len;
    const char *body;
    size_t body_len;
};

static int on_url(http_parser *hp, const char *at, size_t len)
{
    struct parse *p = hp->data;
    if (p->path_len + len > CONTROL_PATH_MAX) {
        p->too_long = true;
        return 1;
    }
    memcpy(p->path + p->path_len, at, len);
    p->path_len += len;
    p->path[p->path_len] = '\0';
    return 0;
}

static int on_body(http_parser *hp, const char *at, size_t len)
{
    struct parse *p = hp->data;
    if (p->body && at != p->body + p->body_len) {
        return 1; /* chunked: our own answers never are */
    }
    p->body = p->body ? p->body : at;
    p->body_len += len;
    return 0;
}

static int on_message_complete(http_parser *hp)
{
    struct parse *p = hp->data;
    p->complete = true;
    http_parser_pause(hp, 1); /* what follows is not looked at */
    return 0;
}

static enum control_progress verdict(const http_parser *hp, const struct parse *p)
{
    if (p->complete) {
        return CONTROL_COMPLETE;
    }
    return HTTP_PARSER_ERRNO(hp) == HPE_OK ? CONTROL_MORE : CONTROL_BAD;
}

/* The whole text is parsed anew each time; it is a few hundred bytes, seldom in two pieces. */
enum control_progress control_parse_request(struct control_request *r, const char *data, size_t len)
{
    char path[CONTROL_PATH_MAX + 1] = "";
    struct parse p = {.path = path};
    http_parser_settings settings;
    http_parser hp;
    http_parser_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_message_complete = on_message_complete;
    http_parser_init(&hp, HTTP_REQUEST);
    hp.data = &p;
    (void)http_parser_execute(&hp, &settings, data, len);
    enum control_progress progress = verdict(&hp, &p);
    if (progress == CONTROL_MORE && len >= CONTROL_HEAD_MAX) {
        return CONTROL_BAD;
    }
    if (progress == CONTROL_COMPLETE) {
        r->get = hp.method == HTTP_GET;
        memcpy(r->path, path, sizeof(r->path));
    }
    return progress;
}

static const char *reason(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 502:
        return "Bad Gateway";
    case 504:
        return "Gateway Timeout";
    case 405:
        return "Method Not Allowed";
    default:
        return "Internal Server Error";
    }
}

size_t control_answer_head(char out[CONTROL_ANSWER_HEAD_MAX], unsigned status, const char *type,
                           size_t body_len)
{
    int n = snprintf(out, CONTROL_ANSWER_HEAD_MAX,
                     "HTTP/1.1 %u %s\r\nContent-Type: %.60s\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n",
                     status, reason(status), type, body_len);
    return (size_t)n;
}

enum control_progress control_parse_answer(struct control_answer *a, const char *data, size_t len,
                                           bool eof)
{
    struct parse p = {0};
    http_parser_settings settings;
    http_parser hp;
    http_parser_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    http_parser_init(&hp, HTTP_RESPONSE);
    hp.data = &p;
    size_t taken = http_parser_execute(&hp, &settings, data, len);
    if (eof && taken == len && HTTP_PARSER_ERRNO(&hp) == HPE_OK) {
        (void)http_parser_execute(&hp, &settings, NULL, 0);
    }
    enum control_progress progress = verdict(&hp, &p);
    if (progress == CONTROL_MORE && eof) {
        return CONTROL_BAD;
    }
    if (progress == CONTROL_COMPLETE) {
        *a = (struct control_answer){hp.status_code, p.body ? p.body : "", p.body_len};
    }
    return progress;
}
