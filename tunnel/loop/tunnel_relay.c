/* The relay for the program (include/adit/relay.h): relay_uv.h with the system's randomness. */
#include <adit/relay.h>

#include <base/err.h>
#include <base/mem.h>

#include <string.h>

#include "loop/relay_uv.h"
#include "os/sysrng.h"

struct adit_relay {
    struct relay_uv *uv;
    void (*stopped)(void *user);
    void *user;
};

int adit_relay_start(struct uv_loop_s *loop, const struct adit_relay_server_config *config,
                     struct adit_relay **out)
{
    struct adit_relay *r = mem_new(1, sizeof(*r));
    if (!r) {
        return ERR_NO_MEMORY;
    }
    struct relay_uv_config uv = {
        .listen = config->listen,
        .listen_count = config->listen_count,
        .server = {.open = config->open,
                   .allowed = config->allow,
                   .allowed_count = config->allow_count,
                   .limits = {.clients_max = config->clients_max,
                              .clients_per_address_max = config->clients_per_address_max,
                              .queue_packets_max = config->queue_packets_max,
                              .rate_bytes_per_s = config->rate_bytes_per_s},
                   .rng = sys_rng(),
                   .log = config->log},
    };
    memcpy(uv.server.secret, config->secret, sizeof(uv.server.secret));
    int err = relay_uv_start(loop, &uv, &r->uv);
    adit_key_wipe(uv.server.secret, sizeof(uv.server.secret));
    if (err != 0) {
        mem_free(r);
        return err;
    }
    *out = r;
    return 0;
}

bool adit_relay_address(const struct adit_relay *r, size_t i, struct addr *out)
{
    return relay_uv_address(r->uv, i, out) == 0;
}

static void on_stopped(void *user)
{
    struct adit_relay *r = user;
    if (r->stopped) {
        r->stopped(r->user);
    }
    mem_free(r);
}

void adit_relay_stop(struct adit_relay *r, void (*stopped)(void *user), void *user)
{
    r->stopped = stopped;
    r->user = user;
    relay_uv_stop(r->uv, on_stopped, r);
}
