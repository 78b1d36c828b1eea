/* `adit demo`: a real fetch through a relay and two nodes, all in this process, on loopback. */
#include "cli/cli.h"
#include "cli/demo.h"

#include "app/tcp.h"

#include <base/check.h>
#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
    DIRECT_POLL_MS = 20,
    DIRECT_WAIT_MS = 5000,
    PORT_MAX = 65535,
};

static void stop(void *user)
{
    struct demo *d = user;
    uv_close((uv_handle_t *)&d->timer, NULL);
    demo_close(d);
}

static void print_how_to_try(const struct demo *d)
{
    char socks[ADDR_TEXT_MAX];
    unsigned port = d->page_address.port;
    (void)addr_format(&d->socks_address, socks);
    (void)printf("\nTry it yourself:\n"
                 "  curl --socks5-hostname %s http://home.peer:%u/\n"
                 "  chromium --proxy-server=socks5://%s http://home.peer:%u/\n"
                 "  adit status --socket %s/laptop.sock\n"
                 "  (any browser: SOCKS5 proxy %s, names resolved by the proxy)\n",
                 socks, port, socks, port, d->folder, socks);
}

static void print_path(const struct demo *d)
{
    struct adit_peer_stats s;
    char where[ADDR_TEXT_MAX];
    if (!app_peer_stats(d->laptop.app, 0, &s)) {
        return;
    }
    (void)addr_format(&s.path.address, where);
    switch (s.path.kind) {
    case ADIT_PATH_DIRECT:
        (void)printf("path             direct, %s\n", where);
        break;
    case ADIT_PATH_RELAY:
        (void)printf("path             relay \"%s\"\n", s.path.relay);
        break;
    case ADIT_PATH_NONE:
        (void)printf("path             none\n");
        break;
    }
    (void)printf("round-trip time  %.2f ms\n", (double)s.path.rtt_ns / 1e6);
    (void)printf("bytes            %llu in, %llu out\n", (unsigned long long)s.bytes_in,
                 (unsigned long long)s.bytes_out);
}

static void conclude(struct demo *d)
{
    print_path(d);
    if (d->once) {
        daemon_stop(&d->daemon);
        return;
    }
    print_how_to_try(d);
    (void)printf("\nCtrl-C ends it.\n");
    (void)fflush(stdout);
}

/* The session starts on whatever answers first; a moment later it should be direct. */
static void on_timer(uv_timer_t *timer)
{
    struct demo *d = timer->data;
    struct adit_peer_stats s;
    bool direct = app_peer_stats(d->laptop.app, 0, &s) && s.path.kind == ADIT_PATH_DIRECT &&
                  s.path.rtt_ns > 0;
    if (direct || uv_now(&d->daemon.loop) >= d->give_up_ms) {
        (void)uv_timer_stop(timer);
        conclude(d);
    }
}

static void on_fetched(void *user, const struct fetch_result *r)
{
    struct demo *d = user;
    d->fetch = NULL;
    if (r->error) {
        cli_error(r->cause ? "the fetch failed: %s (%s)" : "the fetch failed: %s", r->error,
                  cause_name(r->cause));
        daemon_stop(&d->daemon);
        return;
    }
    bool same = r->status == 200 && r->body_len == strlen(page_text) &&
                memcmp(r->body, page_text, r->body_len) == 0;
    if (!same) {
        cli_error("the page arrived changed: status %u, %zu bytes instead of %zu", r->status,
                  r->body_len, strlen(page_text));
        daemon_stop(&d->daemon);
        return;
    }
    (void)printf("fetched          http://home.peer:%u/ through the SOCKS port: %zu bytes, "
                 "unchanged\n",
                 (unsigned)d->page_address.port, r->body_len);
    (void)fflush(stdout);
    d->code = EX_OK;
    d->give_up_ms = uv_now(&d->daemon.loop) + DIRECT_WAIT_MS;
    (void)uv_timer_start(&d->timer, on_timer, 0, DIRECT_POLL_MS);
}

static void print_world(const struct demo *d)
{
    char relay[ADDR_TEXT_MAX];
    char page[ADDR_TEXT_MAX];
    char home[ADDR_TEXT_MAX];
    char socks[ADDR_TEXT_MAX];
    struct addr local = app_local(d->home.app);
    (void)printf("relay            %s\n", addr_format(&d->relay_address, relay));
    (void)printf("node home        UDP %s, its web page %s\n", addr_format(&local, home),
                 addr_format(&d->page_address, page));
    (void)printf("node laptop      SOCKS5 %s\n", addr_format(&d->socks_address, socks));
    (void)fflush(stdout);
}

static void begin(struct demo *d, uint16_t port)
{
    static const char host[] = "home.peer";
    struct target page;
    if (demo_open(d, port) != 0) {
        daemon_stop(&d->daemon);
        return;
    }
    print_world(d);
    CHECK(target_set_name(&page, host, sizeof(host) - 1, d->page_address.port) == 0);
    d->fetch = fetch_start(&d->daemon.loop, &d->pool, &d->socks_address, &page, on_fetched, d);
    if (!d->fetch) {
        cli_error("out of memory or descriptors");
        daemon_stop(&d->daemon);
    }
}

static int run_with(struct demo *d, uint16_t port)
{
    int code = daemon_init(&d->daemon, stop, d);
    if (code != 0) {
        return code;
    }
    (void)uv_timer_init(&d->daemon.loop, &d->timer); /* cannot fail */
    d->timer.data = d;
    d->code = EX_SOFTWARE; /* until the page is there */
    begin(d, port);
    daemon_loop(&d->daemon);
    demo_free(d);
    daemon_deinit(&d->daemon);
    return d->code;
}

static int run(const struct cli_call *call)
{
    const char *text = cli_value(call, "port");
    char *end = NULL;
    long port = text ? strtol(text, &end, 10) : 0;
    if (text && (*end != '\0' || text[0] == '\0' || port < 1 || port > PORT_MAX)) {
        return cli_usage_error(call->command, "\"%.20s\" is no port: 1 to 65535", text);
    }
    struct demo *d = mem_new(1, sizeof(*d));
    if (!d) {
        return EX_OSERR;
    }
    d->once = cli_value(call, "once") != NULL;
    int code = run_with(d, (uint16_t)port);
    mem_free(d);
    return code;
}

const struct cli_command cmd_demo = {
    .name = "demo",
    .arguments = "",
    .line = "show it on this machine alone: a relay, two nodes, a page fetched through them",
    .more = "Everything is on loopback, with keys made on the spot; nothing is left behind.",
    .run = run,
    .options =
        {
            {0, "once", NULL, "end after the fetch; exit code 0 only if the page is unchanged"},
            {0, "port", "N", "the SOCKS port instead of 1080 (or a free one)"},
        },
};
