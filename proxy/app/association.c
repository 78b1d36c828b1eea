#include "app/association.h"

#include <base/mem.h>

struct association {
    struct context *ctx;
    struct assoc core;
    struct udpsock *udp;
    struct own_place place;
    struct carrier carrier;
};

static void count(struct context *ctx, enum assoc_verdict verdict)
{
    switch (verdict) {
    case ASSOC_GOOD:
        ctx->counters.udp.from_clients++;
        break;
    case ASSOC_STRANGER:
        ctx->counters.udp.strangers++;
        break;
    case ASSOC_FRAGMENT:
        ctx->counters.udp.fragments++;
        break;
    case ASSOC_MALFORMED:
        ctx->counters.udp.malformed++;
        break;
    }
}

static void on_sent_by_client(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct association *a = user;
    struct udphead head;
    enum assoc_verdict verdict = assoc_input(&a->core, from, data, len, &head);
    count(a->ctx, verdict);
    if (verdict == ASSOC_GOOD) {
        carrier_send(&a->carrier, &head.target, data + head.len, len - head.len);
    }
}

static void on_answer(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct association *a = user;
    struct addr client;
    struct target source;
    target_set_addr(&source, from);
    uint8_t *at = udphead_put(data, true, &source);
    if (!assoc_client(&a->core, &client) ||
        udpsock_send(a->udp, &client, at, len + (size_t)(data - at)) != 0) {
        a->ctx->counters.udp.dropped++; /* larger than UDP with the head, for one */
    } else {
        a->ctx->counters.udp.to_clients++;
    }
}

enum cause association_start(struct context *ctx, const struct association_options *options,
                             struct association **out)
{
    bool room = ctx->associations < ctx->limits.associations_max;
    struct association *a = room ? mem_new(1, sizeof(*a)) : NULL;
    struct addr any_port = options->at;
    any_port.port = 0;
    if (!a || udpsock_open(ctx, &any_port, on_sent_by_client, a, &a->udp) != 0) {
        mem_free(a);
        ctx->counters.udp.associations_refused++;
        return CAUSE_LIMIT;
    }
    a->ctx = ctx;
    ctx->associations++;
    ctx->counters.udp.associations++;
    a->place = (struct own_place){.addr = udpsock_address(a->udp), .udp = true};
    own_add(&ctx->own, &a->place);
    assoc_init(&a->core, &options->client, options->said);
    carrier_init(&a->carrier, ctx, &options->way, on_answer, a);
    *out = a;
    return CAUSE_NONE;
}

struct addr association_address(const struct association *a)
{
    return udpsock_address(a->udp);
}

void association_stop(struct association *a)
{
    carrier_deinit(&a->carrier);
    own_remove(&a->place);
    udpsock_close(a->udp);
    a->ctx->associations--;
    mem_free(a);
}
