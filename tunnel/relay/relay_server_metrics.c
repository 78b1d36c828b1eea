/* The counters as text for Prometheus (text format 0.0.4). */
#include "relay/relay_server_internal.h"

#include "relay/stun_server.h"

#include <base/check.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *at;
    size_t left;
};

enum kind { GAUGE, COUNTER };

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < t->left); /* SERVER_METRICS_MAX is room for all */
    t->at += n;
    t->left -= (size_t)n;
}

static void put_head(struct text *t, enum kind kind, const char *name, const char *help)
{
    put(t, "# HELP adit_relay_%s %s\n# TYPE adit_relay_%s %s\n", name, help, name,
        kind == GAUGE ? "gauge" : "counter");
}

static void put_value(struct text *t, const char *name, const char *labels, uint64_t value)
{
    put(t, "adit_relay_%s%s %" PRIu64 "\n", name, labels, value);
}

static void put_one(struct text *t, enum kind kind, const char *name, const char *help,
                    uint64_t value)
{
    put_head(t, kind, name, help);
    put_value(t, name, "", value);
}

struct part {
    const char *labels;
    uint64_t value;
};

static void put_parts(struct text *t, const char *name, const char *help, const struct part *parts,
                      size_t count)
{
    put_head(t, COUNTER, name, help);
    for (size_t i = 0; i < count; i++) {
        put_value(t, name, parts[i].labels, parts[i].value);
    }
}

#define PUT_PARTS(t, name, help, parts)                                                            \
    put_parts((t), (name), (help), (parts), sizeof(parts) / sizeof((parts)[0]))

static void put_traffic(struct text *t, const struct relay_server_stats *s)
{
    const struct part packets[] = {{"{way=\"in\"}", s->packets_in},
                                   {"{way=\"out\"}", s->packets_out}};
    const struct part bytes[] = {{"{way=\"in\"}", s->bytes_in}, {"{way=\"out\"}", s->bytes_out}};
    const struct part dropped[] = {
        {"{why=\"no_peer\"}", s->dropped[RELAY_DROP_NO_PEER]},
        {"{why=\"queue_head\"}", s->dropped[RELAY_DROP_QUEUE_HEAD]},
        {"{why=\"queue_tail\"}", s->dropped[RELAY_DROP_QUEUE_TAIL]},
        {"{why=\"memory\"}", s->dropped[RELAY_DROP_POOL]},
        {"{why=\"left\"}", s->dropped[RELAY_DROP_LEFT]},
    };
    _Static_assert(sizeof(dropped) / sizeof(dropped[0]) == RELAY_DROP_COUNT, "all of them");
    PUT_PARTS(t, "packets_total", "Packets received and forwarded.", packets);
    PUT_PARTS(t, "bytes_total", "Payload of these packets.", bytes);
    PUT_PARTS(t, "dropped_total", "Packets that were not forwarded.", dropped);
    put_one(t, COUNTER, "control_dropped_total", "Small frames that found too many waiting.",
            s->control_dropped);
    put_one(t, COUNTER, "frames_skipped_total", "Frames of types that mean nothing here.",
            s->frames_skipped);
    put_one(t, COUNTER, "peer_gone_total", "Notices that a peer is not here.", s->peer_gone_sent);
    put_one(t, COUNTER, "paused_total", "Times that a client was over its rate.", s->paused);
    put_one(t, GAUGE, "contacts", "Who is told of whose leaving: pairs.", s->contacts);
    put_one(t, COUNTER, "contacts_refused_total", "Contacts past a ceiling.", s->contacts_refused);
}

static void put_clients(struct text *t, const struct relay_server_stats *s)
{
    const struct part refused[] = {
        {"{why=\"clients\"}", s->refused[RELAY_REFUSED_CLIENTS]},
        {"{why=\"address\"}", s->refused[RELAY_REFUSED_ADDRESS]},
        {"{why=\"memory\"}", s->refused[RELAY_REFUSED_MEMORY]},
    };
    _Static_assert(sizeof(refused) / sizeof(refused[0]) == RELAY_REFUSED_COUNT, "all of them");
    put_one(t, GAUGE, "connections", "Connections of any kind.", s->connections);
    put_one(t, GAUGE, "clients", "Clients that are logged in.", s->clients);
    put_one(t, COUNTER, "accepted_total", "Connections taken.", s->accepted);
    put_one(t, COUNTER, "logins_total", "Logins.", s->logins);
    put_one(t, COUNTER, "reloads_total", "Times that the configuration was read again.",
            s->reloads);
    PUT_PARTS(t, "refused_total", "Connections that were not taken.", refused);
    put_head(t, COUNTER, "closed_total", "Connections that ended.");
    for (unsigned i = 0; i < RELAY_CLOSE_COUNT; i++) {
        put(t, "adit_relay_closed_total{why=\"%s\"} %" PRIu64 "\n",
            relay_close_text((enum relay_close)i), s->closed[i]);
    }
}

static void put_stun(struct text *t, const struct stun_server_stats *s)
{
    const struct part requests[] = {
        {"{result=\"answered\"}", s->answered},
        {"{result=\"refused\"}", s->refused},
        {"{result=\"limited\"}", s->limited},
        {"{result=\"ignored\"}", s->ignored},
    };
    PUT_PARTS(t, "stun_total", "Datagrams at the STUN server.", requests);
}

static void put_cluster(struct text *t, const struct relay_server *s)
{
    const struct cluster *c = server_cluster_core(s);
    const struct cluster_stats *n = &c->stats;
    const struct part packets[] = {{"{way=\"in\"}", n->packets_in},
                                   {"{way=\"out\"}", n->packets_out}};
    const struct part bytes[] = {{"{way=\"in\"}", n->bytes_in}, {"{way=\"out\"}", n->bytes_out}};
    put_one(t, GAUGE, "cluster_up", "Whether the cluster's messaging works.", c->up);
    put_one(t, GAUGE, "cluster_relays", "Other relays of the cluster.", cluster_process_count(c));
    PUT_PARTS(t, "cluster_packets_total", "Packets from and to other relays.", packets);
    PUT_PARTS(t, "cluster_bytes_total", "Payload of these packets.", bytes);
    put_one(t, COUNTER, "cluster_asked_total", "Keys that were looked for.", n->asked);
    put_one(t, COUNTER, "cluster_not_here_total", "Of these, nowhere.", n->not_here);
    put_one(t, COUNTER, "cluster_moved_total", "Keys that came to be elsewhere.", n->moved);
    put_one(t, COUNTER, "cluster_strays_total", "Packets for keys that are not here.", n->strays);
    put_one(t, COUNTER, "cluster_dropped_total", "Packets without a way.", n->dropped);
    put_one(t, COUNTER, "cluster_refused_total", "What found a table full.", n->refused);
    put_one(t, COUNTER, "cluster_unknown_total", "Messages that make no sense.", n->unknown);
    put_one(t, COUNTER, "cluster_stale_total", "Messages of long ago.", n->stale);
    put_one(t, COUNTER, "cluster_links_total", "Times that the messaging came up.", n->links);
}

static void put_cluster_io(struct text *t, const struct relay_cluster_io_stats *io)
{
    const struct part dropped[] = {{"{way=\"in\"}", io->dropped_in},
                                   {"{way=\"out\"}", io->dropped_out}};
    PUT_PARTS(t, "cluster_overflow_total", "Messages that found too many waiting.", dropped);
    put_one(t, COUNTER, "cluster_losses_total", "Connections to the messaging that were lost.",
            io->losses);
    put_one(t, COUNTER, "cluster_slow_total", "Times that this relay was too slow for it.",
            io->slow);
    put_one(t, COUNTER, "cluster_forged_total", "Messages without proof, or too long.", io->forged);
}

size_t server_metrics(const struct relay_server *s, char out[SERVER_METRICS_MAX])
{
    struct text t = {out, SERVER_METRICS_MAX};
    put_clients(&t, &s->stats);
    put_traffic(&t, &s->stats);
    put_one(&t, GAUGE, "pool_bytes", "Memory of queues and half-received frames.", s->pool.bytes);
    if (s->config.stun) {
        put_stun(&t, s->config.stun);
    }
    if (server_cluster_core(s)) {
        put_cluster(&t, s);
    }
    if (server_cluster_io(s)) {
        put_cluster_io(&t, server_cluster_io(s));
    }
    return SERVER_METRICS_MAX - t.left;
}
