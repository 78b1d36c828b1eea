#include "path/netcheck.h"

#include <stdlib.h>
#include <string.h>

/* Silence of one server says nothing about UDP while another one has answered so lately. */
#define HEARD_LATELY_NS (60 * NS_PER_S)
/* Mappings made further apart than this had others' in between: no sequence to be seen. */
#define BURST_NS (10 * NS_PER_S)

enum { SEQUENCE_MIN = 3 };

void netcheck_init(struct netcheck *n, struct rng rng)
{
    *n = (struct netcheck){.rng = rng, .plan = &stuntx_plan_silence};
}

void netcheck_set_plan(struct netcheck *n, const struct stuntx_plan *plan)
{
    n->plan = plan;
}

void netcheck_reset(struct netcheck *n)
{
    struct netcheck_stats stats = n->stats;
    *n = (struct netcheck){.rng = n->rng, .plan = n->plan, .stats = stats};
}

static struct netcheck_family *family_of(struct netcheck *n, enum addr_family family)
{
    return family == ADDR_IPV6 ? &n->ipv6 : &n->ipv4;
}

/* --- observations --- */

void netcheck_add_host(struct netcheck *n, const struct addr *host)
{
    if (n->host_count == NETCHECK_HOSTS_MAX) {
        n->stats.no_room++;
        return;
    }
    n->hosts[n->host_count++] = addr_normalize(host);
}

void netcheck_set_port_mapped(struct netcheck *n, bool mapped)
{
    n->port_mapped = mapped;
}

static bool is_host(const struct netcheck *n, const struct addr *a)
{
    for (size_t i = 0; i < n->host_count; i++) {
        if (addr_equal(&n->hosts[i], a)) {
            return true;
        }
    }
    return false;
}

static bool all_are_hosts(const struct netcheck *n, const struct netcheck_family *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!is_host(n, &f->samples[i].mapped)) {
            return false;
        }
    }
    return f->count > 0;
}

/* What pairs of samples have to say. */
struct pairs {
    bool ip_same, ip_differs;     /* servers with different IPs: the mapping is, is not, the same */
    bool port_same, port_differs; /* one server's IP, different ports */
};

static struct pairs compare_all(const struct netcheck_family *f)
{
    struct pairs p = {0};
    for (size_t i = 0; i < f->count; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct netcheck_sample *a = &f->samples[i];
            const struct netcheck_sample *b = &f->samples[k];
            bool same = addr_equal(&a->mapped, &b->mapped);
            if (addr_equal_ip(&a->server, &b->server)) {
                *(same ? &p.port_same : &p.port_differs) = true;
            } else {
                *(same ? &p.ip_same : &p.ip_differs) = true;
            }
        }
    }
    return p;
}

static enum netcheck_mapping judge(const struct netcheck *n, const struct netcheck_family *f)
{
    struct pairs p = compare_all(f);
    if (all_are_hosts(n, f)) {
        return NETCHECK_MAPPING_NONE;
    }
    if (p.port_differs) {
        return NETCHECK_MAPPING_APDM;
    }
    if (p.ip_differs) {
        return p.port_same ? NETCHECK_MAPPING_ADM : NETCHECK_MAPPING_EDM;
    }
    return p.ip_same ? NETCHECK_MAPPING_EIM : NETCHECK_MAPPING_UNKNOWN;
}

static struct netcheck_sample *find_sample(struct netcheck_family *f, const struct addr *server)
{
    for (size_t i = 0; i < f->count; i++) {
        if (addr_equal(&f->samples[i].server, server)) {
            return &f->samples[i];
        }
    }
    return NULL;
}

/* A server sees another mapping than before: forget what it saw, and what was last confirmed before
 * the new mapping was made, for that may have ceased to hold too. */
static void drop_older(struct netcheck_family *f, const struct netcheck_sample *sample)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct netcheck_sample *s = &f->samples[i];
        if (s->heard_ns >= sample->since_ns && !addr_equal(&s->server, &sample->server)) {
            f->samples[kept++] = *s;
        }
    }
    f->count = kept;
}

static struct netcheck_sample *new_sample(struct netcheck_family *f)
{
    if (f->count < NETCHECK_SAMPLES_MAX) {
        return &f->samples[f->count++];
    }
    struct netcheck_sample *oldest = &f->samples[0];
    for (size_t i = 1; i < f->count; i++) {
        oldest = f->samples[i].heard_ns < oldest->heard_ns ? &f->samples[i] : oldest;
    }
    return oldest;
}

/* --- sequences of ports --- */

static int by_order(const void *a, const void *b)
{
    const struct netcheck_sample *x = a;
    const struct netcheck_sample *y = b;
    if (x->since_ns != y->since_ns) {
        return x->since_ns < y->since_ns ? -1 : 1;
    }
    return (x->order > y->order) - (x->order < y->order);
}

/* All samples in the order in which the NAT made their mappings. */
static void sort_samples(const struct netcheck_family *f,
                         struct netcheck_sample out[NETCHECK_SAMPLES_MAX])
{
    memcpy(out, f->samples, f->count * sizeof(*out));
    qsort(out, f->count, sizeof(*out), by_order);
}

static int gcd_of(int a, int b)
{
    while (b != 0) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Those of the last burst that bear its last IP. */
static size_t last_burst(const struct netcheck_family *f,
                         struct netcheck_sample out[NETCHECK_SAMPLES_MAX])
{
    size_t kept = 0;
    sort_samples(f, out);
    for (size_t i = 0; i < f->count; i++) {
        const struct netcheck_sample *last = &out[f->count - 1];
        if (time_since(out[i].since_ns, last->since_ns) <= BURST_NS &&
            addr_equal_ip(&out[i].mapped, &last->mapped)) {
            out[kept++] = out[i];
        }
    }
    return kept;
}

/* The step from port to port, 0 if they follow none. Others' mappings in between make gaps that
 * are multiples of it. */
static int step_of(const struct netcheck_sample *burst, size_t count)
{
    int step = 0;
    for (size_t i = 1; i < count; i++) {
        int delta = burst[i].mapped.port - burst[i - 1].mapped.port;
        bool turned = step != 0 && (delta < 0) != (step < 0);
        if (delta == 0 || turned || abs(delta) > NETCHECK_STEP_MAX) {
            return 0;
        }
        int size = gcd_of(abs(delta), abs(step));
        step = delta < 0 ? -size : size;
    }
    return step;
}

/* A burst too short to tell leaves what was found before. */
static void look_for_step(struct netcheck_family *f)
{
    struct netcheck_sample burst[NETCHECK_SAMPLES_MAX];
    size_t count = last_burst(f, burst);
    if (count >= 2) {
        f->close = step_of(burst, count) != 0;
    }
    if (count >= SEQUENCE_MIN) {
        f->step = step_of(burst, count);
    }
}

/* --- what is handed in --- */

void netcheck_observe(struct netcheck *n, const struct netcheck_sample *sample)
{
    struct netcheck_family *f = family_of(n, (enum addr_family)sample->mapped.family);
    struct netcheck_sample *known = find_sample(f, &sample->server);
    if (known && !addr_equal(&known->mapped, &sample->mapped)) {
        drop_older(f, sample);
        known = NULL;
    }
    *(known ? known : new_sample(f)) = *sample;
    f->tried = true;
    f->udp = true;
    f->heard_ns = sample->heard_ns;
    enum netcheck_mapping mapping = judge(n, f);
    f->mapping = mapping == NETCHECK_MAPPING_UNKNOWN ? f->mapping : mapping;
    look_for_step(f);
}

void netcheck_unanswered(struct netcheck *n, enum addr_family family, uint64_t now)
{
    struct netcheck_family *f = family_of(n, family);
    f->tried = true;
    f->udp = f->udp && time_since(f->heard_ns, now) < HEARD_LATELY_NS;
}

static bool is_hard(enum netcheck_mapping mapping)
{
    return mapping == NETCHECK_MAPPING_ADM || mapping == NETCHECK_MAPPING_APDM ||
           mapping == NETCHECK_MAPPING_EDM;
}

bool netcheck_is_sequence(const struct netcheck *n, enum addr_family family)
{
    const struct netcheck_family *f = family == ADDR_IPV6 ? &n->ipv6 : &n->ipv4;
    return is_hard(f->mapping) && f->close;
}

size_t netcheck_predict(const struct netcheck *n, enum addr_family family, struct addr *out,
                        size_t cap)
{
    const struct netcheck_family *f = family == ADDR_IPV6 ? &n->ipv6 : &n->ipv4;
    struct netcheck_sample sorted[NETCHECK_SAMPLES_MAX];
    size_t count = 0;
    if (!is_hard(f->mapping) || f->step == 0 || f->count == 0) {
        return 0;
    }
    sort_samples(f, sorted);
    struct addr next = sorted[f->count - 1].mapped;
    for (long port = next.port + f->step; count < cap && port > 0 && port <= UINT16_MAX;
         port += f->step) {
        next.port = (uint16_t)port;
        out[count++] = next;
    }
    return count;
}

/* --- report --- */

const char *netcheck_mapping_text(enum netcheck_mapping mapping)
{
    static const char *const texts[] = {
        [NETCHECK_MAPPING_UNKNOWN] = "unknown",
        [NETCHECK_MAPPING_NONE] = "none",
        [NETCHECK_MAPPING_EIM] = "endpoint-independent",
        [NETCHECK_MAPPING_ADM] = "address-dependent",
        [NETCHECK_MAPPING_APDM] = "address-and-port-dependent",
        [NETCHECK_MAPPING_EDM] = "endpoint-dependent",
    };
    return texts[mapping];
}

const char *netcheck_filtering_text(enum netcheck_filtering filtering)
{
    static const char *const texts[] = {
        [NETCHECK_FILTERING_UNKNOWN] = "unknown",
        [NETCHECK_FILTERING_EIF] = "endpoint-independent",
        [NETCHECK_FILTERING_ADF] = "address-dependent",
        [NETCHECK_FILTERING_APDF] = "address-and-port-dependent",
    };
    return texts[filtering];
}

static void add_public(struct netcheck_verdict *v, const struct addr *mapped)
{
    struct addr ip = *mapped;
    ip.port = 0;
    for (size_t i = 0; i < v->public_count; i++) {
        if (addr_equal(&v->publics[i], &ip)) {
            return;
        }
    }
    if (v->public_count < NETCHECK_PUBLICS_MAX) {
        v->publics[v->public_count++] = ip;
    }
}

static bool keeps_ports(const struct netcheck *n, const struct netcheck_family *f)
{
    bool all = f->count > 0 && n->host_count > 0;
    for (size_t i = 0; i < f->count; i++) {
        all = all && f->samples[i].mapped.port == n->hosts[0].port;
    }
    return all;
}

static void fill_verdict(const struct netcheck *n, const struct netcheck_family *f,
                         struct netcheck_verdict *v)
{
    struct netcheck_sample sorted[NETCHECK_SAMPLES_MAX];
    *v = (struct netcheck_verdict){.tried = f->tried,
                                   .udp = f->udp,
                                   .mapping = f->mapping,
                                   .filtering = f->filtering,
                                   .port_preserved = keeps_ports(n, f)};
    v->step = is_hard(f->mapping) ? f->step : 0;
    v->sequential = v->step != 0;
    sort_samples(f, sorted);
    for (size_t i = f->count; i > 0; i--) {
        add_public(v, &sorted[i - 1].mapped);
    }
}

static bool is_easy(const struct netcheck_verdict *v)
{
    return v->udp && (v->mapping == NETCHECK_MAPPING_NONE || v->mapping == NETCHECK_MAPPING_EIM);
}

static bool is_open(const struct netcheck_verdict *v)
{
    return is_easy(v) && v->filtering == NETCHECK_FILTERING_EIF;
}

/* Most of the Internet is reached over IPv4, so its verdict leads. */
static const char *sentence(const struct netcheck *n, const struct netcheck_verdict *v4,
                            const struct netcheck_verdict *v6)
{
    if (!v4->tried && !v6->tried) {
        return "nothing is known yet: no STUN server has been asked";
    }
    if (!v4->udp && !v6->udp) {
        return "UDP does not get through here: every connection goes through a relay";
    }
    if (n->port_mapped || is_open(v4)) {
        return "direct connections will work with everything that lets UDP through";
    }
    if (is_easy(v4)) {
        return "direct connections will work with everything that lets UDP through, after a few "
               "seconds where the other side is a hard NAT";
    }
    if (!v4->udp) {
        return "direct connections will work over IPv6 only: IPv4 peers go through a relay";
    }
    if (v4->mapping == NETCHECK_MAPPING_UNKNOWN) {
        return "UDP works, but too few servers answered to tell how the NAT behaves";
    }
    if (is_easy(v6)) {
        return "direct connections will work with everything over IPv6, and over IPv4 with "
               "everything but other hard NATs";
    }
    if (v4->sequential) {
        return "direct connections will work with everything but other hard NATs: this one is "
               "hard, but gives out its ports in sequence";
    }
    return "direct connections will work with everything but other hard NATs, after a few seconds "
           "where the other side is a NAT too";
}

void netcheck_report(const struct netcheck *n, struct netcheck_report *out)
{
    fill_verdict(n, &n->ipv4, &out->ipv4);
    fill_verdict(n, &n->ipv6, &out->ipv6);
    out->text = sentence(n, &out->ipv4, &out->ipv6);
}
