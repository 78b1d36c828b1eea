/* Two nodes in one process with inis of the test's own, a direct path between them on loopback:
 * laptop has the front, home the exit. */
#ifndef TESTS_UNIT_APP_PAIR_WORLD_H
#define TESTS_UNIT_APP_PAIR_WORLD_H

#include "app/app_internal.h"

#include "unit/app/world.h"

#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

struct pair_node {
    uint8_t public_key[ADIT_KEY_LEN];
    struct app_secrets secrets;
    struct config *config;
    struct app *app;
};

struct pair_world {
    struct world w;
    char folder[32];
    struct pair_node home, laptop;
    struct addr socks;
    int stopped, started;
};

static inline void pair_on_stopped(void *user)
{
    ++*(int *)user;
}

static inline void pair_start(struct pair_world *t, struct pair_node *n, const char *name,
                              uint16_t port, const char *rest)
{
    char ini[4096];
    char key[ADIT_KEY_TEXT_MAX];
    struct config_errors errors;
    const struct config_env env = {.name = name, .state = t->folder};
    const struct pair_node *peer = n == &t->home ? &t->laptop : &t->home;
    int len = snprintf(ini, sizeof(ini),
                       "[node]\nlisten = 127.0.0.1:%u\npunch = no\ncontrol = %s/%s.sock\n"
                       "[peer %s]\nkey = %s\n%s",
                       (unsigned)port, t->folder, name, n == &t->home ? "laptop" : "home",
                       adit_key_format(peer->public_key, key), rest);
    assert_true(len > 0 && (size_t)len < sizeof(ini));
    if (config_parse(&n->config, "x.ini", ini, (size_t)len, &env, &errors) != 0) {
        fail_msg("%s: %s", errors.items[0].section, errors.items[0].text);
    }
    assert_int_equal(app_start(&t->w.loop, n->config, &n->secrets, NULL, &n->app), 0);
    t->started++;
}

/* The loop and the keys, and no node yet. */
static inline struct pair_world *pair_begin(void)
{
    struct pair_world *t = mem_new(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(adit_init(), 0);
    (void)snprintf(t->folder, sizeof(t->folder), "/tmp/adit-test-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    world_init(&t->w);
    adit_key_generate(t->home.secrets.node);
    adit_key_generate(t->laptop.secrets.node);
    assert_int_equal(adit_key_public(t->home.public_key, t->home.secrets.node), 0);
    assert_int_equal(adit_key_public(t->laptop.public_key, t->laptop.secrets.node), 0);
    return t;
}

/* Both nodes. Each text stands behind the node's [peer] section, and begins in it. */
static inline void pair_go(struct pair_world *t, const char *home, const char *laptop)
{
    char endpoint[ADDR_TEXT_MAX];
    char rest[3000];
    pair_start(t, &t->home, "home", 0, home);
    struct addr at = app_local(t->home.app);
    (void)snprintf(rest, sizeof(rest), "endpoint = %s\n%s", addr_format(&at, endpoint), laptop);
    pair_start(t, &t->laptop, "laptop", 0, rest);
    (void)app_front_address(t->laptop.app, 0, &t->socks);
}

static inline struct pair_world *pair_new(const char *home, const char *laptop)
{
    struct pair_world *t = pair_begin();
    pair_go(t, home, laptop);
    return t;
}

static inline void pair_stop(struct pair_world *t, struct pair_node *n)
{
    int before = t->stopped;
    if (n->app) {
        app_stop(n->app, pair_on_stopped, &t->stopped);
        n->app = NULL;
        WORLD_UNTIL(&t->w, t->stopped > before);
    }
}

static inline void pair_free(struct pair_world *t)
{
    pair_stop(t, &t->laptop);
    pair_stop(t, &t->home);
    world_deinit(&t->w);
    config_free(t->home.config);
    config_free(t->laptop.config);
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -r %s", t->folder);
    assert_int_equal(system(command), 0);
    mem_free(t);
}

static inline int pair_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

/* The REP of the answer for a target, and the end of the connection behind it. */
static inline unsigned pair_rep(struct pair_world *t, const char *host, uint16_t port)
{
    int client = world_ask(&t->w, &t->socks, host, port);
    unsigned rep = world_rep(&t->w, client);
    if (rep != 0) {
        assert_int_equal(world_end(&t->w, client), 0);
    }
    (void)close(client);
    return rep;
}

/* The same with a user name (RFC 1929); the connection, which answered REP 0, or -REP. */
static inline int pair_ask_as(struct pair_world *t, const char *user, const char *host,
                              uint16_t port)
{
    uint8_t out[600] = {5, 2, 0, 2, 1, (uint8_t)strlen(user)};
    uint8_t in[14];
    size_t n = 6;
    memcpy(out + n, user, strlen(user));
    n += strlen(user);
    out[n++] = 1;
    out[n++] = 'x';
    memcpy(out + n, "\x05\x01\x00\x03", 4);
    n += 4;
    out[n++] = (uint8_t)strlen(host);
    memcpy(out + n, host, strlen(host));
    n += strlen(host);
    out[n++] = (uint8_t)(port >> 8);
    out[n++] = (uint8_t)port;
    int fd = world_connect(&t->socks);
    world_put(&t->w, fd, out, n);
    assert_int_equal(world_get(&t->w, fd, in, sizeof(in)), sizeof(in));
    assert_memory_equal(in, "\x05\x02\x01\x00\x05", 5);
    if (in[5] != 0) {
        (void)close(fd);
        return -in[5];
    }
    return fd;
}

#endif
