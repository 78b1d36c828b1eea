#include "control/why.h"

#include "control/put.h"

static void put_where(struct builder *b, cJSON *to, const struct control_where *w)
{
    put_text(b, to, "kind", w->kind);
    put_text(b, to, "address", w->address);
    put_text(b, to, "relay", w->relay);
}

char *control_ping_json(const struct control_pong *p)
{
    struct builder b = {0};
    cJSON *root = cJSON_CreateObject();
    put_text(&b, root, "peer", p->peer);
    put_number(&b, root, "rtt_us", p->rtt_us);
    put_where(&b, put_object(&b, root, "path"), &p->path);
    return put_end(&b, root);
}

static void put_path(struct builder *b, cJSON *paths, const struct control_why_path *p)
{
    cJSON *path = put_item(b, paths);
    put_where(b, path, &p->where);
    put_bool(b, path, "used", p->used);
    put_bool(b, path, "answered", p->answered);
    put_bool(b, path, "trusted", p->trusted);
    put_bool(b, path, "extra_socket", p->extra_socket);
    put_number(b, path, "rtt_us", p->rtt_us);
    put_number(b, path, "last_answer_s", p->last_answer_s);
    put_number(b, path, "bytes_sent", p->bytes_sent);
    put_number(b, path, "packets_sent", p->packets_sent);
    put_number(b, path, "packets_lost", p->packets_lost);
    put_text(b, path, "reason", p->reason);
}

static void put_candidate(struct builder *b, cJSON *list, const struct control_why_candidate *c)
{
    cJSON *candidate = put_item(b, list);
    put_text(b, candidate, "kind", c->kind);
    put_text(b, candidate, "address", c->address);
    put_bool(b, candidate, "answered", c->answered);
    put_number(b, candidate, "probes", c->probes);
    put_number(b, candidate, "last_probe_s", c->last_probe_s);
    put_number(b, candidate, "rtt_us", c->rtt_us);
    put_text(b, candidate, "reason", c->reason);
}

static void put_own(struct builder *b, cJSON *root, const struct control_why *w)
{
    cJSON *list = put_array(b, root, "our_candidates");
    for (size_t i = 0; i < w->own_count; i++) {
        cJSON *own = put_item(b, list);
        put_text(b, own, "kind", w->own[i].kind);
        put_text(b, own, "address", w->own[i].address);
    }
}

char *control_why_json(const struct control_why *w)
{
    struct builder b = {0};
    cJSON *root = cJSON_CreateObject();
    put_text(&b, root, "peer", w->peer);
    put_text(&b, root, "state", w->state);
    put_text(&b, root, "text", w->text);
    put_bool(&b, root, "searching", w->searching);
    put_number(&b, root, "searching_s", w->searching_s);
    put_text(&b, root, "our_mapping", w->our_mapping);
    put_text(&b, root, "their_nat", w->their_nat);
    put_text(&b, root, "birthday", w->birthday);
    put_number(&b, root, "birthday_wait_s", w->birthday_wait_s);
    cJSON *paths = put_array(&b, root, "paths");
    for (size_t i = 0; i < w->path_count; i++) {
        put_path(&b, paths, &w->paths[i]);
    }
    cJSON *candidates = put_array(&b, root, "candidates");
    for (size_t i = 0; i < w->candidate_count; i++) {
        put_candidate(&b, candidates, &w->candidates[i]);
    }
    put_own(&b, root, w);
    return put_end(&b, root);
}

char *control_route_json(const struct control_route *r)
{
    struct builder b = {0};
    cJSON *root = cJSON_CreateObject();
    put_text(&b, root, "target", r->target);
    put_text(&b, root, "goes", r->goes);
    put_text(&b, root, "peer", r->peer);
    put_text(&b, root, "rule", r->rule);
    put_text(&b, root, "text", r->text);
    put_text(&b, root, "exit_target", r->exit_target);
    put_text(&b, root, "state", r->state);
    put_where(&b, put_object(&b, root, "path"), &r->path);
    return put_end(&b, root);
}

char *control_bench_json(const struct control_bench *m)
{
    struct builder b = {0};
    cJSON *root = cJSON_CreateObject();
    put_text(&b, root, "peer", m->peer);
    put_text(&b, root, "direction", m->direction);
    put_number(&b, root, "bytes", m->bytes);
    put_number(&b, root, "took_us", m->took_us);
    put_number(&b, root, "bits_per_s", m->bits_per_s);
    put_number(&b, root, "path_changes", m->path_changes);
    put_text(&b, root, "aead", m->aead);
    put_where(&b, put_object(&b, root, "path"), &m->path);
    cJSON *trips = put_object(&b, root, "round_trips");
    put_number(&b, trips, "count", m->trips);
    put_number(&b, trips, "min_us", m->trip_min_us);
    put_number(&b, trips, "median_us", m->trip_median_us);
    put_number(&b, trips, "max_us", m->trip_max_us);
    return put_end(&b, root);
}
