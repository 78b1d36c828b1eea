/* adit_netcheck: asks everybody at once, waits for all or for the end of its time, and says what
 * came of it. */
#include "loop/netcheck_internal.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <string.h>

#include "os/sysclock.h"
#include "os/sysrng.h"

/* --- report --- */

static void fill_family(struct adit_netcheck_family *out, const struct netcheck_verdict *v)
{
    *out = (struct adit_netcheck_family){
        .asked = v->tried,
        .udp = v->udp,
        .mapping = netcheck_mapping_text(v->mapping),
        .filtering = netcheck_filtering_text(v->filtering),
        .port_preserved = v->port_preserved,
        .step = v->step,
        .public_count = v->public_count,
    };
    _Static_assert((int)ADIT_NETCHECK_PUBLICS_MAX == (int)NETCHECK_PUBLICS_MAX, "same ceiling");
    memcpy(out->publics, v->publics, sizeof(out->publics));
}

static void fill_report(struct adit_netcheck *c)
{
    struct adit_netcheck_report *r = &c->report;
    struct netcheck_report verdict;
    netcheck_report(&c->netcheck, &verdict);
    r->text = verdict.text;
    fill_family(&r->ipv4, &verdict.ipv4);
    fill_family(&r->ipv6, &verdict.ipv6);
    size_t relays = 0;
    r->relays = c->relay_results;
    for (int i = 0; i < STUNCLIENT_SERVERS_MAX; i++) {
        const struct stunclient_server *s = stunclient_get(&c->stun, i);
        r->stun_asked += s != NULL;
        r->stun_answered += s && s->mapped.family != ADDR_NONE;
    }
    r->answered = r->stun_answered > 0 || r->portmap != ADIT_PORTMAP_NONE;
    for (size_t i = 0; i < r->relay_count; i++) {
        r->answered = r->answered || r->relays[i].status != 0;
        r->captive_portal = r->captive_portal || r->relays[i].portal;
        relays += r->relays[i].answered;
    }
    if (r->captive_portal && relays == 0 && r->stun_answered == 0) {
        r->text =
            "somebody else answers in the relays' place, as a captive portal does: log in there, "
            "with a browser";
    }
    if (!r->answered && r->stun_asked + r->relay_count > 0) {
        r->text = "nothing answers: there is no network, or what was asked is down";
    }
}

/* --- end --- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct adit_netcheck *c = handle->data;
    udp_batch_deinit(&c->batch);
    mem_free(c);
}

/* The memory stays until the loop comes round. */
void adit_netcheck_cancel(struct adit_netcheck *c)
{
    CHECK(!c->ended);
    c->ended = true;
    netcheck_tcp_stop(c);
    netcheck_udp_stop(c);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void end(struct adit_netcheck *c)
{
    fill_report(c);
    adit_netcheck_cancel(c);
    c->done(c->user, &c->report);
}

/* --- life --- */

static void on_timer(uv_timer_t *timer)
{
    netcheck_uv_go_on(timer->data);
}

/* In libuv's milliseconds, never too early. */
static void arm(struct adit_netcheck *c, uint64_t at, uint64_t now)
{
    uint64_t ms = (time_since(now, at) + NS_PER_MS - 1) / NS_PER_MS;
    uv_update_time(c->loop);
    (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

void netcheck_uv_go_on(struct adit_netcheck *c)
{
    uint64_t now = sys_now_ns();
    uint64_t spent = time_since(c->started_ns, now);
    if (c->ended) {
        return;
    }
    bool late = spent >= CHECK_MEASURE_NS;
    if (late) {
        netcheck_udp_release(c, now);
    }
    netcheck_udp_pump(c, now);
    bool all = late || (netcheck_udp_is_over(c) && netcheck_tcp_is_over(c));
    if ((all && netcheck_udp_has_released(c)) || spent >= CHECK_END_NS) {
        end(c);
        return;
    }
    uint64_t limit = c->started_ns + (late ? CHECK_END_NS : CHECK_MEASURE_NS);
    limit = c->upnp ? time_min(limit, now + CHECK_LOOK_NS) : limit; /* it does not say all */
    arm(c, time_min(netcheck_udp_next_ns(c), limit), now);
}

int adit_netcheck_start(struct uv_loop_s *loop, const struct adit_netcheck_config *config,
                        void (*done)(void *user, const struct adit_netcheck_report *report),
                        void *user, struct adit_netcheck **out)
{
    struct adit_netcheck *c = mem_new(1, sizeof(*c));
    if (!c || udp_batch_init(&c->batch) != 0) {
        mem_free(c);
        return ERR_NO_MEMORY;
    }
    c->loop = loop;
    c->config = *config;
    c->done = done;
    c->user = user;
    c->started_ns = sys_now_ns();
    (void)uv_timer_init(loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    stunclient_init(&c->stun, NULL, sys_rng());
    netcheck_init(&c->netcheck, sys_rng());
    netcheck_set_plan(&c->netcheck, &stuntx_plan_brief);
    portmap_init(&c->portmap, sys_rng(), config->log);
    int err = netcheck_udp_start(c);
    if (err != 0) {
        adit_netcheck_cancel(c);
        return err;
    }
    netcheck_tcp_start(c);
    arm(c, c->started_ns, c->started_ns);
    *out = c;
    return 0;
}
