/* app_why, app_route: the node's view of a peer and of a target, as JSON. */
#include "control/why.h"
#include "app/app_internal.h"
#include "policy/explain.h"

#include <adit/why.h>
#include <base/mem.h>

/* Everything of one answer. */
struct answer {
    struct adit_why why;
    struct control_why out;
    struct control_why_path paths[ADIT_WHY_PATHS_MAX];
    struct control_why_candidate candidates[ADIT_WHY_CANDIDATES_MAX];
    struct control_why_candidate own[ADIT_WHY_CANDIDATES_MAX];
    char texts[ADIT_WHY_PATHS_MAX + 2 * ADIT_WHY_CANDIDATES_MAX][ADDR_TEXT_MAX];
    size_t text_count;
};

static uint64_t seconds(uint64_t ns)
{
    return ns == TIME_NEVER ? CONTROL_UNKNOWN : ns / NS_PER_S;
}

static uint64_t microseconds(uint64_t ns)
{
    return ns == 0 ? CONTROL_UNKNOWN : ns / NS_PER_US;
}

static const char *address(struct answer *a, const struct addr *addr)
{
    return addr_format(addr, a->texts[a->text_count++]);
}

static void take_path(struct answer *a, const struct adit_why_path *p)
{
    bool direct = p->kind == ADIT_PATH_DIRECT;
    a->paths[a->out.path_count++] = (struct control_why_path){
        .where = {.kind = app_path_kind_text(p->kind),
                  .address = direct ? address(a, &p->address) : NULL,
                  .relay = p->relay},
        .used = p->used,
        .answered = p->answered,
        .trusted = p->trusted,
        .extra_socket = p->extra_socket,
        .rtt_us = microseconds(p->rtt_ns),
        .last_answer_s = seconds(p->proof_ns),
        .bytes_sent = p->bytes_sent,
        .packets_sent = p->packets_sent,
        .packets_lost = p->packets_lost,
        .reason = p->reason,
    };
}

static void take_candidate(struct answer *a, const struct adit_why_candidate *c)
{
    a->candidates[a->out.candidate_count++] =
        (struct control_why_candidate){.kind = c->kind,
                                       .address = address(a, &c->address),
                                       .answered = c->answered,
                                       .probes = c->probes,
                                       .last_probe_s = seconds(c->age_ns),
                                       .rtt_us = microseconds(c->rtt_ns),
                                       .reason = c->reason};
}

static void take(struct answer *a)
{
    const struct adit_why *w = &a->why;
    a->out = (struct control_why){.peer = w->name,
                                  .state = app_peer_state_text(w->state),
                                  .text = w->text,
                                  .searching = w->searching,
                                  .searching_s = seconds(w->search_ns),
                                  .our_mapping = w->our_mapping,
                                  .their_nat = w->their_nat,
                                  .birthday = w->birthday,
                                  .birthday_wait_s = seconds(w->birthday_wait_ns),
                                  .paths = a->paths,
                                  .candidates = a->candidates,
                                  .own = a->own};
    for (size_t i = 0; i < w->path_count; i++) {
        take_path(a, &w->paths[i]);
    }
    for (size_t i = 0; i < w->candidate_count; i++) {
        take_candidate(a, &w->candidates[i]);
    }
    for (size_t i = 0; i < w->own_count; i++) {
        a->own[a->out.own_count++] = (struct control_why_candidate){
            .kind = w->own[i].kind, .address = address(a, &w->own[i].address)};
    }
}

char *app_why(const struct app *app, const char *peer)
{
    long index = adit_find_peer(app->ctx.node, peer);
    struct answer *a = index < 0 ? NULL : mem_new(1, sizeof(*a));
    char *json = NULL;
    if (a && adit_why(app->ctx.node, (size_t)index, &a->why)) {
        take(a);
        json = control_why_json(&a->out);
    }
    mem_free(a);
    return json;
}

char *app_route(const struct app *app, const struct target *target)
{
    struct explanation e;
    struct adit_peer_stats peer;
    char text[ADDR_TEXT_MAX];
    explain_route(app->ctx.config, target, &e);
    struct control_route out = {.target = e.target,
                                .goes = e.goes,
                                .peer = e.peer,
                                .rule = e.rule[0] != '\0' ? e.rule : NULL,
                                .text = e.text,
                                .exit_target = e.peer ? e.exit_target : NULL};
    if (e.peer && adit_peer_stats(app->ctx.node, e.route.peer, &peer)) {
        bool direct = peer.path.kind == ADIT_PATH_DIRECT;
        out.state = app_peer_state_text(peer.state);
        out.path = (struct control_where){
            .kind = app_path_kind_text(peer.path.kind),
            .address = direct ? addr_format(&peer.path.address, text) : NULL,
            .relay = peer.path.kind == ADIT_PATH_RELAY ? peer.path.relay : NULL};
    }
    return control_route_json(&out);
}
