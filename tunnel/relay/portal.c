#include "relay/portal.h"

#include <base/check.h>
#include <base/err.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum verdict {
    VERDICT_NONE, /* nothing that proves anything */
    VERDICT_FREE, /* the relay itself */
    VERDICT_PORTAL,
};

enum { STATUS_LOG_IN = 511 };

void portal_init(struct portal *p, struct rng rng)
{
    *p = (struct portal){.rng = rng, .again_ns = TIME_NEVER, .deadline_ns = TIME_NEVER};
}

static void tell(struct portal *p, enum portal_event ev)
{
    p->events |= 1U << ev;
}

bool portal_event(struct portal *p, enum portal_event *ev)
{
    for (unsigned e = PORTAL_EV_ASK; e <= PORTAL_EV_ASKED; e++) {
        if (p->events >> e & 1) {
            p->events &= ~(1U << e);
            *ev = (enum portal_event)e;
            return true;
        }
    }
    return false;
}

/* --- when --- */

static void ask(struct portal *p, uint64_t now)
{
    p->asking = true;
    p->asked_ns = now;
    p->deadline_ns = now + PORTAL_ANSWER_NS;
    p->again_ns = TIME_NEVER;
    p->questions++;
    tell(p, PORTAL_EV_ASK);
}

static bool is_time(const struct portal *p, uint64_t now)
{
    return p->asked_ns == 0 || time_since(p->asked_ns, now) >= PORTAL_APART_NS;
}

void portal_suspect(struct portal *p, size_t relay, uint64_t now)
{
    if (p->asking) {
        return;
    }
    p->relay = relay;
    if (!p->stands && p->again_ns == TIME_NEVER && is_time(p, now)) {
        ask(p, now);
    }
}

static uint64_t interval(const struct portal *p, uint64_t now)
{
    uint64_t age = time_since(p->since_ns, now);
    return age < PORTAL_OFTEN_FOR_NS  ? PORTAL_OFTEN_NS
           : age < PORTAL_LESS_FOR_NS ? PORTAL_LESS_NS
                                      : PORTAL_RARELY_NS;
}

static void stop_asking(struct portal *p)
{
    p->asking = false;
    p->deadline_ns = TIME_NEVER;
    p->events &= ~(1U << PORTAL_EV_ASK); /* if it has not even begun */
    tell(p, PORTAL_EV_CLOSE);
}

static void set_stands(struct portal *p, bool stands, uint64_t now)
{
    if (stands != p->stands) {
        p->stands = stands;
        p->since_ns = now;
        p->found += stands;
        p->events &= ~(1U << PORTAL_EV_FOUND | 1U << PORTAL_EV_GONE);
        tell(p, stands ? PORTAL_EV_FOUND : PORTAL_EV_GONE);
    }
}

void portal_clear(struct portal *p)
{
    if (p->asking) {
        stop_asking(p);
    }
    p->again_ns = TIME_NEVER;
    set_stands(p, false, 0);
}

/* A question that is under way may be lost in the former network. */
void portal_moved(struct portal *p, uint64_t now)
{
    if (p->asking) {
        stop_asking(p);
    }
    uint64_t soonest = p->asked_ns == 0 ? now : p->asked_ns + PORTAL_LEAST_NS;
    if (p->stands) {
        p->again_ns = soonest > now ? soonest : now;
    } else if (p->asked_ns != 0) {
        p->asked_ns = time_since(p->asked_ns, now) >= PORTAL_LEAST_NS ? 0 : p->asked_ns;
    }
}

static void conclude(struct portal *p, enum verdict verdict, uint64_t now)
{
    bool stood = p->stands;
    stop_asking(p);
    if (verdict != VERDICT_NONE) {
        set_stands(p, verdict == VERDICT_PORTAL, now);
    }
    p->again_ns = p->stands ? now + interval(p, now) : TIME_NEVER;
    if (stood) {
        tell(p, PORTAL_EV_ASKED);
    }
}

void portal_closed(struct portal *p, uint64_t now)
{
    if (p->asking) {
        conclude(p, VERDICT_NONE, now);
    }
}

void portal_tick(struct portal *p, uint64_t now)
{
    if (p->asking && now >= p->deadline_ns) {
        conclude(p, VERDICT_NONE, now);
    } else if (!p->asking && now >= p->again_ns) {
        ask(p, now);
    }
}

uint64_t portal_next_ns(const struct portal *p)
{
    return time_min(p->again_ns, p->deadline_ns);
}

/* --- the question --- */

int portal_request(struct portal *p, const char *host, char out[PORTAL_REQUEST_MAX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[PORTAL_CHALLENGE];
    rng_fill(p->rng, random, sizeof(random));
    for (size_t i = 0; i < PORTAL_CHALLENGE; i++) {
        p->challenge[i] = digits[random[i] & 15];
    }
    p->challenge[PORTAL_CHALLENGE] = '\0';
    if (strlen(host) >= sizeof(p->host)) {
        return ERR_TOO_LARGE;
    }
    (void)snprintf(p->host, sizeof(p->host), "%s", host);
    http_parser_init(&p->http, HTTP_RESPONSE);
    p->http.data = p;
    p->http_bytes = p->name_len = p->value_len = 0;
    p->in_value = p->right = p->another = false;
    p->status = 0;
    int len = snprintf(out, PORTAL_REQUEST_MAX,
                       "GET /generate_204 HTTP/1.1\r\nHost: %s\r\nUser-Agent: adit\r\n"
                       "X-Tailscale-Challenge: %s\r\nCache-Control: no-cache\r\n"
                       "Connection: close\r\n\r\n",
                       host, p->challenge);
    CHECK(len > 0);
    return len < PORTAL_REQUEST_MAX ? len : ERR_TOO_LARGE;
}

/* --- the answer --- */

/* Without a port, user, or brackets' content being looked at: "[::1]:80" is "[::1]". */
static size_t host_len(const char *text)
{
    size_t whole = strcspn(text, "/?#");
    if (text[0] == '[') {
        size_t inside = strcspn(text, "]");
        return inside < whole ? inside + 1 : whole;
    }
    size_t len = strcspn(text, ":");
    return len < whole ? len : whole;
}

/* RFC 9110 10.2.2: a URI, or a reference relative to the one that was asked for. */
static bool leads_elsewhere(const char *location, const char *host)
{
    const char *at = strstr(location, "//");
    size_t colon = strcspn(location, ":/?#");
    bool absolute = at == location || (at && location[colon] == ':' && at == location + colon + 1);
    if (!absolute) {
        return false;
    }
    at += 2;
    size_t len = host_len(at);
    return len != host_len(host) || strncasecmp(at, host, len) != 0;
}

static void take_header(struct portal *p)
{
    char right[PORTAL_CHALLENGE + 16];
    (void)snprintf(right, sizeof(right), "response %s", p->challenge);
    p->name[p->name_len] = '\0';
    p->value[p->value_len] = '\0';
    if (strcasecmp(p->name, "x-tailscale-response") == 0) {
        p->right = strcmp(p->value, right) == 0;
    } else if (strcasecmp(p->name, "location") == 0) {
        p->another = leads_elsewhere(p->value, p->host);
    }
    p->name_len = p->value_len = 0;
    p->in_value = false;
}

/* What is longer than anything that we look for is cut. */
static void append(char *to, size_t cap, size_t *len, const char *at, size_t more)
{
    size_t room = cap - 1 - *len;
    more = more < room ? more : room;
    memcpy(to + *len, at, more);
    *len += more;
}

static int on_header_field(http_parser *http, const char *at, size_t len)
{
    struct portal *p = http->data;
    if (p->in_value) {
        take_header(p);
    }
    append(p->name, sizeof(p->name), &p->name_len, at, len);
    return 0;
}

static int on_header_value(http_parser *http, const char *at, size_t len)
{
    struct portal *p = http->data;
    p->in_value = true;
    append(p->value, sizeof(p->value), &p->value_len, at, len);
    return 0;
}

/* 2: what follows does not matter; -1: the parser takes "0" for a status, but it is none. */
static int on_headers_complete(http_parser *http)
{
    struct portal *p = http->data;
    take_header(p);
    p->status = http->status_code;
    return p->status > 0 ? 2 : -1;
}

static enum verdict verdict_of(const struct portal *p)
{
    if (p->status == 204 && p->right) {
        return VERDICT_FREE;
    }
    bool page = p->status >= 200 && p->status < 300;
    bool away = p->status >= 300 && p->status < 400 && p->another;
    return page || away || p->status == STATUS_LOG_IN ? VERDICT_PORTAL : VERDICT_NONE;
}

void portal_input(struct portal *p, const void *data, size_t len, uint64_t now)
{
    static const http_parser_settings settings = {.on_header_field = on_header_field,
                                                  .on_header_value = on_header_value,
                                                  .on_headers_complete = on_headers_complete};
    if (!p->asking || p->host[0] == '\0') {
        return;
    }
    p->http_bytes += http_parser_execute(&p->http, &settings, data, len);
    if (p->status != 0) {
        conclude(p, verdict_of(p), now);
    } else if (HTTP_PARSER_ERRNO(&p->http) != HPE_OK || p->http_bytes > PORTAL_ANSWER_MAX) {
        conclude(p, VERDICT_NONE, now);
    }
}
