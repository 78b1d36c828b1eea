/* A relay of a cluster: its core and its messaging, joined. */
#include "loop/relay_uv_internal.h"

void relay_uv_cluster_tell(struct relay_uv *r, uint64_t now)
{
    struct relay_cluster_output out;
    while (r->cluster && relay_server_cluster_output(r->server, &out, now)) {
        cluster_nats_do(r->cluster, &out);
    }
}

static void on_cluster_link(void *user, bool up)
{
    struct relay_uv *r = user;
    relay_server_cluster_link(r->server, up, uv_hrtime());
}

static void on_cluster_message(void *user, const uint8_t *data, size_t len)
{
    struct relay_uv *r = user;
    relay_server_cluster_input(r->server, data, len, uv_hrtime());
}

static void on_cluster_nobody(void *user, const uint8_t key[32])
{
    struct relay_uv *r = user;
    relay_server_cluster_nobody(r->server, key, uv_hrtime());
}

static void on_cluster_turn_end(void *user)
{
    relay_uv_run_events(user, uv_hrtime());
}

static void on_cluster_stopped(void *user)
{
    relay_uv_handle_gone(user);
}

int relay_uv_cluster_join(struct relay_uv *r, const struct cluster_nats_config *config)
{
    static const struct cluster_nats_callbacks hears = {.on_link = on_cluster_link,
                                                        .on_message = on_cluster_message,
                                                        .on_nobody = on_cluster_nobody,
                                                        .on_turn_end = on_cluster_turn_end};
    struct cluster_nats_config c = *config;
    c.process = relay_server_cluster_id(r->server);
    c.stats = &r->cluster_stats;
    c.log = r->log;
    int err = cluster_nats_start(r->loop, &c, &hears, r, &r->cluster);
    r->handles += err == 0;
    return err;
}

void relay_uv_cluster_leave(struct relay_uv *r, uint64_t now)
{
    if (r->cluster) {
        relay_server_cluster_bye(r->server);
        relay_uv_cluster_tell(r, now);
        cluster_nats_stop(r->cluster, on_cluster_stopped, r);
        r->cluster = NULL;
    }
}
