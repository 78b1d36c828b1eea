#include "relay/proxy_connect.h"

#include <base/err.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    BASE64_MAX = (PROXY_CONNECT_LOGIN_MAX + 2) / 3 * 4 + 1,
    HOST_MAX = 255,
};

int proxy_connect_start(struct proxy_connect *p, const char *host, uint16_t port, const char *login,
                        char out[PROXY_CONNECT_REQUEST_MAX])
{
    char code[BASE64_MAX] = "";
    size_t len = login ? strlen(login) : 0;
    *p = (struct proxy_connect){.with_login = login != NULL};
    http_parser_init(&p->http, HTTP_RESPONSE);
    p->http.data = p;
    if (len > PROXY_CONNECT_LOGIN_MAX || strlen(host) > HOST_MAX) {
        return ERR_TOO_LARGE;
    }
    if (login) {
        (void)sodium_bin2base64(code, sizeof(code), (const unsigned char *)login, len,
                                sodium_base64_VARIANT_ORIGINAL);
    }
    bool v6 = strchr(host, ':') != NULL;
    char at[HOST_MAX + 16];
    (void)snprintf(at, sizeof(at), v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    int written =
        snprintf(out, PROXY_CONNECT_REQUEST_MAX,
                 "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: adit\r\n%s%s%s\r\n", at, at,
                 login ? "Proxy-Authorization: Basic " : "", code, login ? "\r\n" : "");
    sodium_memzero(code, sizeof(code));
    return written < PROXY_CONNECT_REQUEST_MAX ? written : ERR_TOO_LARGE;
}

/* 2: what follows is not HTTP, whatever the header says. */
static int on_headers_complete(http_parser *http)
{
    struct proxy_connect *p = http->data;
    p->complete = true;
    return 2;
}

static int refuse(struct proxy_connect *p)
{
    unsigned status = p->http.status_code;
    switch (status) {
    case 407:
        (void)snprintf(p->why, sizeof(p->why), "the proxy %s (407)",
                       p->with_login ? "does not accept the name and password"
                                     : "wants a name and a password");
        break;
    case 403:
    case 405:
        (void)snprintf(p->why, sizeof(p->why), "the proxy does not let us there (%u)", status);
        break;
    case 502:
    case 503:
    case 504:
        (void)snprintf(p->why, sizeof(p->why), "the proxy does not get there (%u)", status);
        break;
    default:
        (void)snprintf(p->why, sizeof(p->why), "the proxy answers with status %u", status);
    }
    return ERR_REFUSED;
}

int proxy_connect_input(struct proxy_connect *p, const void *data, size_t len, size_t *used)
{
    static const http_parser_settings settings = {.on_headers_complete = on_headers_complete};
    *used = http_parser_execute(&p->http, &settings, data, len);
    p->bytes += *used;
    enum http_errno bad = HTTP_PARSER_ERRNO(&p->http);
    if (bad != HPE_OK || p->bytes > PROXY_CONNECT_ANSWER_MAX) {
        (void)snprintf(p->why, sizeof(p->why), "the proxy's answer is not HTTP: %.60s",
                       bad != HPE_OK ? http_errno_description(bad) : "header too long");
        return ERR_MALFORMED;
    }
    if (!p->complete) {
        return 0;
    }
    return p->http.status_code / 100 == 2 ? 1 : refuse(p);
}
