/* The tests of RFC 5780: one family's steps, one after the other. */
#include "path/netcheck.h"

#include <base/err.h>

static bool is_sendable(const struct addr *a, const struct addr *like)
{
    bool multicast = a->family == ADDR_IPV4 ? a->ip[0] >= 224 : a->ip[0] == 0xff;
    return a->port != 0 && !addr_is_unspecified(a) && !multicast && !addr_is_link_local(a) &&
           addr_is_loopback(a) == addr_is_loopback(like);
}

static void enter(struct netcheck *n, struct netcheck_test *t, enum netcheck_step step,
                  uint64_t now)
{
    t->step = step;
    if (step == NETCHECK_IDLE) {
        stuntx_close(&t->tx);
        t->tell_done = true;
    } else {
        stuntx_start(&t->tx, n->plan, n->rng, now);
    }
}

int netcheck_test(struct netcheck *n, const struct addr *server, const struct addr *other,
                  enum stun_form form, uint64_t now)
{
    struct addr primary = addr_normalize(server);
    struct addr alternate = addr_normalize(other);
    struct netcheck_test *t = primary.family == ADDR_IPV6 ? &n->ipv6.test : &n->ipv4.test;
    if (alternate.family != primary.family || addr_equal_ip(&alternate, &primary) ||
        alternate.port == primary.port || !is_sendable(&alternate, &primary)) {
        return ERR_MALFORMED;
    }
    if (t->step != NETCHECK_IDLE) {
        return ERR_STATE;
    }
    *t = (struct netcheck_test){.server = primary, .other = alternate, .form = form};
    enter(n, t, NETCHECK_MAP_IP, now);
    return 0;
}

static enum netcheck_socket socket_of(const struct netcheck_test *t)
{
    return t->step == NETCHECK_MAP_IP || t->step == NETCHECK_MAP_PORT ? NETCHECK_SHARED
                                                                      : NETCHECK_FRESH;
}

/* Where the present step's request goes, and where its answer must come from. */
static void ends_of(const struct netcheck_test *t, struct addr *to, struct addr *from)
{
    *to = t->server;
    if (t->step == NETCHECK_MAP_IP) {
        *to = t->other;
        to->port = t->server.port;
    } else if (t->step == NETCHECK_MAP_PORT) {
        *to = t->other;
    }
    *from = *to;
    if (t->step == NETCHECK_FILTER_BOTH) {
        *from = t->other;
    } else if (t->step == NETCHECK_FILTER_PORT) {
        from->port = t->other.port;
    }
}

static uint8_t change_of(const struct netcheck_test *t)
{
    if (t->step == NETCHECK_FILTER_BOTH) {
        return STUN_CHANGE_IP | STUN_CHANGE_PORT;
    }
    return t->step == NETCHECK_FILTER_PORT ? STUN_CHANGE_PORT : 0;
}

static void conclude(struct netcheck *n, struct netcheck_family *f,
                     enum netcheck_filtering filtering, uint64_t now)
{
    f->filtering = filtering;
    enter(n, &f->test, NETCHECK_IDLE, now);
}

static void on_mapped(struct netcheck *n, struct netcheck_family *f, const struct stun_message *m,
                      uint64_t now)
{
    struct netcheck_test *t = &f->test;
    struct netcheck_sample sample = {.since_ns = t->tx.sent_ns[0], .heard_ns = now};
    struct addr unused;
    ends_of(t, &sample.server, &unused);
    if (!stun_mapped(m, &sample.mapped)) {
        return; /* useless: as good as silence */
    }
    netcheck_observe(n, &sample);
    /* RFC 5780 4.3: test III only tells what kind of dependence it is. */
    bool more = t->step == NETCHECK_MAP_IP && f->mapping != NETCHECK_MAPPING_EIM &&
                f->mapping != NETCHECK_MAPPING_NONE;
    enter(n, t, more ? NETCHECK_MAP_PORT : NETCHECK_FILTER_PLAIN, now);
}

static void on_answer(struct netcheck *n, struct netcheck_family *f, const struct stun_message *m,
                      uint64_t now)
{
    switch (f->test.step) {
    case NETCHECK_MAP_IP:
    case NETCHECK_MAP_PORT:
        on_mapped(n, f, m, now);
        break;
    case NETCHECK_FILTER_PLAIN:
        enter(n, &f->test, NETCHECK_FILTER_BOTH, now);
        break;
    case NETCHECK_FILTER_BOTH:
        conclude(n, f, NETCHECK_FILTERING_EIF, now);
        break;
    case NETCHECK_FILTER_PORT:
        conclude(n, f, NETCHECK_FILTERING_ADF, now);
        break;
    case NETCHECK_IDLE:
        break;
    }
}

static void on_silence(struct netcheck *n, struct netcheck_family *f, uint64_t now)
{
    switch (f->test.step) {
    case NETCHECK_MAP_IP: /* that address is down: the filtering test would not be honest */
    case NETCHECK_FILTER_PLAIN:
        conclude(n, f, f->filtering, now);
        break;
    case NETCHECK_MAP_PORT:
        enter(n, &f->test, NETCHECK_FILTER_PLAIN, now);
        break;
    case NETCHECK_FILTER_BOTH:
        enter(n, &f->test, NETCHECK_FILTER_PORT, now);
        break;
    case NETCHECK_FILTER_PORT:
        conclude(n, f, NETCHECK_FILTERING_APDF, now);
        break;
    case NETCHECK_IDLE:
        break;
    }
}

static bool input_family(struct netcheck *n, struct netcheck_family *f, enum netcheck_socket socket,
                         const struct addr *source, const struct stun_message *m, uint64_t now)
{
    struct netcheck_test *t = &f->test;
    struct addr to, from;
    if (t->step == NETCHECK_IDLE || socket != socket_of(t) || stuntx_match(&t->tx, m) < 0) {
        return false;
    }
    ends_of(t, &to, &from);
    if (m->type == STUN_SUCCESS && addr_equal(source, &from)) {
        n->stats.answered++;
        on_answer(n, f, m, now);
        return true;
    }
    /* Refused, or answered from the place that was to be changed: it cannot do this test. */
    if (addr_equal(source, &to)) {
        n->stats.answered++;
        n->stats.unsupported++;
        conclude(n, f, f->filtering, now);
        return true;
    }
    return false;
}

bool netcheck_input(struct netcheck *n, enum netcheck_socket socket, const struct addr *from,
                    const void *data, size_t len, uint64_t now)
{
    struct stun_message m;
    struct addr source = addr_normalize(from);
    if (stun_read(&m, data, len) == 0 && (input_family(n, &n->ipv4, socket, &source, &m, now) ||
                                          input_family(n, &n->ipv6, socket, &source, &m, now))) {
        return true;
    }
    n->stats.strangers++;
    return false;
}

size_t netcheck_output(struct netcheck *n, enum netcheck_socket *socket, struct addr *to,
                       uint8_t *buf, size_t cap, uint64_t now)
{
    struct netcheck_family *const both[] = {&n->ipv4, &n->ipv6};
    for (size_t i = 0; i < 2; i++) {
        struct netcheck_test *t = &both[i]->test;
        if (t->step == NETCHECK_IDLE) {
            continue;
        }
        size_t len = stuntx_output(&t->tx, t->form, change_of(t), buf, cap, now);
        if (len > 0) {
            struct addr from;
            ends_of(t, to, &from);
            *socket = socket_of(t);
            n->stats.sent++;
            return len;
        }
    }
    return 0;
}

void netcheck_tick(struct netcheck *n, uint64_t now)
{
    struct netcheck_family *const both[] = {&n->ipv4, &n->ipv6};
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->test.step != NETCHECK_IDLE && stuntx_is_over(&both[i]->test.tx, now)) {
            on_silence(n, both[i], now);
        }
    }
}

static uint64_t test_next(const struct netcheck_test *t)
{
    return t->step == NETCHECK_IDLE ? TIME_NEVER : t->tx.next_ns;
}

uint64_t netcheck_next_ns(const struct netcheck *n)
{
    return time_min(test_next(&n->ipv4.test), test_next(&n->ipv6.test));
}

bool netcheck_event(struct netcheck *n, struct netcheck_event *ev)
{
    bool ipv4 = n->ipv4.test.tell_done;
    bool *tell = ipv4 ? &n->ipv4.test.tell_done : &n->ipv6.test.tell_done;
    if (!*tell) {
        return false;
    }
    *tell = false;
    *ev = (struct netcheck_event){.type = NETCHECK_EV_DONE, .family = ipv4 ? ADDR_IPV4 : ADDR_IPV6};
    return true;
}
