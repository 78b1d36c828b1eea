#include "transport/cc.h"

enum {
    INITIAL_PACKETS = 10,
    INITIAL_BYTES = 14720,
    MINIMUM_PACKETS = 2,
};

uint64_t cc_initial_window(size_t mtu)
{
    uint64_t most = INITIAL_PACKETS * (uint64_t)mtu;
    uint64_t least = cc_minimum_window(mtu);
    least = least > INITIAL_BYTES ? least : INITIAL_BYTES;
    return most < least ? most : least;
}

uint64_t cc_minimum_window(size_t mtu)
{
    return MINIMUM_PACKETS * (uint64_t)mtu;
}
