#define _XOPEN_SOURCE 700 /* nftw */

#include "cli/demo.h"

#include "app/tcp.h"
#include "cli/cli.h"

#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PAGE_PORT = 8080,
    SOCKS_PORT = 1080,
    POOL_BLOCKS = 64,
    INI_MAX = 2048,
};

static int make_keys(struct demo_node *n, const char *name)
{
    n->name = name;
    adit_key_generate(n->secrets.node);
    return adit_key_public(n->public_key, n->secrets.node);
}

static int start_relay(struct demo *d)
{
    const struct addr any = addr_ipv4(127, 0, 0, 1, 0);
    uint8_t keys[2][ADIT_KEY_LEN];
    memcpy(keys[0], d->home.public_key, ADIT_KEY_LEN);
    memcpy(keys[1], d->laptop.public_key, ADIT_KEY_LEN);
    union {
        uint8_t (*in)[ADIT_KEY_LEN];
        const uint8_t (*out)[ADIT_KEY_LEN];
    } allow = {.in = keys}; /* C has no such conversion */
    struct adit_relay_server_config c = {
        .listen = &any,
        .listen_count = 1,
        .allow = allow.out,
        .allow_count = 2,
        .log = &d->sink.log,
    };
    adit_key_generate(c.secret);
    int err = adit_relay_start(&d->daemon.loop, &c, &d->relay);
    adit_key_wipe(c.secret, sizeof(c.secret));
    if (err == 0) {
        (void)adit_relay_address(d->relay, 0, &d->relay_address);
    }
    return err;
}

/* The part of the ini that is the same for both. */
static int common_ini(const struct demo *d, const struct demo_node *n, const struct demo_node *peer,
                      char *out, size_t cap)
{
    char relay[ADDR_TEXT_MAX];
    char key[ADIT_KEY_TEXT_MAX];
    return snprintf(out, cap,
                    "[node]\nname = %s\nlisten = 127.0.0.1:0\nstate = %s/%s\ncontrol = %s/%s.sock\n"
                    "[relay demo]\nurl = http://%s\n"
                    "[peer %s]\nkey = %s\n",
                    n->name, d->folder, n->name, d->folder, n->name,
                    addr_format(&d->relay_address, relay), peer->name,
                    adit_key_format(peer->public_key, key));
}

static int start_node(struct demo *d, struct demo_node *n, const char *ini)
{
    const struct config_env env = {.name = n->name};
    struct config_errors *errors = mem_new(1, sizeof(*errors));
    if (!errors) {
        return UV_ENOMEM;
    }
    int err = config_parse(&n->config, "demo.ini", ini, strlen(ini), &env, errors);
    for (size_t i = 0; err != 0 && i < errors->count; i++) {
        char line[512];
        cli_error("%s", config_error_format(errors, i, line, sizeof(line)));
    }
    mem_free(errors);
    logsink_init(&n->sink, LOG_WARN, n->name);
    if (err == 0) {
        err = app_start(&d->daemon.loop, n->config, &n->secrets, &n->sink.log, &n->app);
    }
    return err;
}

static int start_home(struct demo *d)
{
    char ini[INI_MAX];
    int n = common_ini(d, &d->home, &d->laptop, ini, sizeof(ini));
    (void)snprintf(ini + n, sizeof(ini) - (size_t)n,
                   "allow = 127.0.0.1:%u\n"
                   "[front]\nlisten = none\n",
                   (unsigned)d->page_address.port);
    return start_node(d, &d->home, ini);
}

static int start_laptop(struct demo *d, uint16_t port)
{
    char ini[INI_MAX];
    char endpoint[ADDR_TEXT_MAX];
    struct addr home = app_local(d->home.app);
    int n = common_ini(d, &d->laptop, &d->home, ini, sizeof(ini));
    (void)snprintf(ini + n, sizeof(ini) - (size_t)n,
                   "endpoint = %s\n"
                   "[front]\nlisten = 127.0.0.1:%u\n",
                   addr_format(&home, endpoint), (unsigned)port);
    return start_node(d, &d->laptop, ini);
}

/* 1080 is what everybody expects, but somebody may have it. */
static uint16_t usual_port_or_any(void)
{
    struct sockaddr_storage sa;
    struct addr at = addr_ipv4(127, 0, 0, 1, SOCKS_PORT);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    tcp_sockaddr(&at, &sa);
    bool free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                bind(fd, (const struct sockaddr *)&sa, sizeof(struct sockaddr_in)) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return free ? SOCKS_PORT : 0;
}

static int make_folder(struct demo *d)
{
    (void)snprintf(d->folder, sizeof(d->folder), "/tmp/adit-demo-XXXXXX");
    if (!mkdtemp(d->folder)) {
        d->folder[0] = '\0';
        return -errno;
    }
    return 0;
}

static int start_page(struct demo *d)
{
    int err = page_server_start(&d->daemon.loop, &d->pool, PAGE_PORT, &d->page);
    if (err == 0) {
        d->page_address = page_server_address(d->page);
    }
    return err;
}

/* Each step needs what those before it made. */
static const char *start(struct demo *d, uint16_t port, int *err)
{
    if ((*err = make_folder(d)) != 0) {
        return "a folder in /tmp";
    }
    if ((*err = make_keys(&d->home, "home")) != 0 ||
        (*err = make_keys(&d->laptop, "laptop")) != 0) {
        return "keys";
    }
    if ((*err = start_relay(d)) != 0) {
        return "the relay";
    }
    if ((*err = start_page(d)) != 0) {
        return "the web page";
    }
    if ((*err = start_home(d)) != 0) {
        return "the node home";
    }
    if ((*err = start_laptop(d, port ? port : usual_port_or_any())) != 0) {
        return "the node laptop";
    }
    return NULL;
}

int demo_open(struct demo *d, uint16_t port)
{
    int err = 0;
    logsink_init(&d->sink, LOG_WARN, "relay");
    pool_init(&d->pool, POOL_BLOCKS);
    const char *what = start(d, port, &err);
    if (what) {
        cli_error("cannot start %s: %s", what,
                  err <= ERR_MALFORMED ? err_text(err) : uv_strerror(err));
        return err;
    }
    (void)app_front_address(d->laptop.app, 0, &d->socks_address);
    return 0;
}

static void on_closed(void *user)
{
    (void)user;
}

void demo_close(struct demo *d)
{
    if (d->fetch) {
        fetch_cancel(d->fetch);
        d->fetch = NULL;
    }
    if (d->page) {
        page_server_stop(d->page);
    }
    tcp_break_all(&d->pool, on_closed, NULL);
    if (d->laptop.app) {
        app_stop(d->laptop.app, on_closed, NULL);
    }
    if (d->home.app) {
        app_stop(d->home.app, on_closed, NULL);
    }
    if (d->relay) {
        adit_relay_stop(d->relay, on_closed, NULL);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void free_node(struct demo_node *n)
{
    adit_key_wipe(n->secrets.node, sizeof(n->secrets.node));
    config_free(n->config);
}

void demo_free(struct demo *d)
{
    free_node(&d->home);
    free_node(&d->laptop);
    pool_deinit(&d->pool);
    if (d->folder[0] != '\0') {
        (void)nftw(d->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}
