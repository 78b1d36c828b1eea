/* A build without cnats. */
#include "loop/cluster_nats.h"

#include <base/check.h>
#include <base/err.h>

bool cluster_nats_is_there(void)
{
    return false;
}

int cluster_nats_start(uv_loop_t *loop, const struct cluster_nats_config *config,
                       const struct cluster_nats_callbacks *callbacks, void *user,
                       struct cluster_nats **out)
{
    (void)loop;
    (void)callbacks;
    (void)user;
    *out = NULL;
    LOG_AT(config->log, LOG_ERROR, "cluster", "not_usable",
           "why=\"this program was built without cnats\"");
    return ERR_REFUSED;
}

void cluster_nats_do(struct cluster_nats *c, const struct relay_cluster_output *out)
{
    (void)out;
    CHECK(!c); /* none was started */
}

void cluster_nats_stop(struct cluster_nats *c, void (*done)(void *user), void *user)
{
    (void)done;
    (void)user;
    CHECK(!c);
}
