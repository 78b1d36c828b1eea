/* A front whose process has few descriptors left. */
#include "unit/app/front_world.h"

#include <sys/resource.h>

enum { LIMIT = 96, CLIENTS = 50 };

static rlim_t set_limit(rlim_t to)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = to;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

/* The clients are in this process, too: each connection takes two descriptors. */
static void accepting_pauses_and_goes_on(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    int client[CLIENTS];
    size_t n = 0;
    f->ctx.limits.clients_max = 2 * CLIENTS;
    rlim_t before = set_limit(LIMIT);
    while (f->ctx.counters.front.accept_paused == 0) {
        assert_true(n < CLIENTS);
        client[n++] = world_connect(&f->front);
        WORLD_UNTIL(&f->w, f->clients.count == n || f->ctx.counters.front.accept_paused > 0);
    }
    /* The next ones wait in the kernel, and are neither taken nor refused. */
    client[n] = world_connect(&f->front);
    client[n + 1] = world_connect(&f->front);
    n += 2;
    uint64_t start = uv_now(&f->w.loop);
    WORLD_UNTIL(&f->w, uv_now(&f->w.loop) - start > 350);
    assert_int_equal(f->clients.count, n - 3);
    assert_int_equal(f->ctx.counters.front.accept_paused, 1);
    assert_int_equal(f->ctx.counters.front.clients_refused, 0);
    assert_true(f->ctx.gate.is_short);
    for (size_t i = 0; i < 12; i++) {
        (void)close(client[i]);
    }
    WORLD_UNTIL(&f->w, f->clients.count == n - 12);
    assert_false(f->ctx.gate.is_short);
    assert_null(f->ctx.gate.timer);
    put(f, client[n - 1], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    get(f, client[n - 1], "HTTP/1.1 404 ");
    for (size_t i = 12; i < n; i++) {
        (void)close(client[i]);
    }
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    (void)set_limit(before);
    teardown(f);
}

/* Stopping while somebody waits at the gate leaves nothing behind. */
static void stopping_while_paused(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    int client = world_connect(&f->front);
    int next = dup(client);
    assert_true(next >= 0 && close(next) == 0);
    rlim_t before = set_limit((rlim_t)next + 2); /* room for the one that libuv takes */
    WORLD_UNTIL(&f->w, f->ctx.counters.front.accept_paused == 1);
    teardown(f);
    (void)set_limit(before);
    (void)close(client);
}

/* Whoever comes then is sent away, not left waiting for ever. */
static void without_memory_it_listens_on(void **state)
{
    (void)state;
    enum { WAITING = 3 };
    struct front_world *f = setup(NULL, NULL, NULL);
    int client[WAITING];
    for (size_t i = 0; i < WAITING; i++) {
        client[i] = world_connect(&f->front);
    }
    mem_fail_after(1);
    for (size_t i = 0; i < WAITING; i++) {
        assert_true(world_end(&f->w, client[i]) <= 0);
        (void)close(client[i]);
    }
    mem_fail_after(0);
    assert_int_equal(f->ctx.counters.front.clients_refused, WAITING);
    client[0] = world_connect(&f->front);
    put(f, client[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    get_page(f, client[0], "HTTP/1.1 404 ");
    /* And it can stop while somebody is being sent away. */
    client[0] = world_connect(&f->front);
    mem_fail_after(1);
    WORLD_UNTIL(&f->w, f->ctx.counters.front.clients_refused > WAITING);
    mem_fail_after(0);
    teardown(f);
    (void)close(client[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepting_pauses_and_goes_on),
        cmocka_unit_test(stopping_while_paused),
        cmocka_unit_test(without_memory_it_listens_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
