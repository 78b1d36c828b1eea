/* What a peer's list of candidates says about birthday probing. */
#include "path/birthday.h"

#include "path/cand.h"

static bool is_reflexive(const struct frame_candidate *c)
{
    return c->source == CAND_REFLEXIVE && c->addr.family == ADDR_IPV4;
}

bool birthday_list_is_hard(const struct frame_candidate *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (is_reflexive(&list[i]) && is_reflexive(&list[k]) &&
                addr_equal_ip(&list[i].addr, &list[k].addr) &&
                list[i].addr.port != list[k].addr.port) {
                return true;
            }
        }
    }
    return false;
}

static const struct frame_candidate *find_sign(const struct frame_candidate *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].source == CAND_BIRTHDAY) {
            return &list[i];
        }
    }
    return NULL;
}

bool birthday_list_sign(const struct frame_candidate *list, size_t count, struct addr *addr,
                        bool *whole)
{
    const struct frame_candidate *sign = find_sign(list, count);
    bool ip = false;
    *whole = false;
    for (size_t i = 0; i < count && sign; i++) {
        if (is_reflexive(&list[i])) {
            ip |= addr_equal_ip(&list[i].addr, &sign->addr);
            *whole |= addr_equal(&list[i].addr, &sign->addr);
        }
    }
    if (ip) {
        *addr = sign->addr;
    }
    return ip;
}
