#include "proto/ipnumber.h"

#include <base/err.h>

#include <stdint.h>
#include <string.h>

enum { PARTS_MAX = 4 };

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* "0x" alone is 0, as it is to browsers. */
static bool parse_part(const char *text, size_t len, uint64_t *value)
{
    uint64_t base = 10;
    uint64_t v = 0;
    if (len >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
        len -= 2;
    } else if (len >= 2 && text[0] == '0') {
        base = 8;
    } else if (len == 0) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        uint64_t digit = (uint64_t)digit_of(text[i]);
        if (digit >= base || v > UINT32_MAX) {
            return false;
        }
        v = v * base + digit;
    }
    *value = v;
    return v <= UINT32_MAX;
}

bool ipnumber_is_meant(const char *name)
{
    uint64_t value;
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    size_t len = strlen(last);
    bool digits = len > 0 && strspn(last, "0123456789") == len;
    return digits || (len >= 2 && last[1] == 'x' && parse_part(last, len, &value)) ||
           (len >= 2 && last[1] == 'X' && parse_part(last, len, &value));
}

int ipnumber_parse(struct addr *out, const char *name)
{
    uint64_t parts[PARTS_MAX];
    size_t count = 0;
    for (const char *at = name;; at++) {
        size_t len = strcspn(at, ".");
        if (count == PARTS_MAX || !parse_part(at, len, &parts[count++])) {
            return ERR_MALFORMED;
        }
        at += len;
        if (*at == '\0') {
            break;
        }
    }
    uint32_t ip = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > UINT8_MAX) {
            return ERR_MALFORMED;
        }
        ip |= (uint32_t)parts[i] << (24 - 8 * i);
    }
    if (parts[count - 1] >> (8 * (PARTS_MAX + 1 - count)) != 0) {
        return ERR_MALFORMED;
    }
    ip |= (uint32_t)parts[count - 1];
    *out = addr_ipv4((uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip, 0);
    return 0;
}
