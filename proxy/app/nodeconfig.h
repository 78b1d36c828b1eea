/* struct config as the library wants it: the same facts, other shapes. */
#ifndef APP_NODECONFIG_H
#define APP_NODECONFIG_H

#include "app/app.h"

#include <adit/adit.h>

struct nodeconfig {
    struct adit_config node;
    /* What `node` points into. */
    struct adit_stun_config *stun;
    struct adit_relay_config *relays;
    char (*relay_names)[CONFIG_HOST_MAX + 8];
    struct httpproxy *proxies; /* as many as relays */
    struct adit_peer_config *peers;
    size_t *peer_relays;
    char *endpoint_texts;
    const char **endpoints;
};

/* Borrows texts of `config`, and looks at the environment for proxies. 0 or ERR_NO_MEMORY. */
int nodeconfig_init(struct nodeconfig *n, const struct config *config,
                    const struct app_secrets *secrets, const struct log *log);
/* Wipes the secrets. */
void nodeconfig_deinit(struct nodeconfig *n);

#endif
