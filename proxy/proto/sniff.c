#include "proto/sniff.h"

#include <base/check.h>

enum sniff sniff_byte(uint8_t first)
{
    if (first == 0x05) {
        return SNIFF_SOCKS5;
    }
    if (first == 0x04) {
        return SNIFF_SOCKS4;
    }
    if (first >= 'A' && first <= 'Z') {
        return SNIFF_HTTP;
    }
    return first == 0x16 ? SNIFF_TLS : SNIFF_OTHER;
}

const char *sniff_name(enum sniff what)
{
    switch (what) {
    case SNIFF_SOCKS5:
        return "SOCKS5";
    case SNIFF_SOCKS4:
        return "SOCKS4";
    case SNIFF_HTTP:
        return "HTTP";
    case SNIFF_TLS:
        return "TLS";
    case SNIFF_OTHER:
        return "other";
    }
    NEVER();
}
