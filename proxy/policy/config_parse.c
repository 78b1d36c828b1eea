/* Lines of the ini -> sections and keys, with inih.
 *
 * inih tells its handler no line number, cuts long lines and takes an indented line for a
 * continuation. So it gets its lines from here, one at a time, already checked: what this reader
 * counts is the line of the handler call that follows.
 */
#include "policy/config_internal.h"

#include <base/err.h>
#include <base/mem.h>

#include <ini.h>
#include <stdio.h>
#include <string.h>

/* inih also ends a key at ':', which IPv6 prefixes in [route] have; it travels as this byte, which
 * a line cannot have otherwise. */
static const char colon_in_key = '\x01';
/* And a '[' that begins a key, "[::1]:22" in [forward], would be a section to it. */
static const char bracket_in_key = '\x02';

/* inih's buffer also holds CR, LF and NUL. */
enum { INIH_LINE_END = 3 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static void clear_key(struct config_parser *p)
{
    p->key = NULL;
    p->key_text[0] = '\0';
    p->value = NULL;
}

/* The line without comment and white space around; false if it holds what no line may hold. */
static bool trim(struct config_parser *p, const char **line, size_t *len)
{
    const char *from = *line;
    const char *to = from + *len;
    while (from < to && is_space(*from)) {
        from++;
    }
    for (const char *at = from; at < to; at++) {
        if ((*at == '#' || *at == ';') && (at == from || is_space(at[-1]))) {
            to = at;
        }
    }
    while (to > from && is_space(to[-1])) {
        to--;
    }
    *line = from;
    *len = (size_t)(to - from);
    for (const char *at = from; at < to; at++) {
        if (is_control(*at)) {
            config_fail(p, "the line has a control character");
            return false;
        }
    }
    return true;
}

static void *add_peer(struct config_parser *p, const char *name)
{
    struct config *config = p->config;
    if (config_find_peer(config, name)) {
        config_fail(p, "is there twice; first in line %u", config_find_peer(config, name)->line);
        return NULL;
    }
    struct config_peer *peers =
        config_grow(p, config->peers, config->peers_count, sizeof(*peers), CONFIG_PEERS_MAX);
    if (!peers) {
        return NULL;
    }
    config->peers = peers;
    struct config_peer *peer = &peers[config->peers_count++];
    memcpy(peer->name, name, strlen(name) + 1);
    peer->line = p->line;
    return peer;
}

static void *add_relay(struct config_parser *p, const char *name)
{
    struct config_relays *relays = &p->config->relays;
    for (size_t i = 0; i < relays->count; i++) {
        if (strcmp(relays->items[i].name, name) == 0) {
            config_fail(p, "is there twice; first in line %u", relays->items[i].line);
            return NULL;
        }
    }
    struct config_relay *items =
        config_grow(p, relays->items, relays->count, sizeof(*items), CONFIG_RELAYS_MAX);
    if (!items) {
        return NULL;
    }
    relays->items = items;
    struct config_relay *relay = &items[relays->count++];
    memcpy(relay->name, name, strlen(name) + 1);
    relay->line = p->line;
    return relay;
}

static void *open_named(struct config_parser *p, const struct config_section *s, const char *text)
{
    char name[CONFIG_NAME_MAX + 1];
    if (!config_set_name(name, text)) {
        config_fail(p, "needs a name: [%s NAME], letters, digits and -, up to 63", s->name);
        return NULL;
    }
    config_forget_keys(p, s);
    if (s->plain) {
        return config_add_front(p, name);
    }
    return strcmp(s->name, "peer") == 0 ? add_peer(p, name) : add_relay(p, name);
}

static void *open_single(struct config_parser *p, const struct config_section *s, const char *text)
{
    if (text[0]) {
        config_fail(p, "takes no name: write [%s]", s->name);
        return NULL;
    }
    unsigned *line = config_section_line(p, s);
    if (*line > 0) {
        config_fail(p, "is there twice");
        return NULL;
    }
    *line = p->line;
    p->config->server.given = p->config->server.given || strcmp(s->name, "server") == 0;
    p->config->node.line = strcmp(s->name, "node") == 0 ? p->line : p->config->node.line;
    if (s->named) {
        config_forget_keys(p, s);
        return p->config->fronts;
    }
    return (char *)p->config + s->offset;
}

/* `text` is what stands between the brackets. */
static void open_section(struct config_parser *p, const char *text)
{
    char type[CONFIG_LABEL_MAX];
    size_t len = strcspn(text, " \t");
    const char *name = text + len + strspn(text + len, " \t");
    (void)snprintf(p->section_text, sizeof(p->section_text), "%s", text);
    (void)snprintf(type, sizeof(type), "%.*s", (int)len, text);
    const struct config_section *s = config_find_section(type);
    p->section = NULL;
    if (!s) {
        config_fail_section(p, type);
        return;
    }
    p->base = s->named && (name[0] || !s->plain) ? open_named(p, s, name) : open_single(p, s, name);
    p->section = p->base ? s : NULL;
}

static void on_section(struct config_parser *p, const char *line, size_t len)
{
    unsigned here = p->line;
    char text[CONFIG_LABEL_MAX];
    config_check_section(p);
    clear_key(p);
    p->line = here;
    p->section_line = here;
    p->section = NULL;
    bool closed = line[len - 1] == ']';
    line++;
    len = closed ? len - 2 : 0;
    if (!trim(p, &line, &len) || len == 0 || len >= sizeof(text)) {
        memset(p->section_text, 0, sizeof(p->section_text));
        config_fail(p, "is no section line; accepted: [SECTION] or [SECTION NAME]");
        p->section_text[0] = '?'; /* so that its keys are not complained about one by one */
        return;
    }
    memcpy(text, line, len);
    text[len] = '\0';
    open_section(p, text);
}

/* True if the line goes to inih: a key and a value in a section that is known. */
static bool check_line(struct config_parser *p, const char *line, size_t len, size_t cap)
{
    const char *equals = memchr(line, '=', len);
    if (!p->section) {
        if (!p->section_text[0]) {
            config_fail(p, "stands in no section");
        }
        return false; /* the section's own error is enough */
    }
    if (!equals || equals == line) {
        config_fail(p, "is no KEY = VALUE line");
        return false;
    }
    if (len + INIH_LINE_END > cap || (size_t)(equals - line) >= CONFIG_LABEL_MAX) {
        config_fail(p, "the line is longer than %zu bytes; a list may be split over several lines",
                    cap - INIH_LINE_END);
        return false;
    }
    return true;
}

/* "[IPv6]:PORT = ..." and no section. */
static bool is_bracketed_key(const char *line, size_t len)
{
    const char *close = memchr(line, ']', len);
    size_t left = close ? len - (size_t)(close - line) : 0;
    return left > 1 && close[1] == ':' && memchr(close, '=', left);
}

static void write_line(char *out, const char *line, size_t len)
{
    memcpy(out, line, len);
    out[len] = '\n';
    out[len + 1] = '\0';
    for (char *at = out; *at != '='; at++) {
        *at = *at == ':' ? colon_in_key : *at == '[' ? bracket_in_key : *at;
    }
}

/* For inih, in the manner of fgets: the next line that is a key and a value. */
static char *read_line(char *out, int cap, void *user)
{
    struct config_parser *p = user;
    while (p->at < p->end) {
        const char *line = p->at;
        const char *stop = memchr(line, '\n', (size_t)(p->end - line));
        size_t len = (size_t)((stop ? stop : p->end) - line);
        p->at = stop ? stop + 1 : p->end;
        p->line++;
        clear_key(p);
        if (!trim(p, &line, &len) || len == 0) {
            continue;
        }
        if (line[0] == '[' && !is_bracketed_key(line, len)) {
            on_section(p, line, len);
        } else if (check_line(p, line, len, (size_t)cap)) {
            write_line(out, line, len);
            return out;
        }
    }
    return NULL;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct config_parser *p = user;
    (void)section; /* the reader knows it, and inih cuts it */
    (void)snprintf(p->key_text, sizeof(p->key_text), "%s", name);
    for (char *at = p->key_text; *at; at++) {
        *at = *at == colon_in_key ? ':' : *at == bracket_in_key ? '[' : *at;
    }
    if (strstr(p->key_text, "://")) { /* a pasted URL or invitation: not to be shown */
        clear_key(p);
        config_fail(p, "is no KEY = VALUE line");
        return 1;
    }
    p->key = config_find_key(p->section, p->key_text);
    if (!p->key) {
        config_fail_key(p, p->key_text);
        return 1;
    }
    unsigned *line = config_key_line(p, p->key);
    bool again = *line > 0;
    *line = p->line;
    if (again && !p->key->list && !config_takes_any(p->key)) {
        config_fail(p, "is there twice");
    } else if (!value || !value[0]) {
        config_fail_value(p, "has no value");
    } else {
        p->value = value;
        config_take(p, value);
        p->value = NULL; /* it is inih's */
    }
    return 1;
}

static void parse_text(struct config_parser *p)
{
    if (p->end - p->at > CONFIG_TEXT_MAX) {
        config_fail(p, "is larger than %d bytes", CONFIG_TEXT_MAX);
        return;
    }
    if (p->end - p->at >= 3 && memcmp(p->at, "\xef\xbb\xbf", 3) == 0) {
        p->at += 3; /* a byte order mark */
    }
    int err = ini_parse_stream(read_line, p, on_key, p);
    p->no_memory = p->no_memory || err == -2;
    if (err > 0) {
        config_fail(p, "cannot be read");
    }
    config_check_section(p);
    config_check(p);
}

int config_parse(struct config **out, const char *file, const char *text, size_t len,
                 const struct config_env *env, struct config_errors *errors)
{
    struct config_parser p = {.env = env, .errors = errors, .file = file};
    *out = NULL;
    errors->file = file;
    errors->count = 0;
    errors->dropped = 0;
    p.config = mem_new(1, sizeof(*p.config));
    if (!p.config) {
        return ERR_NO_MEMORY;
    }
    if (!config_add_front(&p, "")) {
        config_free(p.config);
        return ERR_NO_MEMORY;
    }
    p.at = text;
    p.end = text + len;
    parse_text(&p);
    if (p.no_memory || errors->count > 0) {
        config_free(p.config);
        return p.no_memory ? ERR_NO_MEMORY : ERR_MALFORMED;
    }
    *out = p.config;
    return 0;
}
