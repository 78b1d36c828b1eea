/* The front with `direct` routes and whatever door a test wants, on a loop; plain descriptors at
 * both ends (unit/app/world.h). */
#ifndef TESTS_UNIT_APP_FRONT_WORLD_H
#define TESTS_UNIT_APP_FRONT_WORLD_H

#include "app/client_internal.h"
#include "app/listener.h"

#include "unit/app/world.h"

#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>

struct front_world {
    struct world w;
    struct context ctx;
    struct clients clients;
    struct listener *listener;
    struct config *config;
    struct auth auth;
    struct client_door door;
    struct addr front;
};

static const char ini[] = "[node]\nname = here\n"
                          "[front]\nlisten = none\n"
                          "[route]\n127.0.0.0/8 = direct\ndefault = refuse\n";

static inline struct front_world *setup(const char *users, const struct config_listen *at,
                                        const struct target *target)
{
    struct front_world *f = mem_new(1, sizeof(*f));
    assert_non_null(f);
    const struct config_env env = {.state = "/nowhere"};
    const struct config_listen loopback = {.addr = addr_ipv4(127, 0, 0, 1, 0)};
    struct config_errors errors;
    assert_int_equal(config_parse(&f->config, "x.ini", ini, sizeof(ini) - 1, &env, &errors), 0);
    world_init(&f->w);
    f->ctx.loop = &f->w.loop;
    f->ctx.config = f->config;
    f->ctx.times = front_times_default;
    f->ctx.limits.clients_max = 8;
    if (users) {
        struct auth_error error;
        const uint8_t key[AUTH_KEY_LEN] = {7};
        assert_int_equal(auth_init(&f->auth, users, strlen(users), key, &error), 0);
        f->door.auth = &f->auth;
    }
    pool_init(&f->ctx.pool, 16);
    resolver_init(&f->ctx.resolver, &f->w.loop);
    gate_init(&f->ctx.gate, &f->w.loop, NULL);
    backoff_init(&f->ctx.backoff);
    own_init(&f->ctx.own);
    clients_init(&f->clients, &f->ctx);
    f->door.target = target;
    f->door.front = target ? NULL : f->config->fronts;
    assert_int_equal(listener_start(&f->clients, at ? at : &loopback, &f->door, &f->listener), 0);
    f->front = listener_address(f->listener);
    return f;
}

static inline void on_unused(void *user)
{
    *(bool *)user = true;
}

static inline void teardown(struct front_world *f)
{
    bool unused = false;
    listener_stop(f->listener);
    clients_stop(&f->clients);
    resolver_stop(&f->ctx.resolver);
    tcp_break_all(&f->ctx.pool, on_unused, &unused);
    WORLD_UNTIL(&f->w, unused);
    world_deinit(&f->w);
    pool_deinit(&f->ctx.pool);
    auth_deinit(&f->auth);
    config_free(f->config);
    mem_free(f);
}

static inline void put(struct front_world *f, int fd, const char *text)
{
    world_put(&f->w, fd, text, strlen(text));
}

/* The next bytes are this text. */
static inline void get(struct front_world *f, int fd, const char *text)
{
    char in[4096];
    size_t len = strlen(text);
    ssize_t n = world_get(&f->w, fd, in, len);
    assert_int_equal(n, len);
    in[len] = '\0';
    assert_string_equal(in, text);
}

/* Everything until the end; the first line must start like this. */
static inline void get_page(struct front_world *f, int fd, const char *start)
{
    char in[4096];
    ssize_t n = world_get(&f->w, fd, in, sizeof(in) - 1);
    assert_true(n > 0);
    in[n] = '\0';
    if (strncmp(in, start, strlen(start)) != 0) {
        fail_msg("not \"%s\" but: %s", start, in);
    }
    (void)close(fd);
}

/* The text with the target's port in the place of its '$'. */
static inline void ask(struct front_world *f, int fd, const char *text, const struct addr *at)
{
    const char *mark = strchr(text, '$');
    char port[8];
    assert_non_null(mark);
    (void)snprintf(port, sizeof(port), "%u", (unsigned)at->port);
    world_put(&f->w, fd, text, (size_t)(mark - text));
    put(f, fd, port);
    put(f, fd, mark + 1);
}

static inline void get_head(struct front_world *f, int fd, const struct addr *at)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                   (unsigned)at->port);
    get(f, fd, text);
}

#define GET_X "GET http://127.0.0.1:$/x HTTP/1.1\r\nHost: no\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define PASSED "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"

#endif
