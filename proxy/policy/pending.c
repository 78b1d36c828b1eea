#include "policy/pending.h"

#include <base/check.h>
#include <base/err.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* The next word of the line, or NULL. */
static const char *next_word(const char **at, const char *end, size_t *len)
{
    const char *word = *at;
    const char *stop = memchr(word, ' ', (size_t)(end - word));
    *len = (size_t)((stop ? stop : end) - word);
    *at = stop ? stop + 1 : end;
    return *len > 0 ? word : NULL;
}

static bool parse_seconds(uint64_t *out, const char *text, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || len > 18) {
            return false;
        }
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *out = n;
    return true;
}

static bool parse_relay(char out[CONFIG_NAME_MAX + 1], const char *text, size_t len)
{
    char name[CONFIG_NAME_MAX + 1];
    if (len > CONFIG_NAME_MAX) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    if (strcmp(name, "-") == 0) {
        out[0] = '\0';
        return true;
    }
    return config_set_name(out, name);
}

static bool parse_line(struct pending_item *item, const char *line, const char *end)
{
    size_t expires_len, token_len, relay_len;
    const char *expires = next_word(&line, end, &expires_len);
    const char *token = next_word(&line, end, &token_len);
    const char *relay = next_word(&line, end, &relay_len);
    return expires && token && relay && line == end &&
           parse_seconds(&item->expires_s, expires, expires_len) &&
           invite_parse_key(item->token, token, token_len) &&
           parse_relay(item->relay, relay, relay_len);
}

int pending_parse(struct pending *p, const char *text, size_t len, uint64_t now_s)
{
    const char *end = text + len;
    *p = (struct pending){.count = 0};
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        struct pending_item item;
        bool ok = stop && parse_line(&item, text, stop);
        ok = ok && (item.expires_s <= now_s || pending_add(p, &item) == 0);
        sodium_memzero(&item, sizeof(item));
        if (!ok) {
            pending_wipe(p);
            return ERR_MALFORMED;
        }
        text = stop + 1;
    }
    return 0;
}

const char *pending_format(const struct pending *p, char out[PENDING_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < p->count; i++) {
        const struct pending_item *item = &p->items[i];
        char token[INVITE_KEY_TEXT];
        int more = snprintf(
            out + len, PENDING_TEXT_MAX - len, "%llu %s %s\n", (unsigned long long)item->expires_s,
            invite_format_key(item->token, token), item->relay[0] ? item->relay : "-");
        sodium_memzero(token, sizeof(token));
        CHECK(more > 0 && (size_t)more < PENDING_TEXT_MAX - len);
        len += (size_t)more;
    }
    return out;
}

int pending_add(struct pending *p, const struct pending_item *item)
{
    if (p->count == PENDING_MAX) {
        return ERR_NO_ROOM;
    }
    p->items[p->count++] = *item;
    return 0;
}

const struct pending_item *pending_find(const struct pending *p, const struct invite *answer,
                                        const struct config_public_key *self)
{
    for (size_t i = 0; i < p->count; i++) {
        if (invite_is_answer(answer, p->items[i].token, self)) {
            return &p->items[i];
        }
    }
    return NULL;
}

void pending_remove(struct pending *p, const struct pending_item *item)
{
    size_t at = (size_t)(item - p->items);
    CHECK(at < p->count);
    p->items[at] = p->items[--p->count];
    sodium_memzero(&p->items[p->count], sizeof(p->items[0]));
}

void pending_wipe(struct pending *p)
{
    sodium_memzero(p, sizeof(*p));
}
