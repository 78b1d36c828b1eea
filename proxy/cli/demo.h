/* The small world of `adit demo`: a relay, the nodes `home` and `laptop`, a web page at home. */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include "app/app.h"
#include "app/daemon.h"
#include "app/logsink.h"
#include "cli/fetch.h"
#include "cli/page.h"

#include <adit/relay.h>

#include <stdbool.h>
#include <stdint.h>

struct demo_node {
    const char *name;
    uint8_t public_key[ADIT_KEY_LEN];
    struct app_secrets secrets;
    struct config *config;
    struct logsink sink;
    struct app *app;
};

struct demo {
    struct daemon daemon;
    struct pool pool; /* for the page's server and the fetch */
    char folder[64];
    struct logsink sink;
    struct adit_relay *relay;
    struct addr relay_address;
    struct demo_node home, laptop;
    struct page_server *page;
    struct addr page_address, socks_address;
    struct fetch *fetch;
    uv_timer_t timer; /* waits for the direct path */
    uint64_t give_up_ms;
    bool once;
    int code; /* exit code */
};

/* Starts everything, the SOCKS port at 127.0.0.1:`port` (0 = 1080, or a free one if that is
 * taken). 0, or a negative error after a message; demo_close either way. */
int demo_open(struct demo *d, uint16_t port);
/* Begins to close everything that was opened; the loop ends when that is done. */
void demo_close(struct demo *d);
/* After the loop has ended. */
void demo_free(struct demo *d);

#endif
