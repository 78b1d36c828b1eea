/* Two nodes in one process, a direct path between them; the tests' own sockets at both ends
 * (unit/app/world.h).
 */
#ifndef TESTS_UNIT_APP_TWO_H
#define TESTS_UNIT_APP_TWO_H

#include "app/app.h"
#include "app/app_internal.h"

#include "unit/app/world.h"

#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>

struct node {
    uint8_t public_key[ADIT_KEY_LEN];
    struct app_secrets secrets;
    struct config *config;
    struct app *app;
};

struct two {
    struct world w;
    char folder[32];
    struct node home, laptop;
    struct addr socks;
    int stopped, started;
};

static inline void two_on_stopped(void *user)
{
    ++*(int *)user;
}

static inline void make_keys(struct node *n)
{
    adit_key_generate(n->secrets.node);
    assert_int_equal(adit_key_public(n->public_key, n->secrets.node), 0);
}

static inline void start(struct two *t, struct node *n, const struct node *peer, const char *name,
                         const char *rest)
{
    char ini[2048];
    char key[ADIT_KEY_TEXT_MAX];
    struct config_errors errors;
    const struct config_env env = {.name = name, .state = t->folder};
    int len = snprintf(ini, sizeof(ini),
                       "[node]\nlisten = 127.0.0.1:0\ncontrol = %s/%s.sock\n"
                       "[peer %s]\nkey = %s\n%s",
                       t->folder, name, n == &t->home ? "laptop" : "home",
                       adit_key_format(peer->public_key, key), rest);
    if (config_parse(&n->config, "x.ini", ini, (size_t)len, &env, &errors) != 0) {
        fail_msg("%s", errors.items[0].text);
    }
    assert_int_equal(app_start(&t->w.loop, n->config, &n->secrets, NULL, &n->app), 0);
    t->started++;
}

static inline void start_home(struct two *t, const char *peer)
{
    char rest[256];
    (void)snprintf(rest, sizeof(rest), "%s[front]\nlisten = none\n", peer);
    start(t, &t->home, &t->laptop, "home", rest);
}

static inline void start_laptop(struct two *t, const char *more)
{
    char rest[1024];
    char endpoint[ADDR_TEXT_MAX];
    struct addr at = app_local(t->home.app);
    (void)snprintf(rest, sizeof(rest), "endpoint = %s\n[front]\nlisten = 127.0.0.1:0\n%s",
                   addr_format(&at, endpoint), more);
    start(t, &t->laptop, &t->home, "laptop", rest);
    assert_true(app_front_address(t->laptop.app, 0, &t->socks));
    assert_false(app_front_address(t->laptop.app, 1, &t->socks));
}

/* `home_peer`: lines of home's [peer laptop]; `laptop`: the end of its ini, from [front] on. */
static inline struct two *setup(const char *home_peer, const char *laptop)
{
    struct two *t = mem_new(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(adit_init(), 0);
    (void)snprintf(t->folder, sizeof(t->folder), "/tmp/adit-test-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    world_init(&t->w);
    make_keys(&t->home);
    make_keys(&t->laptop);
    start_home(t, home_peer);
    start_laptop(t, laptop);
    return t;
}

static inline void stop_node(struct two *t, struct node *n)
{
    if (n->app) {
        app_stop(n->app, two_on_stopped, &t->stopped);
        n->app = NULL;
    }
}

static inline void teardown(struct two *t)
{
    stop_node(t, &t->laptop);
    stop_node(t, &t->home);
    WORLD_UNTIL(&t->w, t->stopped == t->started);
    world_deinit(&t->w);
    config_free(t->home.config);
    config_free(t->laptop.config);
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -r %s", t->folder);
    assert_int_equal(system(command), 0);
    mem_free(t);
}

#endif
